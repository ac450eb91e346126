"""Loops over parts of arrays, whose steps shall take all cores of a CPU.

XLA's CPU backend makes a loop one program of its own, for one core, unless something
in it is foreign to such programs. That is meant for small loops, but jax 0.12 takes all
for small: SSIM of a batch took three times as long there as in jax 0.10.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

# 0.10 and 0.11 do not.
_ON_ONE_CORE = jax.__version_info__ >= (0, 12)


def on_all_cores(value: Array, step: Int[Array, ""]) -> Array:
    """A value as it is, by which the loop that it is used in takes all cores.

        value · 1

    Args:
      value: best a small one, for it is multiplied. Its derivatives keep their loops
        on all cores, too.
      step: anything that changes from step to step.

    Returns:
      The value.

    Example:
      >>> steps = jnp.arange(3)
      >>> jax.lax.map(lambda step: on_all_cores(step, step) + 1, steps).tolist()
      [1, 2, 3]
    """
    if not _ON_ONE_CORE or jax.default_backend() != "cpu":
        return value
    return _times_one(value, step)


# Else a gradient would be given the number one, and its own loop have no sort.
@jax.checkpoint
def _times_one(value: Array, step: Int[Array, ""]) -> Array:
    # A sort is foreign, and what comes of it XLA cannot foresee.
    number = step & 255
    lower = jax.lax.sort(jnp.stack([number, number + 1]))[0]
    return value * (lower - number + 1).astype(value.dtype)
