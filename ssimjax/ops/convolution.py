"""Convolutions and their gradients as CPUs do them best.

JAX writes the gradients of a convolution as convolutions with axes in another order,
filters as large as the maps, and zeros between the pixels of a strided one. XLA's CPU
backend is slow with all three: 128 maps of 16x16x64 under 3x3 filters took 190 ms with
the gradient in 64 filters instead of 30 (two cores, jax 0.10), and 100 maps of 16x16x32
in a loop 1.8 s. Here the gradient in the filters is a product of matrices, of the maps
and the cotangents, and patches of whichever has fewer channels; that in the maps is a
plain convolution, of all pixels of a block at once where there are strides. With three
channels or filters, as at both ends of a network, a convolution is a product as well.

Elsewhere convolutions are those of `jax.lax`.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Float

from ssimjax.ops.convolution_products import (
    Margins,
    Steps,
    patches_times_filters,
    patches_times_maps,
    pixels_times_filters,
    unfolds,
)
from ssimjax.ops.loops import on_all_cores
from ssimjax.ops.meshes import on_any_mesh
from ssimjax.ops.primitives import evaluate_compiled, varying_alike

_ORDER = ("NHWC", "HWIO", "NHWC")
_ONE = (1, 1)
# A gradient in maps of no more channels is made by products, too, and so is the result
# of no more filters.
_FEW_CHANNELS, _FEW_FILTERS = 4, 3
# Before jax 0.11, XLA gives convolutions of float32 to YNNPACK, which takes one core,
# but none whose result has more rows than the maps. Those go to Eigen, which takes all
# cores, and is as fast if there are so many channels and filters. Of fewer channels, an
# odd number can take YNNPACK five times as long as the next even one, such as the three
# of colour images under 32 filters, on Zen 5: those convolutions are products.
_ON_ONE_CORE = jax.__version_info__ < (0, 11)
_EIGEN_CHANNELS, _EIGEN_FILTERS = 8, 16


@on_any_mesh
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
    return _correlate.bind(*varying_alike(x, kernel), **options)


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


def _on_cpu(x: Array, kernel: Array, **options) -> Array:
    """`_plain`, or what computes the same faster."""
    out = _out_shape(x.shape, kernel.shape, **options)
    *size, c_in, c_out = kernel.shape
    # Filters of one tap are products of matrices anyway.
    one_step = options["strides"] == _ONE and tuple(size) != _ONE
    turned = _turned(kernel)
    if c_out <= _FEW_FILTERS and one_step and unfolds(x.shape, turned.shape):
        options["padding"] = _turned_margins(kernel.shape, options["padding"])
        return pixels_times_filters(x, turned, sides=(out[1], out[2]), **options)
    if not _ON_ONE_CORE:
        return _plain(x, kernel, **options)
    if 1 < c_in < _EIGEN_CHANNELS and c_in % 2 and unfolds(out, kernel.shape):
        return patches_times_filters(x, kernel, out=out, **options)
    rows = out[1]
    more = x.shape[1] - rows + 1
    suits = c_in >= _EIGEN_CHANNELS and c_out >= _EIGEN_FILTERS
    if not suits or not one_step or not 0 < more <= rows // 7:
        return _plain(x, kernel, **options)
    # With rows that are cut off again.
    (top, bottom), across = options["padding"]
    options["padding"] = ((top, bottom + more), across)
    return _plain(x, kernel, **options)[:, :rows]


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
    if kernel.shape[2] <= _FEW_CHANNELS and unfolds(cotangent.shape, kernel.shape):
        return pixels_times_filters(
            cotangent,
            kernel,
            sides=sides,
            padding=padding,
            strides=strides,
            precision=precision,
        )
    if strides != _ONE:
        return _in_blocks(cotangent, kernel, sides, padding, strides, precision)
    return _correlate.bind(
        cotangent,
        _turned(kernel),
        padding=_turned_margins(kernel.shape, padding),
        strides=_ONE,
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
        precision=precision,
    )
    out = out.reshape(-1, rows, columns, down, across, c_in).swapaxes(2, 3)
    out = out.reshape(-1, rows * down, columns * across, c_in)
    return out[:, : sides[0], : sides[1]]


def _turned(kernel: Array) -> Array:
    return jnp.swapaxes(kernel[::-1, ::-1], 2, 3)


def _turned_margins(kernel: tuple[int, ...], padding: Margins) -> Margins:
    """Padding under the filters turned around that undoes that of the filters."""
    (top, bottom), (left, right) = padding
    height, width = kernel[0] - 1, kernel[1] - 1
    return (height - top, height - bottom), (width - left, width - right)


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
    kh, kw, c_in, c_out = shape = kernel.aval.shape
    options = {"size": (kh, kw), "strides": strides, "precision": precision}
    turned = kh, kw, c_out, c_in
    if c_out < c_in and strides == _ONE and unfolds(x.shape, turned):
        # Patches of the cotangents times the maps are the same, and fewer.
        margins = _turned_margins(shape, padding)
        return _turned(patches_times_maps(cotangent, x, padding=margins, **options))
    if unfolds(cotangent.shape, shape):
        return patches_times_maps(x, cotangent, padding=padding, **options)
    return _in_kernel_plain(cotangent, x, (kh, kw), padding, strides, precision)


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


def _batched(arrays, dimensions, **options):
    (x, kernel), (axis, kernel_axis) = arrays, dimensions
    if kernel_axis is None:
        x = jnp.moveaxis(x, axis, 0)
        merged = x.reshape(-1, *x.shape[2:])
        out = _correlate.bind(merged, kernel, **options)
        return out.reshape(*x.shape[:2], *out.shape[1:]), 0

    if jax.device_count() == 1:
        # One after the other: XLA's convolution of groups of channels is slower.
        kernels = jnp.moveaxis(kernel, kernel_axis, 0)
        maps = None if axis is None else jnp.moveaxis(x, axis, 0)

        def of_one(numbered: tuple[Array, Array | None, Array]) -> Array:
            step, own, kernel = numbered
            kernel = on_all_cores(kernel, step)
            return _correlate.bind(x if own is None else own, kernel, **options)

        return jax.lax.map(of_one, (jnp.arange(len(kernels)), maps, kernels)), 0

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
evaluate_compiled(_correlate, "padding", "strides", "precision")
_correlate.def_abstract_eval(_abstract)
ad.defbilinear(_correlate, _in_x, _in_kernel)
batching.primitive_batchers[_correlate] = _batched
mlir.register_lowering(_correlate, mlir.lower_fun(_on_cpu, multiple_results=False))
