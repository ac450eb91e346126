"""Moments of the patches of images against filters, of which the SSIM layer is made."""

import functools
import math
import operator
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from ssimjax.ops.convolution import correlate
from ssimjax.ops.filtering import apart
from ssimjax.ops.meshes import on_any_mesh
from ssimjax.ops.moments import Moments, at_least_float32
from ssimjax.ops.windows import local_mean, uniform_window

Padding = str | Sequence[tuple[int, int]]
# Elements of a matrix that is compiled into a program: 4 MiB of float32.
_LARGEST_CONSTANT = 2**20


@on_any_mesh
def patch_moments(
    x: Float[ArrayLike, "b h w c_in"],
    filters: Float[ArrayLike, "kh kw c_in c_out"],
    *,
    strides: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    precision: jax.lax.PrecisionLike = jax.lax.Precision.HIGHEST,
) -> Moments:
    """Moments of every patch of a batch of images against every filter.

        mean_x = Σ x / N,  var_x = Σ (x - mean_x)² / (N - 1)
        cov_xy = Σ (x - mean_x)(y - mean_y) / (N - 1) = Σ x (y - mean_y) / (N - 1)

    with sums over the N = kh · kw · c_in elements of a patch x, aligned with a filter
    y. The last equality makes the covariances of all patches with all filters one
    convolution with centred filters. Padded elements are zeros, and count.

    Args:
      x: images or feature maps.
      filters: filters, laid out like the kernel of a convolution.
      strides: step between patches, in pixels: one number or one per spatial axis.
      padding: "SAME", "VALID" or `((top, bottom), (left, right))`, as in `jax.lax`.
      precision: of the convolution, as in `jax.lax`.

    Returns:
      Moments that broadcast to `[b, out_h, out_w, c_out]`: those of the patches are
      `[b, out_h, out_w, 1]`, those of the filters `[1, 1, 1, c_out]`. float32, or
      float64 for float64 input.

    Raises:
      TypeError: if x or filters are not floating-point.
      ValueError: if a rank, the channels, a stride or the padding does not fit, if a
        filter has an empty axis, or only one element (its sample variance is 0 / 0).

    Example:
      >>> m = patch_moments(jnp.ones((1, 8, 8, 3)), jnp.ones((5, 5, 3, 4)))
      >>> m.mean_x.shape, m.mean_y.shape, m.cov_xy.shape
      ((1, 8, 8, 1), (1, 1, 1, 4), (1, 8, 8, 4))

    References:
      Abobakr et al. 2018, SSIMLayer, Eq. 3, 5 and 7.
    """
    x, filters = at_least_float32("x", x), at_least_float32("filters", filters)
    window_strides, pads = check_patches(x.shape, filters.shape, strides, padding)
    kernel = filters.shape[0], filters.shape[1]
    elements = kernel[0] * kernel[1] * filters.shape[2]
    mean_x, var_x = patch_mean_and_variance(x, kernel, window_strides, pads)
    taps = (0, 1, 2)
    mean_y = filters.mean(taps, keepdims=True)
    centred = filters - mean_y
    to_sample = elements / (elements - 1)
    return Moments(
        mean_x=mean_x,
        mean_y=mean_y,
        var_x=to_sample * var_x,
        var_y=to_sample * (centred**2).mean(taps, keepdims=True),
        cov_xy=_correlate(
            x,
            centred / (elements - 1),
            window_strides,
            pads,
            jax.lax.Precision(precision),
        ),
    )


def check_patches(
    x_shape: tuple[int, ...],
    filters_shape: tuple[int, ...],
    strides: int | Sequence[int],
    padding: Padding,
) -> tuple[tuple[int, int], tuple[tuple[int, int], tuple[int, int]]]:
    """Checks shapes, and returns the strides and explicit paddings of both axes."""
    if len(x_shape) != 4:
        raise ValueError(f"x must be [batch, height, width, c_in], got shape {x_shape}")
    if len(filters_shape) != 4:
        raise ValueError(
            f"filters must be [height, width, c_in, c_out], got shape {filters_shape}"
        )
    if 0 in filters_shape:
        raise ValueError(f"filters have an empty axis: shape {filters_shape}")
    if x_shape[-1] != filters_shape[2]:
        raise ValueError(
            f"x has {x_shape[-1]} channels but filters expect c_in={filters_shape[2]}: "
            f"shapes {x_shape} and {filters_shape}"
        )
    if filters_shape[:3] == (1, 1, 1):
        raise ValueError(
            "filters of one element have no sample variance (N - 1 = 0): shape "
            f"{filters_shape}; use a larger kernel or more input channels"
        )
    pair = tuple(np.atleast_1d(strides).tolist())
    pair = pair * 2 if len(pair) == 1 else pair
    if len(pair) != 2 or min(pair) < 1:
        raise ValueError(f"strides must be one or two integers >= 1, got {strides}")
    if isinstance(padding, str) and padding not in ("SAME", "VALID"):
        raise ValueError(
            f"padding must be 'SAME', 'VALID' or two (low, high) pairs, got {padding!r}"
        )
    if isinstance(padding, str):
        pads = jax.lax.padtype_to_pads(x_shape[1:3], filters_shape[:2], pair, padding)
        pads = tuple((int(low), int(high)) for low, high in pads)
    else:
        pads = as_pairs(padding)
    for name, size, kernel, pad in zip(
        ("height", "width"), x_shape[1:3], filters_shape[:2], pads
    ):
        if size + sum(pad) < kernel:
            raise ValueError(
                f"x has a {name} of {size} and padding {pad}, less than the kernel's "
                f"{kernel}"
            )
    return pair, pads  # pyright: ignore[reportReturnType]  # lengths checked above


def as_pairs(
    padding: Sequence[tuple[int, int]],
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Explicit padding as tuples.

    Args:
      padding: `((top, bottom), (left, right))`, or lists or an array of them.

    Returns:
      Two pairs of integers.

    Raises:
      ValueError: if it is none.

    Example:
      >>> as_pairs([(1, 0), (2, 2)])
      ((1, 0), (2, 2))
    """
    pads = np.asarray(padding, object)
    if pads.shape != (2, 2) or pads.min() < 0:
        raise ValueError(
            "padding must be 'SAME', 'VALID' or two (low, high) pairs of integers "
            f">= 0, got {padding}"
        )
    (top, bottom), (left, right) = pads
    return (int(top), int(bottom)), (int(left), int(right))


def output_size(size: int, kernel: int, stride: int, pad: tuple[int, int]) -> int:
    """Patches along an axis of so many pixels."""
    return (size + sum(pad) - kernel) // stride + 1


def patch_mean_and_variance(
    x: Float[Array, "b h w c"],
    kernel: tuple[int, int],
    strides: tuple[int, int],
    pads: tuple[tuple[int, int], tuple[int, int]],
) -> tuple[Float[Array, "b out_h out_w 1"], Float[Array, "b out_h out_w 1"]]:
    """Mean and population variance of every patch, by the law of total variance.

    Channels are merged first, then columns, then rows. Sums of neighbours on these
    one-channel maps cost next to nothing beside the convolution.
    """
    mean = x.mean(-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(-1, keepdims=True)
    return window_mean_and_variance(mean, variance, kernel, strides, pads)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3, 4))
def window_mean_and_variance(
    mean: Float[Array, "b h w c"],
    variance: Float[Array, "b h w c"] | None,
    kernel: tuple[int, int],
    strides: tuple[int, int],
    pads: tuple[tuple[int, int], tuple[int, int]],
) -> tuple[Float[Array, "b out_h out_w c"], Float[Array, "b out_h out_w c"]]:
    """Mean and population variance of windows of what has means and variances itself.

    The variance of a window is the mean of the variances plus the variance of the
    means, along columns first and then along rows. All terms are squares of centred
    values, so nothing cancels, whatever the offset of the means.
    """
    margins = ((0, 0), *pads, (0, 0))
    mean = jnp.pad(mean, margins)
    if variance is not None:
        variance = jnp.pad(variance, margins)
    for axis in (2, 1):
        size = kernel[axis - 1]
        window = uniform_window((1, size) if axis == 2 else (size, 1))
        means = local_mean(mean, window)
        spread = _spread(mean, means, axis)
        if variance is not None:
            spread += local_mean(variance, window)
        mean, variance = means, spread
    assert variance is not None
    return _strided(mean, strides), _strided(variance, strides)


@window_mean_and_variance.defjvp
def _(kernel, strides, pads, primals, tangents):
    # Transposes to few sums of neighbours. Those of the value would be many, one for
    # each place in a window, which XLA's CPU backend computes number by number.
    (mean, variance), (mean_dot, variance_dot) = primals, tangents
    margins = ((0, 0), *pads, (0, 0))

    window = uniform_window(kernel)

    def means(field: Array) -> Array:
        return _strided(local_mean(field, window), strides)

    offset = jax.lax.stop_gradient(mean.mean((1, 2), keepdims=True))
    centred = jnp.pad(mean, margins) - offset
    mean_dot = jnp.pad(mean_dot, margins)
    of_means = means(mean_dot)
    of_squares = 2 * centred * mean_dot
    if variance is not None:
        of_squares += jnp.pad(variance_dot, margins)
    of_variances = means(of_squares) - 2 * means(centred) * of_means
    result = window_mean_and_variance(mean, variance, kernel, strides, pads)
    return result, (of_means, of_variances)


def _spread(
    field: Float[Array, "b h w c"], means: Float[Array, "..."], axis: int
) -> Float[Array, "..."]:
    """Variances of neighbours along an axis, of which the means are given."""
    # Views of flat memory are one loop, those along an axis three times as slow.
    flat, centres = (f.reshape(*f.shape[:axis], -1) for f in (field, means))
    starts = range(
        0, flat.shape[-1] - centres.shape[-1] + 1, math.prod(field.shape[axis + 1 :])
    )
    squares = (
        (jax.lax.slice_in_dim(flat, at, at + centres.shape[-1], axis=-1) - centres) ** 2
        for at in starts
    )
    total = functools.reduce(operator.add, squares)
    return total.reshape(means.shape) / len(starts)


def _strided(
    field: Float[Array, "b h w c"], strides: tuple[int, int]
) -> Float[Array, "b out_h out_w c"]:
    return field[:, :: strides[0], :: strides[1]]


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3, 4))
def _correlate(x, centred, strides, pads, precision):
    """`correlate(x, centred)` for filters that sum to 0, without its rounding error.

    A constant offset of the image contributes nothing but rounding, so the image is
    convolved without its mean. Where a patch reaches into the zeros around the image,
    the offset does contribute: its product with the sum of the taps inside.
    """
    offset = x.mean((1, 2, 3), keepdims=True)
    result = correlate(
        x - offset, centred, padding=pads, strides=strides, precision=precision
    )
    rows, columns = (
        _taps_inside(x.shape[axis + 1], centred.shape[axis], strides[axis], pads[axis])
        for axis in (0, 1)
    )
    reaches_out = ~np.logical_and.outer(rows.all(1), columns.all(1))
    if not reaches_out.any():
        return result

    def sums_inside(filters: Array) -> Array:
        return _sums_inside(filters.sum(2), rows, columns)

    if jax.default_backend() != "cpu":
        return result + offset * sums_inside(centred)[None]
    # Otherwise XLA makes one program of this product and the formulas after it, for
    # which it writes every number among them as a map.
    return result + offset * apart(sums_inside, centred)[None]


def _sums_inside(
    taps: Float[Array, "kh kw c_out"], rows: np.ndarray, columns: np.ndarray
) -> Float[Array, "out_h out_w c_out"]:
    """Sums of the taps inside the image, and exactly 0 where all of them are.

    Up to some size this is one product with a constant matrix, which takes a tenth off
    the whole layer.
    """
    precision = jax.lax.Precision.HIGHEST
    reaches_out = ~np.logical_and.outer(rows.all(1), columns.all(1))
    if reaches_out.size * rows.shape[1] * columns.shape[1] > _LARGEST_CONSTANT:
        sums = jnp.einsum(
            "hi,wj,ijo->hwo",
            rows.astype(taps.dtype),
            columns.astype(taps.dtype),
            taps,
            precision=precision,
        )
        return sums * reaches_out[..., None]
    inside = rows[:, None, :, None] & columns[None, :, None, :]
    inside &= reaches_out[..., None, None]
    matrix = inside.reshape(reaches_out.size, -1).astype(taps.dtype)
    sums = jnp.dot(matrix, taps.reshape(-1, taps.shape[-1]), precision=precision)
    return sums.reshape(*reaches_out.shape, -1)


@functools.partial(_correlate.defjvp, symbolic_zeros=True)
def _correlate_jvp(strides, pads, precision, primals, tangents):
    # The map is bilinear and the offset only a device against rounding, so the plain
    # convolutions are its exact derivatives, and transpose to plain convolutions.
    # The price: in float32 the gradient in the filters keeps fewer digits than the
    # value where x lies far from 0. For x of range 1, its relative error is 1e-6 at an
    # offset of 1, 1e-5 at 10 and 1e-4 at 100.
    x, centred = primals
    x_dot, centred_dot = tangents
    result = _correlate(x, centred, strides, pads, precision)
    tangent = jnp.zeros_like(result)
    plain = functools.partial(
        correlate, padding=pads, strides=strides, precision=precision
    )
    if not isinstance(x_dot, SymbolicZero):
        tangent += plain(x_dot, centred)
    if not isinstance(centred_dot, SymbolicZero):
        tangent += plain(x, centred_dot)
    return result, tangent


def _taps_inside(
    size: int, kernel: int, stride: int, pad: tuple[int, int]
) -> np.ndarray:
    """Which taps of each output lie inside an axis: `[outputs, taps]`."""
    outputs = output_size(size, kernel, stride, pad)
    position = np.arange(outputs)[:, None] * stride + np.arange(kernel) - pad[0]
    return (position >= 0) & (position < size)
