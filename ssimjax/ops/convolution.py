"""Convolutions and their gradients as CPUs do them best.

JAX writes the gradients of a convolution as convolutions with axes in another order,
filters as large as the maps, and zeros between the pixels of a strided one. XLA's CPU
backend is slow with all three: 128 maps of 16x16x64 under 3x3 filters took 190 ms with
the gradient in 64 filters instead of 30 (two cores, jax 0.10), and 100 maps of 16x16x32
in a loop 1.8 s. Here the gradient in the filters is a product of matrices, of patches
and cotangents; that in the maps is a plain convolution, of all pixels of a block at
once where there are strides.

Elsewhere convolutions are those of `jax.lax`.
"""

import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Float

from ssimjax.ops.strips import images_at_a_time
from ssimjax.ops.unfolding import fold, patches_in_rows, unfold

Margins = tuple[tuple[int, int], tuple[int, int]]
Steps = tuple[int, int]
_ORDER = ("NHWC", "HWIO", "NHWC")
_ONE = (1, 1)
# Of unfolded maps, which are written and read once.
_PATCH_BYTES = 2**22
# Maps of which a single one has more patches than this are not unfolded.
_MOST_PATCH_BYTES = 2**27
# A gradient in maps of no more channels is made by products, too.
_FEW_CHANNELS = 4
# Before jax 0.11, XLA gives convolutions of float32 to YNNPACK, which takes one core,
# but none whose result has more rows than the maps. Those go to Eigen, which takes all
# cores, and is as fast if there are so many channels and filters.
_ON_ONE_CORE = jax.__version_info__ < (0, 11)
_EIGEN_CHANNELS, _EIGEN_FILTERS = 8, 16


def correlate(
    x: Float[Array, "b h w c_in"],
    kernel: Float[Array, "kh kw c_in c_out"],
    *,
    padding: Sequence[tuple[int, int]],
    strides: Sequence[int] = _ONE,
    precision: jax.lax.PrecisionLike = None,
) -> Float[Array, "b out_h out_w c_out"]:
    """What networks call a convolution.

        out[b, i, j, o] = Σ_{u, v, c} x[b, s i + u, t j + v, c] kernel[u, v, c, o]

    Args:
      x: feature maps.
      kernel: filters.
      padding: pixels of zeros before and after each spatial axis.
      strides: s and t.
      precision: of the products.

    Returns:
      Feature maps, with derivatives of any order in both.

    Example:
      >>> x, kernel = jnp.ones((1, 8, 8, 3)), jnp.ones((5, 5, 3, 2))
      >>> correlate(x, kernel, padding=((2, 2), (2, 2))).shape
      (1, 8, 8, 2)
    """
    (top, bottom), (left, right) = padding
    down, across = strides
    options = {
        "padding": ((top, bottom), (left, right)),
        "strides": (down, across),
        "precision": precision,
    }
    if jax.default_backend() != "cpu":
        return _plain(x, kernel, **options)
    return _correlate.bind(x, kernel, **options)


def _plain(
    x: Array,
    kernel: Array,
    *,
    padding: Margins,
    strides: Steps,
    precision: jax.lax.PrecisionLike,
) -> Array:
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        strides,
        padding,
        dimension_numbers=_ORDER,
        precision=precision,
    )


def _on_all_cores(x: Array, kernel: Array, **options) -> Array:
    """`_plain`, otherwise where that brings it to all cores.

    With rows that are cut off again, or as a product.
    """
    out = _out_shape(x.shape, kernel.shape, **options)
    c_in = kernel.shape[2]
    odd = 1 < c_in < _EIGEN_CHANNELS and c_in % 2
    if _ON_ONE_CORE and odd and _unfolds(out, kernel.shape):
        return _by_product(x, kernel, **options)
    rows = out[1]
    more = x.shape[1] - rows + 1
    suits = kernel.shape[2] >= _EIGEN_CHANNELS and kernel.shape[3] >= _EIGEN_FILTERS
    # Filters of one tap are products of matrices anyway.
    suits = suits and options["strides"] == _ONE and kernel.shape[:2] != _ONE
    if not _ON_ONE_CORE or not suits or not 0 < more <= rows // 7:
        return _plain(x, kernel, **options)
    (top, bottom), across = options["padding"]
    options["padding"] = ((top, bottom + more), across)
    return _plain(x, kernel, **options)[:, :rows]


def _by_product(
    x: Array,
    kernel: Array,
    *,
    padding: Margins,
    strides: Steps,
    precision: jax.lax.PrecisionLike,
) -> Array:
    """`_plain` as a product of patches and filters."""
    kh, kw, _, c_out = kernel.shape
    taps = kernel.reshape(-1, c_out)

    def part(x: Array) -> Array:
        patches = patches_in_rows(
            jnp.pad(x, ((0, 0), *padding, (0, 0))), (kh, kw), strides=strides
        )
        sums = jnp.dot(patches.reshape(-1, len(taps)), taps, precision=precision)
        return sums.reshape(*patches.shape[:-1], c_out)

    out = _out_shape(
        x.shape, kernel.shape, padding=padding, strides=strides, precision=precision
    )
    images = _at_a_time(out, kernel.shape)
    if images == len(x):
        return part(x)
    return jax.lax.map(part, x.reshape(-1, images, *x.shape[1:])).reshape(out)


def _in_x(
    cotangent: Array,
    x,
    kernel: Array,
    *,
    padding: Margins,
    strides: Steps,
    precision: jax.lax.PrecisionLike,
) -> Array:
    """The maps' gradient: the cotangent under the filters turned around."""
    sides = x.aval.shape[1:3]
    if kernel.shape[2] <= _FEW_CHANNELS and _unfolds(cotangent.shape, kernel.shape):
        return _in_few_channels(cotangent, kernel, sides, padding, strides, precision)
    if strides != _ONE:
        return _in_blocks(cotangent, kernel, sides, padding, strides, precision)
    margins = tuple(
        (size - 1 - low, size - 1 - high)
        for size, (low, high) in zip(kernel.shape, padding)
    )
    return _correlate.bind(
        cotangent,
        _turned(kernel),
        padding=margins,
        strides=_ONE,
        precision=precision,
    )


def _in_few_channels(
    cotangent: Array,
    kernel: Array,
    sides: tuple[int, int],
    padding: Margins,
    strides: Steps,
    precision: jax.lax.PrecisionLike,
) -> Array:
    """`_in_x` by products that are patches of the gradient, added up where they lie."""
    count, *out, c_out = cotangent.shape
    *size, c_in, _ = kernel.shape
    height, width = (side + low + high for side, (low, high) in zip(sides, padding))

    def part(cotangent: Array) -> Array:
        products = jax.lax.dot_general(
            kernel.reshape(-1, c_out),
            cotangent.reshape(-1, c_out),
            (((1,), (1,)), ((), ())),
            precision,
        )
        views = products.reshape(*size, c_in, -1, *out)
        return fold(views, sides=(height, width), strides=strides)

    images = _at_a_time(cotangent.shape, kernel.shape)
    if images == count:
        gradient = part(cotangent)
    else:
        groups = jax.lax.map(part, cotangent.reshape(-1, images, *out, c_out))
        gradient = groups.swapaxes(0, 1).reshape(c_in, count, height, width)
    cut = [(0, 0, 0)] * 2 + [(-low, -high, 0) for low, high in padding]
    gradient = jax.lax.pad(gradient, jnp.zeros((), gradient.dtype), cut)
    return gradient.transpose(1, 2, 3, 0)


def _in_blocks(
    cotangent: Array,
    kernel: Array,
    sides: tuple[int, int],
    padding: Margins,
    strides: Steps,
    precision: jax.lax.PrecisionLike,
) -> Array:
    """`_in_x` for strides: all pixels of a block of the maps as channels of one pixel.

    Filters are filled up with zeros until their taps, too, are whole blocks that begin
    where those of the maps do.
    """
    taps, blocks, margins, filled = [], [], [], []
    for side, size, out, step, (low, _) in zip(
        sides, kernel.shape, cotangent.shape[1:3], strides, padding
    ):
        before = -low % step
        count = -(-(before + size) // step)
        filled.append((before, count * step - before - size))
        taps.append(count)
        blocks.append(-(-side // step))
        margin = count - 1 - (low + before) // step
        margins.append((margin, blocks[-1] - out + count - 1 - margin))
    (down, across), (rows, columns) = strides, blocks
    c_in, c_out = kernel.shape[2:]
    kernel = jnp.pad(kernel, (*filled, (0, 0), (0, 0)))
    kernel = kernel.reshape(taps[0], down, taps[1], across, c_in, c_out)
    kernel = kernel.transpose(0, 2, 1, 3, 4, 5)
    kernel = kernel.reshape(*taps, down * across * c_in, c_out)
    out = _correlate.bind(
        cotangent,
        _turned(kernel),
        padding=tuple(margins),
        strides=_ONE,
        precision=precision,
    )
    out = out.reshape(-1, rows, columns, down, across, c_in).swapaxes(2, 3)
    out = out.reshape(-1, rows * down, columns * across, c_in)
    return out[:, : sides[0], : sides[1]]


def _turned(kernel: Array) -> Array:
    return jnp.swapaxes(kernel[::-1, ::-1], 2, 3)


def _in_kernel(
    cotangent: Array,
    x: Array,
    kernel,
    *,
    padding: Margins,
    strides: Steps,
    precision: jax.lax.PrecisionLike,
) -> Array:
    """The filters' gradient: all patches times the cotangent."""
    kh, kw, c_in, c_out = kernel.aval.shape
    if not _unfolds(cotangent.shape, kernel.aval.shape):
        return _in_kernel_plain(cotangent, x, (kh, kw), padding, strides, precision)
    count, *out, _ = cotangent.shape
    margins = [(0, 0, 0)] * 2 + [(low, high, 0) for low, high in padding]

    def part(x: Array, cotangent: Array) -> Array:
        maps = jax.lax.pad(x.transpose(3, 0, 1, 2), jnp.zeros((), x.dtype), margins)
        patches = unfold(maps, (kh, kw), strides=strides)
        patches = patches.reshape(kh * kw * c_in, -1)
        return jnp.matmul(patches, cotangent.reshape(-1, c_out), precision=precision)

    def add(total: Array, group: tuple[Array, Array]) -> tuple[Array, None]:
        return total + part(*group), None

    images = _at_a_time(cotangent.shape, kernel.aval.shape)
    if images == count:
        return part(x, cotangent).reshape(kh, kw, c_in, c_out)
    groups = (
        x.reshape(-1, images, *x.shape[1:]),
        cotangent.reshape(-1, images, *out, c_out),
    )
    zero = jnp.zeros((kh * kw * c_in, c_out), x.dtype)
    return jax.lax.scan(add, zero, groups)[0].reshape(kh, kw, c_in, c_out)


def _in_kernel_plain(
    cotangent: Array,
    x: Array,
    size: tuple[int, int],
    padding: Margins,
    strides: Steps,
    precision: jax.lax.PrecisionLike,
) -> Array:
    """`_in_kernel` as a convolution of the maps with the cotangent.

    For batches that several devices may share, and for maps too large to be unfolded.
    """
    # Without the last pixels, if strides leave some over that no filter sees.
    margins = [
        (low, step * (out - 1) + taps - side - low)
        for side, taps, out, step, (low, _) in zip(
            x.shape[1:3], size, cotangent.shape[1:3], strides, padding
        )
    ]
    sums = jax.lax.conv_general_dilated(
        jnp.transpose(x, (3, 1, 2, 0)),
        jnp.transpose(cotangent, (1, 2, 0, 3)),
        _ONE,
        margins,
        rhs_dilation=strides,
        dimension_numbers=_ORDER,
        precision=precision,
    )
    return jnp.transpose(sums, (1, 2, 0, 3))


def _patch_bytes(out: tuple[int, ...], kernel: tuple[int, ...]) -> int:
    """Of all patches of one image."""
    return math.prod(out[1:3]) * math.prod(kernel[:3]) * 4


def _unfolds(out: tuple[int, ...], kernel: tuple[int, ...]) -> bool:
    return jax.device_count() == 1 and _patch_bytes(out, kernel) <= _MOST_PATCH_BYTES


def _at_a_time(out: tuple[int, ...], kernel: tuple[int, ...]) -> int:
    return images_at_a_time(out[0], _patch_bytes(out, kernel), _PATCH_BYTES)


def _batched(arrays, dimensions, **options):
    (x, kernel), (axis, kernel_axis) = arrays, dimensions
    if kernel_axis is None:
        x = jnp.moveaxis(x, axis, 0)
        merged = x.reshape(-1, *x.shape[2:])
        out = _correlate.bind(merged, kernel, **options)
        return out.reshape(*x.shape[:2], *out.shape[1:]), 0

    if jax.device_count() == 1:
        # One after the other: XLA's convolution of groups of channels is slower.
        kernel = jnp.moveaxis(kernel, kernel_axis, 0)
        if axis is None:
            bind = functools.partial(_correlate.bind, x, **options)
            return jax.lax.map(bind, kernel), 0
        pairs = jnp.moveaxis(x, axis, 0), kernel
        return jax.lax.map(lambda pair: _correlate.bind(*pair, **options), pairs), 0

    def one(x: Array, kernel: Array) -> Array:
        return _plain(x, kernel, **options)

    return jax.vmap(one, (axis, kernel_axis))(x, kernel), 0


def _out_shape(
    x: tuple[int, ...],
    kernel: tuple[int, ...],
    *,
    padding: Margins,
    strides: Steps,
    precision: jax.lax.PrecisionLike,
) -> tuple[int, ...]:
    del precision
    sides = [
        (side + low + high - size) // step + 1
        for side, size, step, (low, high) in zip(x[1:3], kernel, strides, padding)
    ]
    return x[0], *sides, kernel[3]


def _abstract(x, kernel, **options):
    return x.update(shape=_out_shape(x.shape, kernel.shape, **options))


_correlate = Primitive("correlate")
_correlate.def_impl(
    jax.jit(
        _correlate.bind,
        static_argnames=("padding", "strides", "precision"),
    )
)
_correlate.def_abstract_eval(_abstract)
ad.defbilinear(_correlate, _in_x, _in_kernel)
batching.primitive_batchers[_correlate] = _batched
mlir.register_lowering(
    _correlate, mlir.lower_fun(_on_all_cores, multiple_results=False)
)
