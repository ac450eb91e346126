"""Traces of some steps, for TensorBoard and Perfetto."""

from collections.abc import Sequence
from typing import Any

import jax
from etils import epath

from ssimjax.training.program import Metrics


class Profile:
    """Traces some steps with `jax.profiler` into the folder `profile` of a run."""

    def __init__(self, steps: Sequence[int], workdir: epath.Path | None):
        """Nothing is traced without steps, or without a folder.

        Args:
          steps: the first and the last step of the trace, or none.
          workdir: folder of the run, or None.
        """
        self._steps, self._workdir = steps, workdir
        self._running = False

    def __enter__(self) -> "Profile":
        return self

    def __exit__(self, *error: Any) -> None:
        if self._running:
            jax.profiler.stop_trace()

    def before(self, part: range) -> None:
        """Starts the trace if its first step is next."""
        if self._steps and self._workdir and self._steps[0] == part.start + 1:
            jax.profiler.start_trace(str(self._workdir / "profile"))
            self._running = True

    def after(self, part: range, metrics: Metrics) -> None:
        """Ends the trace once its last step is done."""
        if self._running and part.stop >= self._steps[1]:
            jax.block_until_ready(metrics)
            jax.profiler.stop_trace()
            self._running = False
