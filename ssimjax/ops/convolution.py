"""Convolutions whose gradients are as fast in a loop as outside of one.

JAX writes the gradients of a convolution with axes in another order. XLA's CPU backend
puts them into the order that its fast code takes, but not inside a loop: there, 100
maps of 16x16x32 under 5x5 filters took 300 ms with the gradient in the maps instead of
26, and 1.8 s instead of 0.03 for that in the filters (two cores, jax 0.10). Here, each
gradient is a convolution in the plain order, of arrays that were transposed before.

For strides, the maps' gradient would be a convolution of a cotangent with zeros between
its pixels. Here it is one of the cotangent itself, to all pixels of a block at once.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Float

from ssimjax.ops.strips import images_at_a_time
from ssimjax.ops.unfolding import unfold

Margins = tuple[tuple[int, int], tuple[int, int]]
Steps = tuple[int, int]
_ORDER = ("NHWC", "HWIO", "NHWC")
_ONE = (1, 1)
# Images, or channels, that XLA's CPU backend is given at a time.
_GROUP = 8
# What has no more channels, and no fewer filters, is unfolded.
_FEW_CHANNELS, _MANY_FILTERS = 4, 32


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
        "dilation": _ONE,
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
    dilation: Steps,
    precision: jax.lax.PrecisionLike,
) -> Array:
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        strides,
        padding,
        rhs_dilation=dilation,
        dimension_numbers=_ORDER,
        precision=precision,
    )


def _in_groups(x: Array, kernel: Array, **options) -> Array:
    """`_plain`, with filters that are larger than the result in groups of channels.

    They are cotangents, and their channels the images of a batch. XLA slows down by
    more than their number: the gradient in 32 to 64 filters of 3x3 took 500 ms from 64
    maps of 32x32 at once, and 100 ms from 8 at a time.
    """
    kh, kw, channels, _ = kernel.shape
    _, out_h, out_w, _ = _out_shape(x.shape, kernel.shape, **options)
    groups = channels // _GROUP
    # Several devices could share the batch.
    if kh * kw <= out_h * out_w or groups < 2 or jax.device_count() > 1:
        return _plain(x, kernel, **options)

    def part(start: Array | int, count: int) -> Array:
        maps = jax.lax.dynamic_slice_in_dim(x, start, count, 3)
        filters = jax.lax.dynamic_slice_in_dim(kernel, start, count, 2)
        return _plain(maps, filters, **options)

    def add(index: Array, total: Array) -> Array:
        return total + part(_GROUP * index, _GROUP)

    rest = channels - _GROUP * groups
    first = part(_GROUP * groups, rest) if rest else part(0, _GROUP)
    return jax.lax.fori_loop(0 if rest else 1, groups, add, first)


def _in_x(
    cotangent: Array,
    x,
    kernel: Array,
    *,
    padding: Margins,
    strides: Steps,
    dilation: Steps,
    precision,
) -> Array:
    """The maps' gradient: the cotangent under the filters turned around."""
    if strides != _ONE:
        return _in_blocks(
            cotangent, kernel, x.aval.shape[1:3], padding, strides, precision
        )
    margins = tuple(
        (step * (size - 1) - low, step * (size - 1) - high)
        for size, step, (low, high) in zip(kernel.shape, dilation, padding)
    )
    return _correlate.bind(
        cotangent,
        _turned(kernel),
        padding=margins,
        strides=_ONE,
        dilation=dilation,
        precision=precision,
    )


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
        dilation=_ONE,
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
    dilation: Steps,
    precision,
) -> Array:
    """The filters' gradient: the maps under the cotangent, summed over the batch.

    Strides of one are the dilation of the other.
    """
    c_in, c_out = kernel.aval.shape[2:]
    if c_in <= _FEW_CHANNELS and c_out >= _MANY_FILTERS and dilation == _ONE:
        return _in_few_channels(
            cotangent, x, kernel.aval.shape[:2], padding, strides, precision
        )
    # Without the last pixels, if strides leave some over that no filter sees.
    margins = tuple(
        (low, step * (out - 1) + tap * (size - 1) + 1 - side - low)
        for side, size, out, step, tap, (low, _) in zip(
            x.shape[1:3],
            kernel.aval.shape,
            cotangent.shape[1:3],
            strides,
            dilation,
            padding,
        )
    )
    sums = _correlate.bind(
        jnp.transpose(x, (3, 1, 2, 0)),
        jnp.transpose(cotangent, (1, 2, 0, 3)),
        padding=margins,
        strides=dilation,
        dilation=strides,
        precision=precision,
    )
    return jnp.transpose(sums, (1, 2, 0, 3))


def _in_few_channels(
    cotangent: Array,
    x: Array,
    size: tuple[int, int],
    padding: Margins,
    strides: Steps,
    precision: jax.lax.PrecisionLike,
) -> Array:
    """`_in_kernel` by matrix products of unfolded patches, in half the time."""
    count, height, width, c_out = cotangent.shape
    c_in = x.shape[3]
    margins = [(0, 0, 0)] * 2 + [(low, high, 0) for low, high in padding]
    maps = jax.lax.pad(x.transpose(3, 0, 1, 2), jnp.zeros((), x.dtype), margins)

    def part(maps: Array, cotangent: Array) -> Array:
        patches = unfold(maps, size, strides=strides)
        patches = patches.reshape(size[0] * size[1] * c_in, -1)
        return jnp.matmul(patches, cotangent.reshape(-1, c_out), precision=precision)

    def add(total: Array, group: tuple[Array, Array]) -> tuple[Array, None]:
        return total + part(*group), None

    images = images_at_a_time(count, 1, _GROUP)
    if images == count:
        return part(maps, cotangent).reshape(*size, c_in, c_out)
    maps = maps.reshape(c_in, -1, images, *maps.shape[2:]).swapaxes(0, 1)
    groups = maps, cotangent.reshape(-1, images, height, width, c_out)
    zero = jnp.zeros((size[0] * size[1] * c_in, c_out), x.dtype)
    return jax.lax.scan(add, zero, groups)[0].reshape(*size, c_in, c_out)


def _batched(arrays, dimensions, **options):
    (x, kernel), (axis, kernel_axis) = arrays, dimensions
    if kernel_axis is None:
        x = jnp.moveaxis(x, axis, 0)
        merged = x.reshape(-1, *x.shape[2:])
        out = _correlate.bind(merged, kernel, **options)
        return out.reshape(*x.shape[:2], *out.shape[1:]), 0

    def one(x: Array, kernel: Array) -> Array:
        return _plain(x, kernel, **options)

    return jax.vmap(one, (axis, kernel_axis))(x, kernel), 0


def _out_shape(
    x: tuple[int, ...],
    kernel: tuple[int, ...],
    *,
    padding: Margins,
    strides: Steps,
    dilation: Steps,
    precision: jax.lax.PrecisionLike,
) -> tuple[int, ...]:
    del precision
    sides = [
        (side + low + high - tap * (size - 1) - 1) // step + 1
        for side, size, step, tap, (low, high) in zip(
            x[1:3], kernel, strides, dilation, padding
        )
    ]
    return x[0], *sides, kernel[3]


def _abstract(x, kernel, **options):
    return x.update(shape=_out_shape(x.shape, kernel.shape, **options))


_correlate = Primitive("correlate")
_correlate.def_impl(
    jax.jit(
        _correlate.bind,
        static_argnames=("padding", "strides", "dilation", "precision"),
    )
)
_correlate.def_abstract_eval(_abstract)
ad.defbilinear(_correlate, _in_x, _in_kernel)
batching.primitive_batchers[_correlate] = _batched
mlir.register_lowering(_correlate, mlir.lower_fun(_in_groups, multiple_results=False))
