"""SIGTERM: the machine is about to be taken away."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

import jax
from jax.experimental import multihost_utils


class Preempted(Exception):  # noqa: N818, for nothing went wrong
    """The run was asked to stop, and has saved its state.

    Attributes:
      step: number of steps taken and saved.
    """

    def __init__(self, step: int, where: Any):
        """Says how to go on.

        Args:
          step: number of steps taken.
          where: the run's folder, or None if nothing could be saved.
        """
        self.step = step
        saved = "nothing is saved" if where is None else f"step {step} is saved"
        super().__init__(f"preempted: {saved}; the same command continues in {where}")


class Notice:
    """Waits for SIGTERM, in one process or in any of several.

    Use as a context manager: within it, SIGTERM no longer ends a process.
    """

    def __init__(self):
        """Listens only within the context."""
        self._received = False
        self._previous: Any = None
        # JAX's own service listens in distributed runs. Python hears signals in its
        # main thread alone.
        self._listens = (
            not jax.distributed.is_initialized()
            and threading.current_thread() is threading.main_thread()
        )

    def __enter__(self) -> "Notice":
        if self._listens:
            self._previous = signal.signal(signal.SIGTERM, self._receive)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._listens:
            signal.signal(signal.SIGTERM, self._previous)

    @property
    def received(self) -> bool:
        """Whether this process has; never in distributed runs, where JAX listens."""
        return self._received

    def reached(self, tick: int) -> bool:
        """Whether it is time to save and stop: in all processes at the same tick.

        Args:
          tick: 0, 1, 2, ... at successive calls, at the same place in all processes.

        Returns:
          Whether a process has received the signal, and all know.
        """
        if jax.distributed.is_initialized():
            return multihost_utils.reached_preemption_sync_point(tick)
        return self._received

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self._received = True
