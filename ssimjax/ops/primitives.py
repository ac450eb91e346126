"""What the primitives and loops of these rooms owe to JAX's own modes."""

import functools
from typing import Any

import jax
from jax.extend.core import Primitive
from jaxtyping import Array


def evaluate_compiled(primitive: Primitive, *static: str) -> None:
    """Lets a primitive be called outside of programs, where it is compiled alone.

    Args:
      primitive: that has rules for its shape and its lowering.
      *static: names of its parameters.
    """
    program = jax.jit(primitive.bind, static_argnames=static)

    def evaluate(*arrays: Array, **parameters: Any) -> Array:
        # Under `jax.disable_jit`, the program would be this function, without end.
        with jax.disable_jit(False):
            return program(*arrays, **parameters)

    primitive.def_impl(evaluate)


def varying_alike(*arrays: Array) -> tuple[Array, ...]:
    """Arrays of one type within `jax.shard_map`, as loops and products need them.

    There, values that may differ from device to device have another type than those
    that do not, and JAX casts operands of its own functions alone.

    Args:
      *arrays: of which some may differ along some axes of a mesh.

    Returns:
      The same arrays, all of which may differ along all of these axes. The gradient in
      one that did not is a sum over devices.

    Example:
      >>> import jax.numpy as jnp
      >>> len(varying_alike(jnp.ones(2), jnp.zeros(3)))
      2
    """
    own = [jax.typeof(array).manual_axis_type.varying for array in arrays]
    all_axes = functools.reduce(frozenset.union, own, frozenset())
    return tuple(
        jax.lax.pcast(array, tuple(all_axes - axes), to="varying")
        for array, axes in zip(arrays, own)
    )
