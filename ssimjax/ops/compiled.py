"""Public metrics as one compiled program each, also where they are called by hand."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from ssimjax.ops.images import prepare
from ssimjax.ops.meshes import on_any_mesh

_P = ParamSpec("_P")
_R = TypeVar("_R")


def compiled(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Compiles a function of images; every other argument than a mask is a constant.

    Called by hand, an uncompiled metric would be compiled and run operation by
    operation. Within `jax.jit`, `jax.grad` and `jax.vmap` nothing changes.

    Args:
      function: a function of arrays by position and of options by name.

    Returns:
      The function. Checks of values, which a program cannot make, come before it.

    Example:
      >>> @compiled
      ... def difference(x, y, *, power=1):
      ...     return ((x - y) ** power).mean()
      >>> float(difference(jnp.ones(3), jnp.zeros(3), power=2))
      1.0
    """
    signature = inspect.signature(function)
    arrays = ["mask"] + [
        name
        for name, parameter in signature.parameters.items()
        if parameter.kind is not parameter.KEYWORD_ONLY
    ]
    constants = [name for name in signature.parameters if name not in arrays]
    program = jax.jit(on_any_mesh(function), static_argnames=constants)

    @functools.wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        bound = signature.bind(*args, **kwargs)
        given: dict[str, Any] = {
            name: _constant(name, value) if name in constants else value
            for name, value in bound.arguments.items()
        }
        if given.get("mask") is not None or given.get("check_range"):
            bound.apply_defaults()
            known = dict(bound.arguments)
            names = ("data_range", "mask", "spatial_axes", "check_range")
            prepare(
                *(known[name] for name in arrays if name != "mask"),
                **{name: known[name] for name in names if name in known},
            )
        for name in arrays:
            if given.get(name) is not None:
                given[name] = jnp.asarray(given[name])
        return program(**given)

    return call


def _constant(name: str, option: Any) -> Any:
    """Lists and arrays as tuples, and numbers of NumPy and JAX as Python's."""
    if isinstance(option, jax.core.Tracer):
        raise TypeError(
            f"{name} must be known when the program is compiled, got {option}: make it "
            "a static argument of the function that is transformed, or a constant"
        )
    if isinstance(option, np.ndarray | np.generic | jax.Array):
        option = option.tolist()
    if isinstance(option, list | tuple) and not hasattr(option, "_fields"):
        return tuple(_constant(name, each) for each in option)
    return option
