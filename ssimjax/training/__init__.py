"""The training engine: mesh, checkpoints, metrics and the loop."""

from ssimjax.training.checkpoints import Checkpoints as Checkpoints
from ssimjax.training.keys import named_key as named_key
from ssimjax.training.loop import Fitted as Fitted
from ssimjax.training.loop import Task as Task
from ssimjax.training.loop import evaluator as evaluator
from ssimjax.training.loop import fit as fit
from ssimjax.training.loop import total_steps as total_steps
from ssimjax.training.mesh import data_mesh as data_mesh
from ssimjax.training.mesh import replicate as replicate
from ssimjax.training.mesh import shard_batch as shard_batch
from ssimjax.training.metrics import Row as Row
from ssimjax.training.metrics import read_rows as read_rows
from ssimjax.training.optimizers import sgd as sgd
from ssimjax.training.workdir import claim as claim
from ssimjax.training.workdir import read_config as read_config
