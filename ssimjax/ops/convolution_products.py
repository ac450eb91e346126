"""Convolutions and their gradients as products of matrices, of some images at a time.

What a sliding filter sees lies unfolded in memory, once, for a product that takes all
cores. Which of these a convolution is made of is for `convolution.py` to say.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ssimjax.ops.loops import on_all_cores
from ssimjax.ops.strips import images_at_a_time
from ssimjax.ops.unfolding import fold, patches_in_rows, unfold

Margins = tuple[tuple[int, int], tuple[int, int]]
Steps = tuple[int, int]

# Of unfolded maps, which are written and read once.
_PATCH_BYTES = 2**22
# Maps of which a single one has more patches than this are not unfolded.
_MOST_PATCH_BYTES = 2**27


def unfolds(out: tuple[int, ...], kernel: tuple[int, ...]) -> bool:
    """Whether patches of a batch may be unfolded.

    Args:
      out: shape of what filters make of the batch.
      kernel: shape of the filters, whose number does not matter.

    Returns:
      False for batches that several devices may share, and for maps that are too large.

    Example:
      >>> unfolds((1, 8192, 8192, 1), (3, 3, 64, 1))
      False
    """
    return jax.device_count() == 1 and _patch_bytes(out, kernel) <= _MOST_PATCH_BYTES


def patches_times_filters(
    x: Float[Array, "b h w c_in"],
    kernel: Float[Array, "kh kw c_in c_out"],
    *,
    out: tuple[int, ...],
    padding: Margins,
    strides: Steps,
    precision: jax.lax.PrecisionLike,
) -> Float[Array, "b out_h out_w c_out"]:
    """A convolution: all patches times the filters.

    Args:
      x: feature maps.
      kernel: filters.
      out: shape of the result.
      padding: pixels of zeros before and after each spatial axis; fewer than none cut.
      strides: steps of the filters.
      precision: of the product.

    Returns:
      Feature maps.
    """
    kh, kw, _, c_out = kernel.shape
    taps = kernel.reshape(-1, c_out)
    margins = [(0, 0, 0), *((low, high, 0) for low, high in padding), (0, 0, 0)]

    def part(x: Array, taps: Array) -> Array:
        x = jax.lax.pad(x, jnp.zeros((), x.dtype), margins)
        patches = patches_in_rows(x, (kh, kw), strides=strides)
        sums = jnp.dot(patches.reshape(-1, len(taps)), taps, precision=precision)
        return sums.reshape(*patches.shape[:-1], c_out)

    images = _at_a_time(out, kernel.shape)
    if images == x.shape[0]:
        return part(x, taps)

    def of_group(group: tuple[Array, Array]) -> Array:
        step, x = group
        return part(x, on_all_cores(taps, step))

    return jax.lax.map(of_group, _numbered(x, images)).reshape(out)


def pixels_times_filters(
    maps: Float[Array, "b h w c"],
    kernel: Float[Array, "kh kw c_few c"],
    *,
    sides: tuple[int, int],
    padding: Margins,
    strides: Steps,
    precision: jax.lax.PrecisionLike,
) -> Float[Array, "b out_h out_w c_few"]:
    """The transpose of a convolution: every pixel times the filters, which are patches.

    These are added up where they lie. It is the gradient in maps of few channels, and
    under filters turned around a convolution with few filters: taps and filters
    together fill a matrix unit, which three filters by themselves do not.

    Args:
      maps: cotangents of the convolution.
      kernel: its filters.
      sides: height and width of the result.
      padding: of the convolution; fewer than none is cut.
      strides: steps of the filters.
      precision: of the product.

    Returns:
      Cotangents of what the convolution takes.
    """
    count, *out, channels = maps.shape
    *size, few, _ = kernel.shape
    height, width = (side + low + high for side, (low, high) in zip(sides, padding))

    taps = kernel.reshape(-1, channels)

    def part(maps: Array, taps: Array) -> Array:
        products = jax.lax.dot_general(
            taps,
            maps.reshape(-1, channels),
            (((1,), (1,)), ((), ())),
            precision,
        )
        views = products.reshape(*size, few, -1, *out)
        return fold(views, sides=(height, width), strides=strides)

    images = _at_a_time(maps.shape, kernel.shape)
    if images == count:
        sums = part(maps, taps)
    else:

        def of_group(group: tuple[Array, Array]) -> Array:
            step, maps = group
            return part(maps, on_all_cores(taps, step))

        groups = jax.lax.map(of_group, _numbered(maps, images))
        sums = groups.swapaxes(0, 1).reshape(few, count, height, width)
    cut = [(0, 0, 0)] * 2 + [(-low, -high, 0) for low, high in padding]
    return jax.lax.pad(sums, jnp.zeros((), sums.dtype), cut).transpose(1, 2, 3, 0)


def patches_times_maps(
    x: Float[Array, "b h w c_in"],
    cotangent: Float[Array, "b out_h out_w c_out"],
    *,
    size: tuple[int, int],
    padding: Margins,
    strides: Steps,
    precision: jax.lax.PrecisionLike,
) -> Float[Array, "kh kw c_in c_out"]:
    """The gradient of a convolution in its filters: all patches times the cotangent.

    Args:
      x: what the convolution takes.
      cotangent: of what it makes.
      size: height and width of the filters.
      padding: pixels of zeros before and after each spatial axis; fewer than none cut.
      strides: steps of the filters.
      precision: of the product.

    Returns:
      Gradients.
    """
    c_in = x.shape[-1]
    count, *out, c_out = cotangent.shape
    shape = (*size, c_in, c_out)
    margins = [(0, 0, 0)] * 2 + [(low, high, 0) for low, high in padding]

    def part(x: Array, cotangent: Array) -> Array:
        maps = jax.lax.pad(x.transpose(3, 0, 1, 2), jnp.zeros((), x.dtype), margins)
        patches = unfold(maps, size, strides=strides)
        patches = patches.reshape(math.prod(shape[:3]), -1)
        return jnp.matmul(patches, cotangent.reshape(-1, c_out), precision=precision)

    def add(
        total: Array, group: tuple[tuple[Array, Array], Array]
    ) -> tuple[Array, None]:
        (step, x), cotangent = group
        return total + on_all_cores(part(x, cotangent), step), None

    images = _at_a_time(cotangent.shape, shape)
    if images == count:
        return part(x, cotangent).reshape(shape)
    groups = _numbered(x, images), cotangent.reshape(-1, images, *out, c_out)
    zero = jnp.zeros((math.prod(shape[:3]), c_out), x.dtype)
    return jax.lax.scan(add, zero, groups)[0].reshape(shape)


def _numbered(x: Array, images: int) -> tuple[Array, Array]:
    """A batch in groups of so many images, and their numbers."""
    groups = x.reshape(-1, images, *x.shape[1:])
    return jnp.arange(len(groups)), groups


def _patch_bytes(out: tuple[int, ...], kernel: tuple[int, ...]) -> int:
    """Of all patches of one image."""
    return math.prod(out[1:3]) * math.prod(kernel[:3]) * 4


def _at_a_time(out: tuple[int, ...], kernel: tuple[int, ...]) -> int:
    return images_at_a_time(out[0], _patch_bytes(out, kernel), _PATCH_BYTES)
