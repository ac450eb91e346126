"""Means of maps whose gradients are computed along with them.

How, is for `strips` and `columns` to say. Derivatives of those gradients are left to
JAX, on whole maps.
"""

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float

from ssimjax.ops.moments import Moments
from ssimjax.ops.pooling import channel_means

ImageMap = Callable[..., Float[Array, "..."]]
WindowFormula = Callable[[Moments], Float[Array, "..."]]
Arrays = tuple[Array, ...]
MeansAndGradients = tuple[Array, Arrays]


class WindowMap(NamedTuple):
    """A map as a formula, where an `ImageMap` says no more than what comes out.

    Attributes:
      formula: pointwise arithmetic on the moments of a window.
      taps: weights of the window along each axis.
      factor: of variances, P / (P - 1) of sample variances, or 1.
    """

    formula: WindowFormula
    taps: tuple[tuple[float, ...], ...]
    factor: float


def means_with_gradients(
    fast: Callable[[tuple[int, ...], Arrays], MeansAndGradients],
    maps: Sequence[ImageMap],
    arguments: Sequence[Float[Array, "..."]],
    *,
    weights: Sequence[float],
    spatial_axes: int,
) -> Float[Array, "*batch c"]:
    """Weighted sum of the means of several maps over their windows, per channel.

        Σ_i weights_i · mean of map i

    Args:
      fast: computes these sums and the gradients in some images, 0 for the first and 1
        for the second, of the indices of these images and the arguments.
      maps: functions of the arguments, `[*batch, *map, channels]`. No image or channel
        may see another.
      arguments: a pair of images, and constants, which have no derivative.
      weights: of the maps.
      spatial_axes: number of spatial axes.

    Returns:
      The sums, with derivatives of any order in both images.

    Example:
      >>> def fast(wanted, images):
      ...     means = (images[0] * images[1]).mean((0, 1))
      ...     return means, tuple(images[1 - index] for index in wanted)
      >>> x = jnp.ones((1, 1, 1))
      >>> means_with_gradients(
      ...     fast, [operator.mul], (x, 3 * x), weights=[1.0], spatial_axes=2
      ... ).tolist()
      [3.0]
    """

    def whole(wanted: tuple[int, ...], arguments: Arrays) -> MeansAndGradients:
        def means_of(*chosen: Array) -> Array:
            pair = list(arguments)
            for index, image in zip(wanted, chosen):
                pair[index] = image
            parts = [
                weight * channel_means(f(*pair), spatial_axes=spatial_axes)[0]
                for weight, f in zip(weights, maps)
            ]
            return functools.reduce(operator.add, parts)

        means, pull = jax.vjp(means_of, *(arguments[index] for index in wanted))
        return means, pull(jnp.ones_like(means))

    def with_gradients(wanted: tuple[int, ...]) -> Callable[..., MeansAndGradients]:
        @jax.custom_jvp
        def function(*arguments: Array) -> MeansAndGradients:
            return fast(wanted, arguments)

        @function.defjvp
        def _(primals: Arrays, tangents: Arrays):
            return jax.jvp(lambda *given: whole(wanted, given), primals, tangents)

        return function

    @jax.custom_jvp
    def means(*arguments: Array) -> Array:
        return fast((), arguments)[0]

    @functools.partial(means.defjvp, symbolic_zeros=True)
    def _(primals: Arrays, tangents: tuple[Any, ...]):
        wanted = tuple(
            index for index in (0, 1) if not isinstance(tangents[index], SymbolicZero)
        )
        value, gradients = with_gradients(wanted)(*primals)
        tangent = jnp.zeros_like(value)
        for index, gradient in zip(wanted, gradients):
            products = gradient * tangents[index]
            tangent += products.sum(tuple(range(-1 - spatial_axes, -1)))
        return value, tangent

    return means(*arguments)
