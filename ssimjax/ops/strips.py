"""Means of maps and their gradients, strip by strip.

A map of windows, and everything it is made of, is as large as the image: on a CPU, the
time goes into memory that is written once and read once. In strips of rows nothing but
the images and their gradients ever leaves the cache.

The mean of a map has one number per image and channel, and its derivative is a product
with a map of gradients, computed along with it. Derivatives of those gradients are left
to JAX, on the whole images.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int

from ssimjax.ops.pooling import channel_means

# A strip of one image. A map and its gradient need about ten of that size, which should
# stay in the cache; fresh memory costs more than the arithmetic on it.
_STRIP_BYTES = 3 * 2**19
# Rows at the edges of a strip are visited twice; strips are this many times higher.
_HALOS = 4
# Fewer strips than this save nothing.
_FEWEST = 3

_Values = Callable[..., Float[Array, "..."]]
_Images = tuple[Float[Array, "..."], Float[Array, "..."]]
_Arrays = tuple[Array, ...]
_MeansAndGradients = tuple[Array, tuple[Array, ...]]


def rows_per_strip(
    x: Float[Array, "..."], y: Float[Array, "..."], *, halo: int, spatial_axes: int
) -> int | None:
    """How high strips should be, or None where the whole is better.

    Args:
      x: images `[*batch, *spatial, channels]`.
      y: images like x.
      halo: rows that a window has beyond its first.
      spatial_axes: number of spatial axes.

    Returns:
      Rows, or None for images that are small or broadcast, signals, or not on a CPU.

    Example:
      >>> small = jnp.ones((8, 8, 1))
      >>> rows_per_strip(small, small, halo=10, spatial_axes=2) is None
      True
    """
    if jax.default_backend() != "cpu" or x.shape != y.shape or spatial_axes < 2:
        return None
    height = x.shape[-1 - spatial_axes]
    row_bytes = x.size * x.dtype.itemsize // height
    rows = max(_STRIP_BYTES // row_bytes, _HALOS * halo, 1)
    return rows if height >= _FEWEST * rows + 2 * halo else None


def strip_means(
    values: _Values,
    images: _Images,
    constants: Sequence[Float[Array, "..."]],
    *,
    halo: int,
    rows: int,
    spatial_axes: int,
) -> Float[Array, "*batch c"]:
    """Means over all windows of a map, per channel.

    Args:
      values: the map of a pair of images and the constants, `[*batch, *map, channels]`,
        with `halo` rows less than they have. No image or channel may see another.
      images: x and y, `[*batch, *spatial, channels]`.
      constants: further arguments of `values`, which have no derivative.
      halo: rows that a window has beyond its first.
      rows: rows of a strip.
      spatial_axes: number of spatial axes.

    Returns:
      Means, with derivatives of any order in both images.

    Example:
      >>> x = jnp.arange(6.0).reshape(6, 1, 1)
      >>> strip_means(
      ...     lambda x, y: x[1:] * y[:-1], (x, x), (), halo=1, rows=2, spatial_axes=2
      ... ).tolist()
      [8.0]
    """
    axis = images[0].ndim - 1 - spatial_axes
    height = images[0].shape[axis]
    shape = jax.eval_shape(values, *images, *constants).shape
    windows = math.prod(shape[axis:-1])

    def by_strips(wanted: tuple[int, ...], arguments: _Arrays) -> _MeansAndGradients:
        # A row of a gradient needs all windows that see it: a halo more on both sides.
        plan = _plan(height, rows, halo, halo if wanted else 0)

        def add_strip(carry: _MeansAndGradients, strip: _Strip):
            sums, gradients = carry
            parts = [
                jax.lax.dynamic_slice_in_dim(image, strip.start, plan.size, axis)
                for image in arguments[:2]
            ]

            def of_wanted(*chosen: Array) -> Array:
                pair = list(parts)
                for index, image in zip(wanted, chosen):
                    pair[index] = image
                return values(*pair, *arguments[2:])

            part, pull = jax.vjp(of_wanted, *(parts[index] for index in wanted))
            rows_of_sums = _row_sums(part, spatial_axes)
            sums += jnp.einsum(
                "...rc,r->...c",
                rows_of_sums,
                jnp.asarray(strip.owned, part.dtype),
                precision=jax.lax.Precision.HIGHEST,
            )
            pulled = pull(jnp.full_like(part, 1 / windows)) if wanted else ()
            return (
                sums,
                tuple(
                    jax.lax.dynamic_update_slice_in_dim(
                        gradient,
                        jax.lax.dynamic_slice_in_dim(new, strip.skip, plan.rows, axis),
                        strip.start + strip.skip,
                        axis,
                    )
                    for gradient, new in zip(gradients, pulled)
                ),
            ), None

        sums = jnp.zeros((*shape[:axis], shape[-1]), arguments[0].dtype)
        gradients = tuple(jnp.zeros_like(arguments[index]) for index in wanted)
        (sums, gradients), _ = jax.lax.scan(add_strip, (sums, gradients), plan.strips)
        return sums / windows, gradients

    def whole(wanted: tuple[int, ...], arguments: _Arrays) -> _MeansAndGradients:
        def means_of(*chosen: Array) -> Array:
            pair = list(arguments)
            for index, image in zip(wanted, chosen):
                pair[index] = image
            return channel_means(values(*pair), spatial_axes=spatial_axes)[0]

        means, pull = jax.vjp(means_of, *(arguments[index] for index in wanted))
        return means, pull(jnp.ones_like(means))

    def with_gradients(wanted: tuple[int, ...]) -> Callable[..., _MeansAndGradients]:
        @jax.custom_jvp
        def function(*arguments: Array) -> _MeansAndGradients:
            return by_strips(wanted, arguments)

        @function.defjvp
        def _(primals: _Arrays, tangents: _Arrays):
            return jax.jvp(lambda *given: whole(wanted, given), primals, tangents)

        return function

    @jax.custom_jvp
    def means(*arguments: Array) -> Array:
        return by_strips((), arguments)[0]

    @functools.partial(means.defjvp, symbolic_zeros=True)
    def _(primals: _Arrays, tangents: tuple[Any, ...]):
        wanted = tuple(
            index for index in (0, 1) if not isinstance(tangents[index], SymbolicZero)
        )
        value, gradients = with_gradients(wanted)(*primals)
        tangent = jnp.zeros_like(value)
        for index, gradient in zip(wanted, gradients):
            products = gradient * tangents[index]
            tangent += products.sum(tuple(range(-1 - spatial_axes, -1)))
        return value, tangent

    return means(*images, *constants)


class _Strip(NamedTuple):
    """A strip of rows: where it starts, and what it is responsible for.

    Attributes:
      start: its first row in the image.
      skip: how many of its rows come before those whose gradients it has.
      owned: which of its rows of windows no strip before it had.
    """

    start: Int[ArrayLike, "..."]
    skip: Int[ArrayLike, "..."]
    owned: Bool[ArrayLike, "..."]


class _Plan(NamedTuple):
    """Strips of one size that cover an image.

    Attributes:
      strips: all of them, one along the first axis of each field.
      size: rows of a strip.
      rows: rows whose gradients a strip has.
    """

    strips: _Strip
    size: int
    rows: int


def _plan(height: int, rows: int, halo: int, margin: int) -> _Plan:
    """Strips of about so many rows, and a margin of windows before them."""
    total = height if margin else height - halo
    count = math.ceil(total / rows)
    rows = math.ceil(total / count)
    first = np.minimum(np.arange(count) * rows, total - rows)
    size = rows + halo + margin
    # The first and the last are moved into the image, and overlap their neighbours.
    start = np.clip(first - margin, 0, height - size)
    windows = start[:, None] + np.arange(size - halo)
    seen = np.maximum.accumulate(np.append(0, windows[:-1, -1] + 1))
    return _Plan(_Strip(start, first - start, windows >= seen[:, None]), size, rows)


def _row_sums(map_: Float[Array, "..."], spatial_axes: int) -> Float[Array, "... r c"]:
    """Sums over all spatial axes but the first."""
    ones = jnp.ones(map_.shape[-2], map_.dtype)
    sums = jnp.einsum("...wc,w->...c", map_, ones, precision=jax.lax.Precision.HIGHEST)
    return sums.sum(tuple(range(1 - spatial_axes, -1)))
