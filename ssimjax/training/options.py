"""What a run may choose: the keys of the section `training` of every config."""

import dataclasses
import math

from ssimjax.training.checkpoints import parse_best

# Keys of a config that do not change what is trained, and may differ when a run
# continues.
FREE_KEYS = (
    "attack.",
    "mesh",
    "data.cache_dir",
    "data.data_dir",
    "training.checkpoint_every",
    "training.eval_batch_size",
    "training.eval_every",
    "training.keep_best",
    "training.keep_checkpoints",
    "training.keep_every",
    "training.log_every",
    "training.nonfinite",
    "training.profile_steps",
    "training.steps_per_dispatch",
    "training.visualise",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """How long a run trains, and what it leaves behind.

    Attributes:
      epochs: passes over the training examples; may be a fraction.
      batch_size: examples per step, over all devices of all processes.
      eval_batch_size: examples per evaluation step, over all devices.
      log_every: steps between rows of training metrics.
      eval_every: steps between evaluations on the test split.
      checkpoint_every: steps between checkpoints.
      keep_checkpoints: how many of the newest are kept.
      keep_every: checkpoints of multiples of so many steps are kept, too.
      keep_best: "max METRIC" or "min METRIC" of the test split: the best is kept, too.
      steps_per_dispatch: steps that are one call of the device.
      nonfinite: "stop" ends the run at a loss or gradient that is not finite; "skip"
        leaves such steps out, and counts them.
      visualise: whether TensorBoard gets histograms of the parameters and pictures of
        the task after the last step; not where several processes share the seeds.
      profile_steps: (first, last) step that `jax.profiler` traces, or ().
    """

    epochs: float
    batch_size: int
    eval_batch_size: int
    log_every: int
    eval_every: int
    checkpoint_every: int
    keep_checkpoints: int = 2
    keep_every: int | None = None
    keep_best: str | None = None
    steps_per_dispatch: int = 1
    nonfinite: str = "stop"
    visualise: bool = False
    profile_steps: tuple[int, ...] = ()

    def __post_init__(self):
        """Checks all but what depends on the devices.

        Raises:
          ValueError: if a value is out of its range.
        """
        for name in (
            "epochs",
            "batch_size",
            "eval_batch_size",
            "log_every",
            "eval_every",
            "checkpoint_every",
            "keep_checkpoints",
            "keep_every",
            "steps_per_dispatch",
        ):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be > 0, got {value}")
        if math.isinf(self.epochs):
            raise ValueError(f"epochs must be a number, got {self.epochs}")
        if self.nonfinite not in ("stop", "skip"):
            raise ValueError(
                f"nonfinite must be 'stop' or 'skip', got {self.nonfinite!r}"
            )
        if self.keep_best is not None:
            parse_best(self.keep_best)
        profile = tuple(self.profile_steps)
        if profile and not (len(profile) == 2 and 1 <= profile[0] <= profile[1]):
            raise ValueError(
                f"profile_steps must be (first, last) with 1 <= first <= last, or "
                f"empty, got {profile}"
            )
