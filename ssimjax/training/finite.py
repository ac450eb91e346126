"""Which arrays of a training state hold numbers that are not finite."""

from typing import Any

import jax
import jax.numpy as jnp


def nonfinite_leaves(state: Any) -> list[str]:
    """Names of leaves with a NaN or an infinity; all processes call it together.

    Args:
      state: a tree of arrays.

    Returns:
      Paths such as "params/kernel", in the order of the tree.

    Example:
      >>> nonfinite_leaves({"a": jnp.ones(2), "b": {"c": jnp.array([0.0, jnp.nan])}})
      ['b/c']
    """
    finite = jax.device_get(_finite(state))
    return [
        jax.tree_util.keystr(path, simple=True, separator="/")
        for path, value in jax.tree_util.tree_leaves_with_path(finite)
        if not value
    ]


@jax.jit
def _finite(state: Any) -> Any:
    """Whether all numbers of each leaf are finite; keys and integers are."""
    return jax.tree.map(
        lambda leaf: (
            jnp.isfinite(leaf).all()
            if jnp.issubdtype(leaf.dtype, jnp.inexact)
            else jnp.array(True)
        ),
        state,
    )
