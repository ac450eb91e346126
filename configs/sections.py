"""Sections that the configs of all tasks share, each key with its default."""

import ml_collections
from ml_collections import config_dict


def study(task: str) -> ml_collections.ConfigDict:
    """What every config begins with: a task, its seeds, its devices, its data."""
    config = ml_collections.ConfigDict()
    config.task = task  # A name of `TASKS` in ssimjax/tasks/run.py.
    config.seed = 0  # Of all that is random: weights, order, crops, latent vectors.
    config.seeds = 1  # How many seeds, from `seed` on, are trained as one program.
    config.mesh = ()  # (replica, data): devices over seeds, over a batch; () for auto.
    config.data = data()
    return config


def check_argument(argument: str, choices: tuple[str, ...]) -> None:
    """Raises a ValueError unless a config file's argument is one of the choices."""
    if argument not in choices:
        raise ValueError(
            f"the config's argument must be one of {', '.join(choices)}, got "
            f"{argument!r}"
        )


def data() -> ml_collections.ConfigDict:
    """Where examples come from."""
    data = ml_collections.ConfigDict()
    data.source = "tfds"  # "tfds", "folder", "patches" or "photographs".
    data.name = "mnist"  # tfds: name of the data set.
    data.data_dir = config_dict.placeholder(str)  # Where the data are.
    # tfds, folder: where decoded images are kept; beside the run if None.
    data.cache_dir = config_dict.placeholder(str)
    data.train_split = "train"  # tfds: any TFDS split; else: a subfolder.
    data.test_split = "test"
    # tfds: the feature that is an image's class; None, or empty, where it has none.
    data.label = config_dict.placeholder(str)
    data.label = "label"
    # tfds, folder: images are cut to their central square and resized to this side.
    data.side = config_dict.placeholder(int)
    data.crop = 1.0  # Side of that square, as a share of an image's shorter side.
    data.gray = False  # One channel of ITU-R 601-2 luma; needs `side`.
    data.size = 32  # photographs, patches: side of a patch in pixels.
    data.train_count = 4000  # photographs, patches: number of training patches.
    data.test_count = 1000  # photographs, patches: number of test patches.
    data.color = False  # photographs, patches: three channels instead of one.
    data.seed = 0  # photographs, patches: of their positions.
    return data


def adam() -> ml_collections.ConfigDict:
    """How weights are changed, but for classifiers."""
    adam = ml_collections.ConfigDict()
    adam.rate = 1e-3  # Of Adam.
    adam.schedule = "constant"  # Or "cosine", down to 0 at the last step.
    adam.b1 = 0.9  # Decay of the mean gradient.
    return adam


def training() -> ml_collections.ConfigDict:
    """How long training takes, and what is kept."""
    training = ml_collections.ConfigDict()
    training.epochs = 10.0  # Passes over the training examples; may be a fraction.
    training.batch_size = 32  # Over all devices.
    training.eval_batch_size = 200  # Over all devices.
    training.log_every = 50  # Steps between rows of training metrics.
    training.eval_every = 500  # Steps between evaluations on the test split.
    training.checkpoint_every = 500  # Steps between checkpoints.
    training.keep_checkpoints = 2  # How many of the newest are kept.
    # Checkpoints of multiples of so many steps are kept, too.
    training.keep_every = config_dict.placeholder(int)
    # "max top1" or "min loss" keeps the best on the test split, too.
    training.keep_best = config_dict.placeholder(str)
    training.steps_per_dispatch = 1  # Steps that are one call of the device.
    training.nonfinite = "stop"  # Or "skip" steps of a loss that is not finite.
    training.visualise = True  # TensorBoard: histograms of parameters, kernels.
    training.profile_steps = ()  # (first, last) step that jax.profiler traces.
    return training
