"""Local moments: the few numbers that every member of the SSIM family is made of.

`image_moments` compares two images under a sliding window; `patch_moments`, in
`patches.py`, the patches of an image with learned filters. Nothing else computes
statistics.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from ssimjax.ops.images import Pair, prepare
from ssimjax.ops.meshes import on_any_mesh
from ssimjax.ops.windows import Padding, Window, local_mean, pad_to_same


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


@on_any_mesh
def image_moments(
    x: Float[ArrayLike, "..."],
    y: Float[ArrayLike, "..."],
    window: Window,
    *,
    mask: Float[Array, "..."] | None = None,
    padding: Padding = "valid",
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
    x, y = at_least_float32("x", x), at_least_float32("y", y)
    # Moments do not depend on the range.
    pair = prepare(x, y, mask=mask, data_range=1.0, spatial_axes=spatial_axes)
    return bordered_moments(
        bordered(pair, window, padding=padding, spatial_axes=spatial_axes),
        window,
        sample_covariance=sample_covariance,
        spatial_axes=spatial_axes,
    )


class Bordered(NamedTuple):
    """Two images with the borders that windows reach into.

    Attributes:
      x: images `[*batch, *spatial, channels]`.
      y: images of the same spatial axes and channels.
      centre_x: one number near the pixels of each image of x, without a gradient.
      centre_y: the same of y.
      mask: weights of the pixels, or None.
    """

    x: Float[Array, "..."]
    y: Float[Array, "..."]
    centre_x: Float[Array, "..."]
    centre_y: Float[Array, "..."]
    mask: Float[Array, "..."] | None


def bordered(
    pair: Pair, window: Window, *, padding: Padding, spatial_axes: int
) -> Bordered:
    """Gives two images that `prepare` has checked their borders.

    Args:
      pair: the images and their mask.
      window: whose size the borders are made for.
      padding: see `image_moments`.
      spatial_axes: number of spatial axes, 1 to 3.

    Returns:
      The larger images.

    Raises:
      ValueError: if `padding` is unknown.
    """
    pad = functools.partial(
        pad_to_same, window=window, padding=padding, spatial_axes=spatial_axes
    )
    x, y = pad(pair.x), pad(pair.y)
    # The zeros around an image are pixels, and count.
    mask = None if pair.mask is None else pad(pair.mask, fill=1.0)
    centre_x, centre_y = (_centre(image, mask, spatial_axes) for image in (x, y))
    return Bordered(x, y, centre_x, centre_y, mask)


def bordered_moments(
    images: Bordered,
    window: Window,
    *,
    sample_covariance: bool,
    spatial_axes: int,
    local_mean: Callable[..., Array] = local_mean,
) -> Moments:
    """Moments of two images under whole windows; see `image_moments`.

    Args:
      images: the images, their borders and mask.
      window: weights of the local means.
      sample_covariance: see `image_moments`.
      spatial_axes: number of spatial axes, 1 to 3.
      local_mean: `windows.local_mean`, or another form of it.

    Returns:
      Moments, as `image_moments`.

    Raises:
      ValueError: as `image_moments`.
    """
    factor = variance_factor(
        window, sample_covariance=sample_covariance, spatial_axes=spatial_axes
    )
    mean = functools.partial(local_mean, window=window, spatial_axes=spatial_axes)
    if images.mask is not None:
        mean = _masked(mean, images.mask)
    # E[x²] - E[x]² loses digits where the mean is large against the deviation, and
    # neither variances nor covariance change when an image loses a constant.
    x, y = images.x - images.centre_x, images.y - images.centre_y
    mean_x, mean_y = mean(x), mean(y)
    # Most formulas need the means and the last two alone, and compiled ones compute no
    # more: four local means.
    return Moments(
        mean_x=mean_x + images.centre_x,
        mean_y=mean_y + images.centre_y,
        var_x=factor * _resolved(mean(x * x), mean_x),
        var_y=factor * _resolved(mean(y * y), mean_y),
        cov_xy=factor * (mean(x * y) - mean_x * mean_y),
        var_difference=factor * (mean((x - y) ** 2) - (mean_x - mean_y) ** 2),
        var_total=factor * (mean(x * x + y * y) - (mean_x * mean_x + mean_y * mean_y)),
    )


def _resolved(
    mean_square: Float[Array, "..."], mean: Float[Array, "..."]
) -> Float[Array, "..."]:
    """E[x²] - E[x]², or 0 where rounding is all that is left.

    A flat window far from the centre of its image would else have a deviation of 1e-4,
    which is not small beside the constants of SSIM.
    """
    variance = mean_square - mean * mean
    rounding = 8 * float(jnp.finfo(variance.dtype).eps) * mean * mean
    # Of NaN this is false, and NaN stays.
    return jnp.where(variance <= rounding, 0.0, variance)


def variance_factor(
    window: Window, *, sample_covariance: bool, spatial_axes: int
) -> float:
    """What makes sample variances of those of a population.

        P / (P - 1)

    Args:
      window: of P pixels.
      sample_covariance: whether that is wanted.
      spatial_axes: number of spatial axes, 1 to 3.

    Returns:
      The factor, 1 if it is not wanted.

    Raises:
      ValueError: if a window of one pixel shall have a sample covariance.

    Example:
      >>> variance_factor(Window((0.5, 0.5)), sample_covariance=True, spatial_axes=1)
      2.0
    """
    pixels = math.prod(window.sizes(spatial_axes))
    if sample_covariance and pixels == 1:
        raise ValueError("a window of one pixel has no sample covariance: P - 1 = 0")
    return pixels / (pixels - 1) if sample_covariance else 1.0


def window_weights(
    images: Bordered, window: Window, *, spatial_axes: int
) -> Float[Array, "..."] | None:
    """How much of each window a mask lets through.

        W = Σ w m

    Args:
      images: the images, their borders and mask.
      window: weights w.
      spatial_axes: number of spatial axes, 1 to 3.

    Returns:
      Weights in the unit of the mask, `[*batch, *map, 1 or channels]`; None without a
      mask.
    """
    if images.mask is None:
        return None
    return local_mean(images.mask, window, spatial_axes=spatial_axes)


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
    # Not one per channel, which XLA's CPU backend would look up for every pixel.
    axes = tuple(range(-1 - spatial_axes, 0))
    image = jax.lax.stop_gradient(image)
    if mask is None:
        return image.mean(axes, keepdims=True)
    mask = jax.lax.stop_gradient(mask)
    weight = mask.mean(axes, keepdims=True)
    weight = jnp.where(weight > 0, weight, 1.0)
    return (mask * image).mean(axes, keepdims=True) / weight


def at_least_float32(name: str, value: ArrayLike) -> Float[Array, "..."]:
    """A floating-point array of 32 bits or more; a TypeError names any other."""
    array = jnp.asarray(value)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(f"{name} must be floating-point, got {array.dtype}")
    return array.astype(jnp.promote_types(array.dtype, jnp.float32))
