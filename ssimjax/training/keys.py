"""Random keys: one root per run, a name for each use, a step for each time."""

import math
import zlib
from collections.abc import Callable

import jax
from jax.extend.random import define_prng_impl
from jaxtyping import Array, PRNGKeyArray

_IMPL = "threefry2x32"


def root_key(seed: int) -> PRNGKeyArray:
    """`jax.random.key(seed)`, from which drawing compiles quickly.

    On CPUs, LLVM unrolls the loops over short axes of an array with all rounds of
    threefry in them: to draw filters of 5x5x4x6 takes 2 to 5 seconds to compile. From
    this key arrays are drawn flat, which takes 0.5, and every number is the same.
    Elsewhere it is the usual key, of whose arrays every device draws its own part.

    Args:
      seed: of the run.

    Returns:
      The key.

    Example:
      >>> key = root_key(3)
      >>> usual = jax.random.key(3, impl="threefry2x32")
      >>> a, b = (jax.random.normal(k, (2, 3)) for k in (key, usual))
      >>> bool((a == b).all())
      True
    """
    on_cpu = jax.default_backend() == "cpu"
    return jax.random.key(seed, impl=_FLAT if on_cpu else _IMPL)


def named_key(key: PRNGKeyArray, name: str) -> PRNGKeyArray:
    """A key of its own for one use of randomness.

    Args:
      key: the run's root key.
      name: what the key is for, for example "init".

    Returns:
      A key that depends on both, and on no other use.

    Example:
      >>> root = jax.random.key(0)
      >>> bool((named_key(root, "init") == named_key(root, "train")).item())
      False
    """
    return jax.random.fold_in(key, zlib.crc32(name.encode()))


def _of_data(function: Callable[..., PRNGKeyArray]) -> Callable[..., Array]:
    """A function of keys as one of the numbers in them."""

    def of_data(data: Array, argument) -> Array:
        key = jax.random.wrap_key_data(data, impl=_IMPL)
        return jax.random.key_data(function(key, argument))

    return of_data


def _flat_bits(data: Array, width: int, shape: tuple[int, ...]) -> Array:
    key = jax.random.wrap_key_data(data, impl=_IMPL)
    return jax.random.bits(key, (math.prod(shape),), f"uint{width}").reshape(shape)


_FLAT = define_prng_impl(
    key_shape=(2,),
    seed=lambda seed: jax.random.key_data(jax.random.key(seed, impl=_IMPL)),
    split=_of_data(jax.random.split),
    random_bits=_flat_bits,
    fold_in=_of_data(jax.random.fold_in),
    name=f"flat_{_IMPL}",
    tag="ffry",
)
