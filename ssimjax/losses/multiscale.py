"""Losses of MS-SSIM, from dissimilarities that keep their digits near 0."""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

from ssimjax.losses.registry import loss
from ssimjax.ops.compiled import compiled
from ssimjax.ops.dissimilarity import (
    contrast_structure_dissimilarity,
    dissimilarity,
    luminance_dissimilarity,
)
from ssimjax.ops.images import Images, Mask, prepare
from ssimjax.ops.moments import Moments
from ssimjax.ops.multiscale import (
    MS_SSIM_WEIGHTS,
    Channels,
    Negatives,
    check_map_padding,
    check_pooling,
    repeated_to,
    seen_at_all_scales,
)
from ssimjax.ops.pooling import mean_over_channels, mean_over_windows
from ssimjax.ops.powers import power_dissimilarity
from ssimjax.ops.scales import OddSizes, compare_scales
from ssimjax.ops.windows import GAUSSIAN_11, Padding, Window


@loss
@compiled
def ms_ssim(
    prediction: Images,
    target: Images,
    *,
    data_range: float | None = None,
    mask: Mask | None = None,
    weights: Sequence[float] = MS_SSIM_WEIGHTS,
    window: Window = GAUSSIAN_11,
    padding: Padding = "valid",
    sample_covariance: bool = False,
    k1: float = 0.01,
    k2: float = 0.03,
    negatives: Negatives = "relu",
    odd_sizes: OddSizes = "symmetric",
    channels: Channels = "separate",
    luma: bool = False,
    spatial_axes: int = 2,
) -> Float[Array, "*batch"]:
    """Multi-scale structural dissimilarity.

        1 - MS-SSIM = 1 - Π_j (1 - e_j)^β_j,  e_j = mean(1 - cs), at the last 1 - l · cs

    without cancellation: 1 - (1 - a)(1 - b) = a + b - a b.

    Args:
      prediction: images `[*batch, *spatial, channels]`.
      target: images of the same spatial axes and channels.
      data_range: as in `ssimjax.ops.ssim`.
      mask: as in `ssimjax.ops.ms_ssim`.
      weights: as in `ssimjax.ops.ms_ssim`.
      window: as in `ssimjax.ops.ssim`.
      padding: as in `ssimjax.ops.ssim`.
      sample_covariance: as in `ssimjax.ops.ssim`.
      k1: as in `ssimjax.ops.ssim`.
      k2: as in `ssimjax.ops.ssim`.
      negatives: as in `ssimjax.ops.ms_ssim`. With "relu" an image that is negative at
        some scale has gradient 0; "shift" and "raw" keep one.
      odd_sizes: as in `ssimjax.ops.ms_ssim`.
      channels: as in `ssimjax.ops.ms_ssim`.
      luma: as in `ssimjax.ops.ssim`.
      spatial_axes: as in `ssimjax.ops.ssim`.

    Returns:
      One number per image, in [0, 1], [0, 2] for "raw".

    Raises:
      TypeError: as `ssimjax.ops.ms_ssim`.
      ValueError: as `ssimjax.ops.ms_ssim`.

    Example:
      >>> image = jnp.ones((32, 32, 1))
      >>> float(ms_ssim(image, image, data_range=1.0, weights=(0.5, 0.5)))
      0.0

    References:
      Wang, Simoncelli, Bovik 2003, Multi-scale structural similarity, Eq. 7.
    """
    check_pooling(negatives, channels)
    scales = compare_scales(
        prediction,
        target,
        data_range=data_range,
        mask=mask,
        weights=weights,
        window=window,
        padding=padding,
        last_padding=None,
        sample_covariance=sample_covariance,
        k1=k1,
        k2=k2,
        odd_sizes=odd_sizes,
        luma=luma,
        spatial_axes=spatial_axes,
        check_range=False,
    )
    total, channel_weights = None, []
    for scale, weight in zip(scales, weights):
        last = len(channel_weights) == len(scales) - 1

        def values(moments: Moments, c1: float, c2: float, last: bool = last) -> Array:
            errors = contrast_structure_dissimilarity(moments, c2)
            if last:
                errors = dissimilarity(moments, c1, c2)
            return jnp.minimum(errors, 1.0) if negatives == "floor" else errors

        errors, seen = scale.channel_means(values)
        channel_weights.append(seen)
        if channels == "joint":
            errors = mean_over_channels(errors, seen)
        errors = power_dissimilarity(_shaped(errors, negatives), weight)
        total = errors if total is None else errors + total * (1 - errors)
    total = jnp.asarray(total)
    if channels == "joint":
        return total
    return mean_over_channels(total, seen_at_all_scales(channel_weights))


@loss
@compiled
def ms_ssim_per_pixel(
    prediction: Images,
    target: Images,
    *,
    data_range: float | None = None,
    mask: Mask | None = None,
    weights: Sequence[float] = (1.0,) * 5,
    window: Window = GAUSSIAN_11,
    padding: Padding = "symmetric",
    k1: float = 0.01,
    k2: float = 0.03,
    negatives: Negatives = "raw",
    luma: bool = False,
    spatial_axes: int = 2,
) -> Float[Array, "*batch"]:
    """Mean over pixels of 1 - MS-SSIM, for images of any size.

        1 - (1/N) Σ_i MS-SSIM(x_i, y_i) = (1/N) Σ_i 1 - Π_j (1 - e_ij)

    which has the minimum of the paper's - Σ_i MS-SSIM(x_i, y_i), and 0 at perfection.

    Args:
      prediction: images `[*batch, *spatial, channels]`.
      target: images of the same spatial axes and channels.
      data_range: as in `ssimjax.ops.ssim`.
      mask: as in `ssimjax.ops.ms_ssim`; pixels count by it.
      weights: as in `ssimjax.ops.ms_ssim_map`.
      window: as in `ssimjax.ops.ssim`.
      padding: as in `ssimjax.ops.ms_ssim_map`.
      k1: as in `ssimjax.ops.ssim`.
      k2: as in `ssimjax.ops.ssim`.
      negatives: as in `ssimjax.ops.ms_ssim_map`.
      luma: as in `ssimjax.ops.ssim`.
      spatial_axes: as in `ssimjax.ops.ssim`.

    Returns:
      One number in [0, 2] per image.

    Raises:
      TypeError: as `ssimjax.ops.ms_ssim_map`.
      ValueError: as `ssimjax.ops.ms_ssim_map`.

    Example:
      >>> image = jnp.linspace(0, 1, 32 * 32).reshape(32, 32, 1)
      >>> float(ms_ssim_per_pixel(image, image, data_range=1.0))
      0.0

    References:
      Snell et al. 2017, Learning to generate images with perceptual similarity metrics,
      Section 2.
    """
    check_pooling(negatives, "separate")
    check_map_padding(padding)
    scales = compare_scales(
        prediction,
        target,
        data_range=data_range,
        mask=mask,
        weights=weights,
        window=window,
        padding=padding,
        last_padding=None,
        sample_covariance=False,
        k1=k1,
        k2=k2,
        odd_sizes="symmetric",
        luma=luma,
        spatial_axes=spatial_axes,
        check_range=False,
    )
    sides = scales[0].moments.cov_xy.shape[-1 - spatial_axes : -1]
    total = jnp.zeros(())
    for scale, (comparison, weight) in enumerate(zip(scales, weights)):
        moments = comparison.moments
        terms = [contrast_structure_dissimilarity(moments, comparison.c2)]
        if scale == len(scales) - 1:
            terms.append(luminance_dissimilarity(moments, comparison.c1))
        for errors in terms:
            errors = power_dissimilarity(_shaped(errors, negatives), weight)
            errors = repeated_to(
                sides, errors, times=2**scale, spatial_axes=spatial_axes
            )
            total = errors + total * (1 - errors)
    if mask is not None:
        mask = prepare(
            prediction,
            target,
            data_range=data_range,
            mask=mask,
            luma=luma,
            spatial_axes=spatial_axes,
        ).mask
    return mean_over_windows(total, mask, spatial_axes=spatial_axes)


def _shaped(errors: Float[Array, "..."], negatives: Negatives) -> Float[Array, "..."]:
    """Dissimilarities of what `negatives` makes of similarities."""
    if negatives == "raw":
        return errors
    if negatives == "shift":
        return errors / 2
    return jnp.minimum(errors, 1.0)
