"""Studies: what is trained, how it is evaluated, and the run around it."""

from ssimjax.tasks.classification import Classification as Classification
from ssimjax.tasks.pictures import draw_attack as draw_attack
from ssimjax.tasks.pictures import draw_training as draw_training
from ssimjax.tasks.robustness import fgsm_accuracy as fgsm_accuracy
from ssimjax.tasks.run import Run as Run
from ssimjax.tasks.run import load as load
from ssimjax.tasks.run import train as train
