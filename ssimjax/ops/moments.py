"""Local moments: the few numbers that every member of the SSIM family is made of.

`image_moments` compares two images under a sliding window, `patch_moments` compares
the patches of an image with learned filters. Nothing else computes statistics.
"""

import functools
import math
import operator
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from ssimjax.ops.images import Pair, prepare
from ssimjax.ops.windows import Padding as WindowPadding
from ssimjax.ops.windows import Window, local_mean, pad_to_same

Padding = str | Sequence[tuple[int, int]]
_DIMENSIONS = ("NHWC", "HWIO", "NHWC")
# Elements of a matrix that is compiled into a program: 4 MiB of float32.
_LARGEST_CONSTANT = 2**20


class Moments(NamedTuple):
    """Means, variances and covariance of x and y, of shapes that broadcast together.

    Attributes:
      mean_x: local means of x.
      mean_y: local means of y.
      var_x: local variances of x, >= 0 up to rounding.
      var_y: local variances of y, >= 0 up to rounding.
      cov_xy: local covariances.
      var_difference: local variances of x - y, or None for var_x + var_y - 2 cov_xy.
        Taken of the difference itself they are exactly 0 for equal images.
      var_total: var_x + var_y, or None where it is not known by itself. Of images it
        costs one local mean instead of two.
    """

    mean_x: Float[Array, "..."]
    mean_y: Float[Array, "..."]
    var_x: Float[Array, "..."]
    var_y: Float[Array, "..."]
    cov_xy: Float[Array, "..."]
    var_difference: Float[Array, "..."] | None = None
    var_total: Float[Array, "..."] | None = None


def image_moments(
    x: Float[ArrayLike, "..."],
    y: Float[ArrayLike, "..."],
    window: Window,
    *,
    mask: Float[Array, "..."] | None = None,
    padding: WindowPadding = "valid",
    sample_covariance: bool = False,
    spatial_axes: int = 2,
) -> Moments:
    """Moments of two images under every window, per channel.

        mean_x = Σ w x
        var_x = Σ w (x - mean_x)²
        cov_xy = Σ w (x - mean_x)(y - mean_y)

    where w are the weights of the window, and under a mask m the normalised products
    w m / Σ w m (normalised convolution).

    Args:
      x: images `[*batch, *spatial, channels]`.
      y: images of the same spatial axes and channels; batch axes broadcast with x.
      window: weights of the local means.
      mask: weights m >= 0 of the pixels, `[*batch, *spatial, 1 or channels]`, or None.
        Pixels of weight 0 have no influence, even if they are NaN.
      padding: "valid" for whole windows alone, or the border that makes the map as
        large as the images; see `pad_to_same`.
      sample_covariance: whether variances and covariances are multiplied by
        P / (P - 1), where P is the number of pixels of a window.
      spatial_axes: number of spatial axes, 1 to 3.

    Returns:
      Moments in pixel units and their squares, of shapes that broadcast to
      `[*batch, *map, channels]`: those of x alone have the batch axes of x. All 0 where
      a window sees no pixel. float32, or float64 for float64 input.

    Raises:
      TypeError: if x or y is not floating-point.
      ValueError: if the shapes do not fit, the images are smaller than the window, or
        a window of one pixel shall have a sample covariance.

    Example:
      >>> moments = image_moments(jnp.ones((9, 9, 1)), jnp.ones((9, 9, 1)),
      ...                         Window((0.5, 0.5)))
      >>> moments.mean_x.shape
      (8, 8, 1)

    References:
      Wang et al. 2004, Image quality assessment, Eq. 14-16.
    """
    x, y = _at_least_float32("x", x), _at_least_float32("y", y)
    # Moments do not depend on the range.
    pair = prepare(x, y, mask=mask, data_range=1.0, spatial_axes=spatial_axes)
    return pair_moments(
        pair,
        window,
        padding=padding,
        sample_covariance=sample_covariance,
        spatial_axes=spatial_axes,
    )


def pair_moments(
    pair: Pair,
    window: Window,
    *,
    padding: WindowPadding = "valid",
    sample_covariance: bool = False,
    spatial_axes: int = 2,
) -> Moments:
    """Moments of two images that `prepare` has checked; see `image_moments`.

    Args:
      pair: the images and their mask.
      window: weights of the local means.
      padding: see `image_moments`.
      sample_covariance: see `image_moments`.
      spatial_axes: number of spatial axes, 1 to 3.

    Returns:
      Moments, as `image_moments`.

    Raises:
      ValueError: as `image_moments`.
    """
    pixels = math.prod(window.sizes(spatial_axes))
    if sample_covariance and pixels == 1:
        raise ValueError("a window of one pixel has no sample covariance: P - 1 = 0")
    factor = pixels / (pixels - 1) if sample_covariance else 1.0
    mean = functools.partial(local_mean, window=window, spatial_axes=spatial_axes)
    x, y = (
        pad_to_same(image, window, padding=padding, spatial_axes=spatial_axes)
        for image in (pair.x, pair.y)
    )
    mask = None
    if pair.mask is not None:
        # The zeros around an image are pixels, and count.
        mask = pad_to_same(
            pair.mask, window, padding=padding, spatial_axes=spatial_axes, fill=1.0
        )
        mean = _masked(mean, mask)
    # E[x²] - E[x]² loses digits where the mean is large against the deviation, and
    # neither variances nor covariance change when an image loses a constant.
    centre_x, centre_y = (_centre(image, mask, spatial_axes) for image in (x, y))
    x, y = x - centre_x, y - centre_y
    mean_x, mean_y = mean(x), mean(y)
    # Most formulas need the means and the last two alone, and compiled ones compute no
    # more: four local means.
    return Moments(
        mean_x=mean_x + centre_x,
        mean_y=mean_y + centre_y,
        var_x=factor * (mean(x * x) - mean_x * mean_x),
        var_y=factor * (mean(y * y) - mean_y * mean_y),
        cov_xy=factor * (mean(x * y) - mean_x * mean_y),
        var_difference=factor * (mean((x - y) ** 2) - (mean_x - mean_y) ** 2),
        var_total=factor * (mean(x * x + y * y) - (mean_x * mean_x + mean_y * mean_y)),
    )


def window_weights(
    pair: Pair,
    window: Window,
    *,
    padding: WindowPadding = "valid",
    spatial_axes: int = 2,
) -> Float[Array, "..."] | None:
    """How much of each window a mask lets through.

        W = Σ w m

    Args:
      pair: the images and their mask.
      window: weights w.
      padding: see `image_moments`.
      spatial_axes: number of spatial axes, 1 to 3.

    Returns:
      Weights in the unit of the mask, `[*batch, *map, 1 or channels]`; None without a
      mask.
    """
    if pair.mask is None:
        return None
    mask = pad_to_same(
        pair.mask, window, padding=padding, spatial_axes=spatial_axes, fill=1.0
    )
    return local_mean(mask, window, spatial_axes=spatial_axes)


def _masked(
    mean: Callable[[Array], Array], mask: Float[Array, "..."]
) -> Callable[[Array], Array]:
    """A local mean as normalised convolution, 0 where a window sees no pixel."""
    weights = mean(mask)
    weights = jnp.where(weights > 0, weights, 1.0)
    return lambda image: mean(mask * image) / weights


def _centre(
    image: Float[Array, "..."], mask: Float[Array, "..."] | None, spatial_axes: int
) -> Float[Array, "..."]:
    """One constant per image near its pixels, without a gradient."""
    axes = tuple(range(-1 - spatial_axes, 0))
    image = jax.lax.stop_gradient(image)
    if mask is None:
        return image.mean(axes, keepdims=True)
    mask = jax.lax.stop_gradient(mask)
    weight = mask.mean(axes, keepdims=True)
    weight = jnp.where(weight > 0, weight, 1.0)
    return (mask * image).mean(axes, keepdims=True) / weight


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
    x, filters = _at_least_float32("x", x), _at_least_float32("filters", filters)
    window_strides, pads = _check_patches(x.shape, filters.shape, strides, padding)
    elements = filters.shape[0] * filters.shape[1] * filters.shape[2]
    to_sample = elements / (elements - 1)

    mean_x, var_x = _patch_mean_and_variance(
        x, (filters.shape[0], filters.shape[1]), window_strides, pads
    )
    taps = (0, 1, 2)
    mean_y = filters.mean(taps, keepdims=True)
    centred = filters - mean_y
    return Moments(
        mean_x=mean_x[..., None],
        mean_y=mean_y,
        var_x=to_sample * var_x[..., None],
        var_y=to_sample * (centred**2).mean(taps, keepdims=True),
        cov_xy=_correlate(
            x,
            centred / (elements - 1),
            window_strides,
            pads,
            jax.lax.Precision(precision),
        ),
    )


def _at_least_float32(name: str, value: ArrayLike) -> Float[Array, "..."]:
    array = jnp.asarray(value)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(f"{name} must be floating-point, got {array.dtype}")
    return array.astype(jnp.promote_types(array.dtype, jnp.float32))


def _check_patches(
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
    pair = (strides, strides) if isinstance(strides, int) else tuple(strides)
    if len(pair) != 2 or min(pair) < 1:
        raise ValueError(f"strides must be one or two integers >= 1, got {strides}")
    if isinstance(padding, str) and padding not in ("SAME", "VALID"):
        raise ValueError(
            f"padding must be 'SAME', 'VALID' or two (low, high) pairs, got {padding!r}"
        )
    if isinstance(padding, str):
        pads = jax.lax.padtype_to_pads(x_shape[1:3], filters_shape[:2], pair, padding)
    else:
        pads = padding
    pads = tuple((int(low), int(high)) for low, high in pads)
    if len(pads) != 2 or min(amount for pair in pads for amount in pair) < 0:
        raise ValueError(f"padding must be two pairs of integers >= 0, got {padding}")
    for name, size, kernel, pad in zip(
        ("height", "width"), x_shape[1:3], filters_shape[:2], pads
    ):
        if size + sum(pad) < kernel:
            raise ValueError(
                f"x has a {name} of {size} and padding {pad}, less than the kernel's "
                f"{kernel}"
            )
    return pair, pads  # pyright: ignore[reportReturnType]  # lengths checked above


def _outputs(size: int, kernel: int, stride: int, pad: tuple[int, int]) -> int:
    return (size + sum(pad) - kernel) // stride + 1


def _patch_mean_and_variance(
    x: Float[Array, "b h w c"],
    kernel: tuple[int, int],
    strides: tuple[int, int],
    pads: tuple[tuple[int, int], tuple[int, int]],
) -> tuple[Float[Array, "b out_h out_w"], Float[Array, "b out_h out_w"]]:
    """Mean and population variance of every patch, by the law of total variance.

    Channels are merged first, then columns, then rows; at each stage the variance is
    the mean of the variances plus the variance of the means. All terms are squares of
    centred values, so nothing cancels, whatever the offset of x. Shifted adds on these
    one-channel maps cost next to nothing beside the convolution.
    """
    mean = x.mean(-1)
    variance = ((x - mean[..., None]) ** 2).mean(-1)
    margins = ((0, 0), *pads)
    mean, variance = jnp.pad(mean, margins), jnp.pad(variance, margins)
    for axis in (2, 1):
        size, stride = kernel[axis - 1], strides[axis - 1]
        reach = (_outputs(mean.shape[axis], size, stride, (0, 0)) - 1) * stride + 1
        shifted = functools.partial(_shifts, size=size, reach=reach, stride=stride)
        means = shifted(mean, axis=axis)
        mean = _average(means)
        within = _average(shifted(variance, axis=axis))
        variance = within + _average([(m - mean) ** 2 for m in means])
    return mean, variance


def _shifts(
    field: Float[Array, "..."], *, size: int, reach: int, stride: int, axis: int
) -> list[Float[Array, "..."]]:
    """The `size` views of a field that its sliding windows see along one axis."""
    return [
        jax.lax.slice_in_dim(field, start, start + reach, stride, axis)
        for start in range(size)
    ]


def _average(fields: list[Float[Array, "..."]]) -> Float[Array, "..."]:
    return functools.reduce(operator.add, fields) / len(fields)


def _convolve(x, filters, strides, pads, precision):
    return jax.lax.conv_general_dilated(
        x,
        filters,
        strides,
        pads,
        dimension_numbers=_DIMENSIONS,
        precision=precision,
    )


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3, 4))
def _correlate(x, centred, strides, pads, precision):
    """`_convolve(x, centred)` for filters that sum to 0, without its rounding error.

    A constant offset of the image contributes nothing but rounding, so the image is
    convolved without its mean. Where a patch reaches into the zeros around the image,
    the offset does contribute: its product with the sum of the taps inside.
    """
    offset = x.mean((1, 2, 3), keepdims=True)
    result = _convolve(x - offset, centred, strides, pads, precision)
    rows, columns = (
        _taps_inside(x.shape[axis + 1], centred.shape[axis], strides[axis], pads[axis])
        for axis in (0, 1)
    )
    reaches_out = ~np.logical_and.outer(rows.all(1), columns.all(1))
    if not reaches_out.any():
        return result
    return result + offset * _sums_inside(centred.sum(2), rows, columns)[None]


def _sums_inside(
    taps: Float[Array, "kh kw c_out"], rows: np.ndarray, columns: np.ndarray
) -> Float[Array, "out_h out_w c_out"]:
    """Sums of the taps inside the image, and exactly 0 where all of them are.

    Up to some size this is one product with a constant matrix, because XLA's CPU
    backend fuses that with the convolution and the formulas after it into one program
    on all cores; constants of another shape keep it from doing so, and cost a third.
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
    if not isinstance(x_dot, SymbolicZero):
        tangent += _convolve(x_dot, centred, strides, pads, precision)
    if not isinstance(centred_dot, SymbolicZero):
        tangent += _convolve(x, centred_dot, strides, pads, precision)
    return result, tangent


def _taps_inside(
    size: int, kernel: int, stride: int, pad: tuple[int, int]
) -> np.ndarray:
    """Which taps of each output lie inside an axis: `[outputs, taps]`."""
    outputs = _outputs(size, kernel, stride, pad)
    position = np.arange(outputs)[:, None] * stride + np.arange(kernel) - pad[0]
    return (position >= 0) & (position < size)
