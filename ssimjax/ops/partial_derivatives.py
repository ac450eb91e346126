"""Formulas of the moments of patches and filters, with gradients of few passes.

A formula is pointwise on a matrix with a row per patch and a column per filter, where
moments of patches are a column and those of filters a row. Its derivative is a sum of
partial derivatives times changes. JAX's own gradient keeps whole matrices of what the
partial derivatives share, and sums others over rows and columns, which takes XLA's CPU
backend several times as long as the formula itself.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float

from ssimjax.ops.loops import on_all_cores
from ssimjax.ops.moments import Moments
from ssimjax.ops.primitives import varying_alike

Compare = Callable[[Moments], Float[Array, "..."]]
# Of one matrix; a gradient needs about ten of that size, which should all stay in the
# cache.
_GROUP_BYTES = 2**18


def over_patches(
    compare: Compare, moments: Moments
) -> Float[Array, "b out_h out_w c_out"]:
    """A formula of the moments of all patches and filters.

    Args:
      compare: made of moments, element by element.
      moments: as `patch_moments` returns them.

    Returns:
      `compare(moments)`, with derivatives of any order. On a CPU the gradient is made
      of a few patches at a time.

    Example:
      >>> patch, filters = jnp.ones((1, 4, 4, 1)), jnp.ones((1, 1, 1, 2))
      >>> moments = Moments(patch, filters, patch, filters, patch * filters)
      >>> over_patches(lambda m: m.mean_x * m.mean_y, moments).shape
      (1, 4, 4, 2)
    """
    if jax.default_backend() != "cpu":
        return compare(moments)
    rows = jax.tree.map(lambda a: a.reshape(-1, a.shape[-1]), moments)
    values = by_partial_derivatives(compare, group_bytes=_GROUP_BYTES)(rows)
    return values.reshape(moments.cov_xy.shape)


def by_partial_derivatives(
    compare: Compare, *, group_bytes: int | None = None
) -> Compare:
    """A formula whose gradient takes few passes over matrices.

    Partial derivatives of patches and of filters are spread by products with ones, and
    so the gradient sums by products. Each is computed from the moments again, in one
    pass, for what they share would be matrices as well.

    Args:
      compare: made of moments, element by element.
      group_bytes: of so many rows as the gradient is made of at a time; None for all,
        which it is, too, where several devices could share them.

    Returns:
      The same function of moments, which are matrices with a row per patch and a
      column per filter, or one of either; with derivatives of any order.

    Example:
      >>> row, column = jnp.ones((1, 3)), jnp.ones((2, 1))
      >>> moments = Moments(column, row, column, row, column * row)
      >>> f = by_partial_derivatives(lambda m: m.mean_x * m.cov_xy)
      >>> jax.grad(lambda m: f(m).sum())(moments).mean_x[:, 0].tolist()
      [3.0, 3.0]
    """

    @jax.custom_jvp
    def function(moments: Moments) -> Array:
        return compare(moments)

    def term(moments: Moments, change: Array, name: str) -> Array:
        def of_one(value: Array) -> Array:
            return compare(moments._replace(**{name: value}))

        shape = moments.cov_xy.shape
        full = jnp.broadcast_to(getattr(moments, name), shape)
        value, pull = jax.vjp(of_one, full)
        return pull(jnp.ones_like(value))[0] * _spread(change, shape)

    term = jax.checkpoint(term, static_argnums=2)

    def change_of(
        step: Array | None, moments: Moments, changes: dict[str, Array]
    ) -> Array:
        if step is not None:
            smallest = min(changes, key=lambda name: changes[name].size)
            changes = changes | {smallest: on_all_cores(changes[smallest], step)}
        terms = [term(moments, change, name) for name, change in changes.items()]
        return sum(terms[1:], start=terms[0])

    @functools.partial(function.defjvp, symbolic_zeros=True)
    def _(primals: tuple[Moments], tangents: tuple[Moments]) -> tuple[Array, Array]:
        (moments,), (given,) = primals, tangents
        changes = {
            name: change
            for name, change in given._asdict().items()
            if change is not None and not isinstance(change, SymbolicZero)
        }
        value = compare(moments)
        if not changes:
            return value, jnp.zeros_like(value)
        rows, columns = value.shape
        group = rows
        if rows and group_bytes is not None and jax.device_count() == 1:
            group = _nearest_divisor(
                rows, group_bytes / (columns * value.dtype.itemsize)
            )
        return value, _in_groups(change_of, (moments, changes), rows, group)

    def of_alike(moments: Moments) -> Array:
        # Else filters that all devices share would get their own device's gradient.
        leaves, tree = jax.tree.flatten(moments)
        return function(jax.tree.unflatten(tree, varying_alike(*leaves)))

    return of_alike


def _in_groups(
    function: Callable[..., Array], arguments: tuple[Any, ...], rows: int, group: int
) -> Array:
    """A function of matrices with so many rows, or with one, of some rows at a time.

    It is also given the number of the group, or None where there is but one.
    """
    if group == rows:
        return function(None, *arguments)
    leaves, tree = jax.tree.flatten(arguments)
    split = [leaf.shape[0] == rows for leaf in leaves]

    def of_group(numbered: tuple[Array, list[Array]]) -> Array:
        step, parts = numbered
        rest = iter(parts)
        whole = [next(rest) if s else leaf for s, leaf in zip(split, leaves)]
        return function(step, *jax.tree.unflatten(tree, whole))

    parts = [
        leaf.reshape(rows // group, group, leaf.shape[1])
        for s, leaf in zip(split, leaves)
        if s
    ]
    steps = jnp.arange(rows // group)
    return jax.lax.map(of_group, (steps, parts)).reshape(rows, -1)


def _nearest_divisor(count: int, wanted: float) -> int:
    """That which is wanted, or few times as much or as little."""
    small = [n for n in range(1, math.isqrt(count) + 1) if count % n == 0]
    divisors = small + [count // n for n in small]
    return min(divisors, key=lambda n: max(n / wanted, wanted / n))


def _spread(field: Array, shape: tuple[int, ...]) -> Array:
    """Broadcasts a column or a row to a matrix."""
    if field.shape == shape:
        return field
    if field.shape[0] == 1:
        pair = jnp.ones((shape[0], 1), field.dtype), field
    else:
        pair = field, jnp.ones((1, shape[1]), field.dtype)
    return jnp.dot(*pair, precision=jax.lax.Precision.HIGHEST)
