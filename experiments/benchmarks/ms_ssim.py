"""MS-SSIM beside the libraries that a user would pick instead."""

from experiments.benchmarks import peers
from experiments.benchmarks.timing import Report


def measure(*, repeats: int) -> Report:
    """Value and gradients at four shapes; see `peers.measure`.

    Args:
      repeats: timings of each library.

    Returns:
      A row per task and shape.
    """
    return peers.measure("ms_ssim", repeats=repeats)
