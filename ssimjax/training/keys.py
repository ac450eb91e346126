"""Random keys: one root per run, a name for each use, a step for each time."""

import zlib

import jax
from jaxtyping import PRNGKeyArray


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
