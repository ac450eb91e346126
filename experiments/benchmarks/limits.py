"""What the machine itself can do, which no program can beat."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from experiments.benchmarks.timing import medians

_COPIED = 2**26
_SIDE = 2048


class Limits(NamedTuple):
    """Measured limits of a machine.

    Attributes:
      bytes_per_second: read and written by a copy of 256 MiB.
      flops_per_second: of a product of float32 matrices, at full precision.
    """

    bytes_per_second: float
    flops_per_second: float

    def __str__(self) -> str:
        return (
            f"This machine copies {self.bytes_per_second / 1e9:.1f} GB/s (read and "
            f"written) and multiplies matrices at {self.flops_per_second / 1e9:.0f} "
            "GFLOP/s."
        )


def measured(*, repeats: int = 15) -> Limits:
    """The limits of the machine at hand.

    Args:
      repeats: timings that the medians are of.

    Returns:
      The limits.
    """
    numbers = jnp.ones(_COPIED, jnp.float32)
    # A plain copy is no program of its own: XLA hands the input back.
    copy = medians({"copy": lambda a: -a}, [numbers], repeats=repeats)["copy"]
    matrix = jnp.ones((_SIDE, _SIDE), jnp.float32)
    product = medians(
        {"product": lambda a: jnp.matmul(a, a, precision=jax.lax.Precision.HIGHEST)},
        [matrix],
        repeats=repeats,
    )["product"]
    return Limits(2 * numbers.nbytes / copy, 2 * _SIDE**3 / product)
