"""How fast a run trains."""

import time


class Clock:
    """Seconds of training alone: no compilation, no evaluation.

    Attributes:
      images: images trained on while the clock ran.
    """

    def __init__(self):
        """Stands still until `resume`."""
        self.images = 0
        self._seconds = 0.0
        self._since: float | None = None

    def resume(self) -> None:
        """Runs on."""
        self._since = time.perf_counter()

    def pause(self) -> None:
        """Stands still."""
        if self._since is not None:
            self._seconds += time.perf_counter() - self._since
        self._since = None

    @property
    def rate(self) -> float | None:
        """Images per second; None if no time was taken."""
        return self.images / self._seconds if self.images else None
