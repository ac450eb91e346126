"""Studies: what is trained, how it is evaluated, and the run around it."""

from ssimjax.tasks import regularisers as regularisers
from ssimjax.tasks.autoencoding import codes as codes
from ssimjax.tasks.autoencoding import interpolations as interpolations
from ssimjax.tasks.autoencoding import reconstruction_scores as reconstruction_scores
from ssimjax.tasks.autoencoding import reconstructions as reconstructions
from ssimjax.tasks.autoencoding import sample_distances as sample_distances
from ssimjax.tasks.classification import Classification as Classification
from ssimjax.tasks.diagnosis import diagnose as diagnose
from ssimjax.tasks.diagnosis import examine as examine
from ssimjax.tasks.pictures import draw_attack as draw_attack
from ssimjax.tasks.pictures import draw_corruptions as draw_corruptions
from ssimjax.tasks.pictures import draw_training as draw_training
from ssimjax.tasks.probing import probe as probe
from ssimjax.tasks.pruning import filter_statistics as filter_statistics
from ssimjax.tasks.pruning import pruning_accuracy as pruning_accuracy
from ssimjax.tasks.reconstruction import Reconstruction as Reconstruction
from ssimjax.tasks.robustness import attack_accuracy as attack_accuracy
from ssimjax.tasks.robustness import corruption_accuracy as corruption_accuracy
from ssimjax.tasks.robustness import gradient_shares as gradient_shares
from ssimjax.tasks.run import Run as Run
from ssimjax.tasks.run import load as load
from ssimjax.tasks.run import train as train
from ssimjax.tasks.scores import image_scores as image_scores
