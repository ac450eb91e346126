"""The training engine: mesh, checkpoints, metrics and the loop."""

from ssimjax.training.checkpoints import Checkpoints as Checkpoints
from ssimjax.training.evaluation import evaluator as evaluator
from ssimjax.training.evaluation import with_spread as with_spread
from ssimjax.training.keys import named_key as named_key
from ssimjax.training.keys import root_key as root_key
from ssimjax.training.loop import Fitted as Fitted
from ssimjax.training.loop import fit as fit
from ssimjax.training.mesh import data_mesh as data_mesh
from ssimjax.training.metrics import Row as Row
from ssimjax.training.metrics import read_rows as read_rows
from ssimjax.training.optimizers import adam as adam
from ssimjax.training.optimizers import sgd as sgd
from ssimjax.training.options import FREE_KEYS as FREE_KEYS
from ssimjax.training.options import Options as Options
from ssimjax.training.preemption import Preempted as Preempted
from ssimjax.training.processes import is_main as is_main
from ssimjax.training.program import Program as Program
from ssimjax.training.steps import total_steps as total_steps
from ssimjax.training.task import Task as Task
from ssimjax.training.workdir import changed_data as changed_data
from ssimjax.training.workdir import claim as claim
from ssimjax.training.workdir import folder_for as folder_for
from ssimjax.training.workdir import read_config as read_config
