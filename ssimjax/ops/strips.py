"""Means of maps and their gradients, strip by strip.

A map of windows, and everything it is made of, is as large as the image: on a CPU, the
time goes into memory that is written once and read once. In strips of rows nothing but
the images and their gradients ever leaves the cache. A small image is one strip, and
several small images go together.

The mean of a map has one number per image and channel, and its derivative is a product
with a map of gradients, computed along with it.
"""

import functools
import math
import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int

from ssimjax.ops.filtering import apart
from ssimjax.ops.loops import on_all_cores
from ssimjax.ops.map_means import (
    Arrays,
    ImageMap,
    MeansAndGradients,
    means_with_gradients,
)
from ssimjax.ops.pooling import over_count, row_sums
from ssimjax.ops.primitives import varying_alike

# A strip of one image. A map and its gradient need about ten of that size, which should
# stay in the cache; fresh memory costs more than the arithmetic on it.
_STRIP_BYTES = 2**18
# Rows at the edges of a strip are visited twice; strips are this many times higher.
_HALOS = 6
# Fewer strips than this save nothing.
_FEWEST = 3
# As many small images as are worth the start of a loop.
_GROUP_BYTES = 2**20
# XLA gives loops over more than about this to several cores, and wakes them for each:
# twice as much takes longer on two cores than one half after the other on one.
_ONE_CORE_BYTES = 3 * 2**14

_Images = tuple[Float[Array, "..."], Float[Array, "..."]]


class Tiling(NamedTuple):
    """How much is visited at a time.

    Attributes:
      images: images of the batch, a divisor of their number.
      rows: rows of each.
    """

    images: int
    rows: int


def tiling(
    x: Float[Array, "..."], y: Float[Array, "..."], *, halo: int, spatial_axes: int
) -> Tiling | None:
    """How many images and rows to visit at a time, or None where strips do not fit.

    Args:
      x: images `[*batch, *spatial, channels]`.
      y: images like x.
      halo: rows that a window has beyond its first.
      spatial_axes: number of spatial axes.

    Returns:
      Images and rows, all of them if they are small; None for images that broadcast,
      for signals, and elsewhere than on a CPU. A batch stays whole where several
      devices could share it.

    Example:
      >>> small = jnp.ones((4, 8, 8, 1))
      >>> tiling(small, small, halo=10, spatial_axes=2)
      Tiling(images=4, rows=8)
    """
    if jax.default_backend() != "cpu" or x.shape != y.shape or spatial_axes < 2:
        return None
    if not _is_known(x.shape):
        return None
    axis = x.ndim - 1 - spatial_axes
    images, height = math.prod(x.shape[:axis]), x.shape[axis]
    image_bytes = math.prod(x.shape[axis:]) * x.dtype.itemsize
    group_bytes, strip_bytes, fewest = _GROUP_BYTES, _STRIP_BYTES, _FEWEST
    if images * image_bytes <= 2 * _ONE_CORE_BYTES and jax.device_count() == 1:
        group_bytes, strip_bytes, fewest = _ONE_CORE_BYTES, _ONE_CORE_BYTES, 1
    images = images_at_a_time(images, image_bytes, group_bytes)
    row_bytes = max(1, images * image_bytes // height)
    rows = max(strip_bytes // row_bytes, _HALOS * halo, 1)
    return Tiling(images, rows if height >= fewest * rows + 2 * halo else height)


def images_at_a_time(count: int, image_bytes: int, group_bytes: int) -> int:
    """How many images of a batch to visit at a time.

    Args:
      count: images of the batch.
      image_bytes: of one of them.
      group_bytes: of so many as should be visited at a time.

    Returns:
      A divisor of `count`; all of them elsewhere than on one CPU device, for several
      devices could share the batch, and of a batch whose size is exported as unknown.

    Example:
      >>> images_at_a_time(6, 100, 700)
      6
    """
    known = _is_known((count, image_bytes))
    if jax.default_backend() != "cpu" or jax.device_count() > 1 or not known:
        return count
    most = max(1, min(count, group_bytes // max(1, image_bytes)))
    return max(n for n in range(1, most + 1) if count % n == 0)


def _is_known(sizes: Sequence[Any]) -> bool:
    """Whether all are numbers, which `jax.export` leaves open where it is told to."""
    return all(isinstance(size, int) for size in sizes)


def strip_means(
    maps: Sequence[ImageMap],
    values: Sequence[ImageMap],
    images: _Images,
    constants: Sequence[Float[Array, "..."]],
    *,
    halos: Sequence[int],
    weights: Sequence[float],
    tiles: Tiling,
    spatial_axes: int,
) -> Float[Array, "*batch c"]:
    """Weighted sum of the means of several maps over their windows, per channel.

        Σ_i weights_i · mean of map i

    Args:
      maps: functions of a pair of images and the constants, `[*batch, *map, channels]`
        with `halos` rows less than the images. No image or channel may see another.
      values: the same maps in a form that is faster without gradients.
      images: x and y, `[*batch, *spatial, channels]`.
      constants: further arguments of the maps, which have no derivative.
      halos: rows that a window of each map has beyond its first.
      weights: of the maps.
      tiles: images and rows to visit at a time.
      spatial_axes: number of spatial axes.

    Returns:
      Sums of means, with derivatives of any order in both images.

    Example:
      >>> x = jnp.arange(6.0).reshape(6, 1, 1)
      >>> maps = [lambda x, y: x[1:] * y[:-1]]
      >>> strip_means(
      ...     maps,
      ...     maps,
      ...     (x, x),
      ...     (),
      ...     halos=[1],
      ...     weights=[1.0],
      ...     tiles=Tiling(1, 2),
      ...     spatial_axes=2,
      ... ).tolist()
      [8.0]
    """
    axis = images[0].ndim - 1 - spatial_axes
    height = images[0].shape[axis]
    halo = max(halos)
    shapes = [jax.eval_shape(f, *images, *constants).shape for f in maps]
    counts = [math.prod(shape[axis:-1]) for shape in shapes]
    scales = [weight / count for weight, count in zip(weights, counts)]

    def add_level(
        wanted: tuple[int, ...],
        of_images: ImageMap,
        scale: float,
        gradients: Arrays,
        parts: Sequence[Array],
        owned: Bool[ArrayLike, " rows"],
    ) -> MeansAndGradients:
        def of_wanted(*chosen: Array) -> Array:
            pair = list(parts[:2])
            for index, image in zip(wanted, chosen):
                pair[index] = image
            return of_images(*pair, *parts[2:])

        map_, pull = jax.vjp(of_wanted, *(parts[index] for index in wanted))
        # Of numbers as they are, so that the mean of ones is 1.
        owned = jnp.asarray(owned, map_.dtype)
        sums = row_sums(map_, owned, spatial_axes=spatial_axes)
        pulled = pull(jnp.full_like(map_, scale)) if wanted else ()
        if gradients:  # Zeros would be written and read for nothing.
            pulled = tuple(a + b for a, b in zip(gradients, pulled))
        return sums, pulled

    def by_tiles(wanted: tuple[int, ...], arguments: Arrays) -> MeansAndGradients:
        # A row of a gradient needs all windows that see it: a halo more on both sides.
        plan = _plan(height, tiles.rows, halos, halo if wanted else 0)
        batch, count = arguments[0].shape[:axis], math.prod(arguments[0].shape[:axis])
        grouped = tiles.images < count
        if grouped:
            # Slices of one batch axis, for XLA would copy the images to give a loop
            # groups of them.
            arguments = tuple(
                jnp.broadcast_to(a, (*batch, *a.shape[axis:])).reshape(
                    count, *a.shape[axis:]
                )
                for a in arguments
            )
        rows_axis = 1 if grouped else axis
        firsts = np.arange(0, count, tiles.images) if grouped else np.zeros(1, int)
        steps = (
            jnp.asarray(firsts.repeat(np.size(plan.strips.start))),
            jax.tree.map(lambda a: np.concatenate([a] * len(firsts)), plan.strips),
        )

        def group(array: Array, first: Int[Array, ""]) -> Array:
            if not grouped:
                return array
            return jax.lax.dynamic_slice_in_dim(array, first, tiles.images)

        def put(array: Array, part: Array, first: Int[Array, ""], row: ArrayLike = 0):
            start = [jnp.zeros((), jnp.int32)] * array.ndim
            if grouped:
                start[0] = jnp.asarray(first, jnp.int32)
            start[rows_axis] = jnp.asarray(row, jnp.int32)
            return jax.lax.dynamic_update_slice(array, part, start)

        def add_tile(
            carry: MeansAndGradients, step: tuple[Int[Array, ""], _Strip]
        ) -> tuple[MeansAndGradients, None]:
            (sums, gradients), (first, strip) = carry, step
            if grouped:
                first = on_all_cores(first, first)
            else:
                row = jnp.asarray(strip.start)
                strip = strip._replace(start=on_all_cores(row, row))
            parts = [group(array, first) for array in arguments]
            if plan.size < height:
                # All that is made of a strip would else read it from memory again.
                parts[:2] = apart(
                    lambda row, *pair: [
                        jax.lax.dynamic_slice_in_dim(image, row, plan.size, rows_axis)
                        for image in pair
                    ],
                    strip.start,
                    *parts[:2],
                )

            found, pulled = [], ()
            chosen = maps if wanted else values
            for of_images, scale, owned in zip(chosen, scales, strip.owned):
                add = functools.partial(add_level, wanted, of_images, scale)
                if len(maps) > 1:
                    # One level after the other: side by side, they leave the cache.
                    add = functools.partial(apart, add)
                level, pulled = add(pulled, parts, owned)
                found.append(level)
            return (
                put(sums, group(sums, first) + jnp.stack(found, axis=-1), first),
                tuple(
                    put(
                        gradient,
                        jax.lax.dynamic_slice_in_dim(
                            new, strip.skip, plan.rows, rows_axis
                        ),
                        first,
                        strip.start + strip.skip,
                    )
                    for gradient, new in zip(gradients, reversed(pulled))
                ),
            ), None

        sums = jnp.zeros_like(
            arguments[0],
            shape=(*arguments[0].shape[:rows_axis], shapes[0][-1], len(maps)),
        )
        # The last image first, or XLA's CPU backend would make one of two gradients not
        # where it is returned, but in further memory as large as an image.
        gradients = tuple(jnp.zeros_like(arguments[i]) for i in reversed(wanted))
        (sums, gradients), _ = jax.lax.scan(add_tile, (sums, gradients), steps)
        means = [
            weight * over_count(sums[..., level], count)
            for level, (weight, count) in enumerate(zip(weights, counts))
        ]
        return jax.tree.map(
            lambda a: a.reshape(*batch, *a.shape[rows_axis:]),
            (functools.reduce(operator.add, means), gradients[::-1]),
        )

    return means_with_gradients(
        by_tiles,
        maps,
        varying_alike(*images, *constants),
        weights=weights,
        spatial_axes=spatial_axes,
    )


class _Strip(NamedTuple):
    """A strip of rows: where it starts, and what it is responsible for.

    Attributes:
      start: its first row in the image.
      skip: how many of its rows come before those whose gradients it has.
      owned: for each map, which of its rows of windows no strip before it had.
    """

    start: Int[ArrayLike, "..."]
    skip: Int[ArrayLike, "..."]
    owned: tuple[Bool[ArrayLike, "..."], ...]


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


def _plan(height: int, rows: int, halos: Sequence[int], margin: int) -> _Plan:
    """Strips of about so many rows, and a margin of windows before them."""
    halo = max(halos)
    total = height if margin else height - halo
    count = math.ceil(total / rows)
    rows = math.ceil(total / count)
    first = np.minimum(np.arange(count) * rows, total - rows)
    size = min(rows + halo + margin, height)
    # The first and the last are moved into the image, and overlap their neighbours.
    start = np.clip(first - margin, 0, height - size)

    def owned(halo: int) -> np.ndarray:
        windows = start[:, None] + np.arange(size - halo)
        seen = np.maximum.accumulate(np.append(0, windows[:-1, -1] + 1))
        return windows >= seen[:, None]

    strips = _Strip(start, first - start, tuple(owned(halo) for halo in halos))
    return _Plan(strips, size, rows)
