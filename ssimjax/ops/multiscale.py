"""MS-SSIM: SSIM over a pyramid of resolutions, as one number or a map of pixels."""

from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ssimjax.ops.blocks import repeated
from ssimjax.ops.comparison import blank_unseen
from ssimjax.ops.compiled import compiled
from ssimjax.ops.images import Images, Mask
from ssimjax.ops.moments import Moments
from ssimjax.ops.pooling import mean_over_channels
from ssimjax.ops.powers import signed_power
from ssimjax.ops.scales import OddSizes, compare_scales
from ssimjax.ops.similarity import contrast_structure, luminance, similarity
from ssimjax.ops.windows import GAUSSIAN_11, Padding, Window

# Wang, Simoncelli and Bovik 2003, Section 3.2.
MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)

Negatives = Literal["relu", "floor", "shift", "raw"]
Channels = Literal["separate", "joint"]


@compiled
def ms_ssim(
    x: Images,
    y: Images,
    *,
    data_range: float | None = None,
    mask: Mask | None = None,
    weights: Sequence[float] = MS_SSIM_WEIGHTS,
    window: Window = GAUSSIAN_11,
    padding: Padding = "valid",
    last_padding: Padding | None = None,
    sample_covariance: bool = False,
    k1: float = 0.01,
    k2: float = 0.03,
    negatives: Negatives = "relu",
    odd_sizes: OddSizes = "symmetric",
    channels: Channels = "separate",
    luma: bool = False,
    spatial_axes: int = 2,
    check_range: bool = False,
) -> Float[Array, "*batch"]:
    """Multi-scale SSIM of two images.

        MS-SSIM = (mean_M l · cs)^β_M  Π_{j<M} (mean_j cs)^β_j

    over M scales, each made of the one before by 2×2 means and a step of 2.

    Args:
      x: images `[*batch, *spatial, channels]`, floats in [0, data_range] or integers.
      y: images of the same spatial axes and channels, both floats or both integers;
        batch axes broadcast with those of x.
      data_range: as in `ssim`.
      mask: as in `ssim`; a coarser pixel is the weighted mean of its pixels, and its
        weight theirs.
      weights: β_1 ... β_M, one exponent >= 0 per scale, whose number is the number of
        scales: the published ones, `(1.0,) * 5` as Snell et al., or fewer.
      window: as in `ssim`, the same at every scale.
      padding: as in `ssim`.
      last_padding: padding at the last scale, if it shall be another (torchmetrics).
      sample_covariance: as in `ssim`.
      k1: as in `ssim`.
      k2: as in `ssim`.
      negatives: what is done to values below 0, whose fractional powers are not real:
        "relu": means are raised to 0; "floor": each pixel is raised to 0 before the
        mean; "shift": (1 + mean) / 2; "raw": nothing, and powers that are
        no whole numbers are continued as odd functions, -|mean|^β.
      odd_sizes: how an odd side is halved: "symmetric": the last pixel stands for two,
        (n + 1) / 2; "zero": a zero before and after, and all zeros count, (n + 1) / 2;
        "replicate": if any side is odd, the first row, column (...) is repeated in
        front of every side, and an odd rest dropped; "drop": the last pixel is
        dropped, (n - 1) / 2. Even sides are halved alike.
      channels: "separate": MS-SSIM per channel, then their mean, in which a channel has
        the weight that a mask gives it at the first scale; "joint": means over windows
        and channels before the product.
      luma: as in `ssim`.
      spatial_axes: as in `ssim`.
      check_range: as in `ssim`.

    Returns:
      One similarity per image, in [0, 1] except for "raw", [-1, 1]; 1 for equal images.
      float32, or float64 for float64 input. A channel whose mask is all dropped at some
      scale does not count; NaN if none is left.

    Raises:
      TypeError: as `ssim`.
      ValueError: as `ssim`, or if the images are too small for so many scales, a weight
        is negative, or an option unknown.

    Example:
      >>> image = jnp.linspace(0, 1, 32 * 32).reshape(32, 32, 1)
      >>> value = ms_ssim(image, 1 - image, data_range=1.0, weights=(0.5, 0.5))
      >>> float(value)  # Anti-correlated: negative means count as 0.
      0.0

    References:
      Wang, Simoncelli, Bovik 2003, Multi-scale structural similarity, Eq. 7. Snell et
      al. 2017, Section 2.
    """
    check_pooling(negatives, channels)
    scales = compare_scales(
        x,
        y,
        data_range=data_range,
        mask=mask,
        weights=weights,
        window=window,
        padding=padding,
        last_padding=last_padding,
        sample_covariance=sample_covariance,
        k1=k1,
        k2=k2,
        odd_sizes=odd_sizes,
        luma=luma,
        spatial_axes=spatial_axes,
        check_range=check_range,
    )
    product, channel_weights = 1.0, []
    for scale, weight in zip(scales, weights):
        last = len(channel_weights) == len(scales) - 1

        def values(moments: Moments, c1: float, c2: float, last: bool = last) -> Array:
            factor = contrast_structure(moments, c2)
            if last:
                factor = similarity(moments, c1, c2)
            return jax.nn.relu(factor) if negatives == "floor" else factor

        means, seen = scale.channel_means(values)
        channel_weights.append(seen)
        if channels == "joint":
            means = mean_over_channels(means, seen)
        product *= signed_power(_without_negatives(means, negatives), weight)
    product = jnp.asarray(product)
    if channels == "joint":
        return product
    return mean_over_channels(product, seen_at_all_scales(channel_weights))


@compiled
def ms_ssim_map(
    x: Images,
    y: Images,
    *,
    data_range: float | None = None,
    mask: Mask | None = None,
    weights: Sequence[float] = (1.0,) * 5,
    window: Window = GAUSSIAN_11,
    padding: Padding = "symmetric",
    sample_covariance: bool = False,
    k1: float = 0.01,
    k2: float = 0.03,
    negatives: Negatives = "raw",
    luma: bool = False,
    spatial_axes: int = 2,
    check_range: bool = False,
) -> Float[Array, "..."]:
    """MS-SSIM at every pixel, for images of any size.

        MS-SSIM = l_M^β_M  Π_j cs_j^β_j

    where the maps of scale j, as large as its images, are repeated 2^(j-1) times along
    each axis to the size of the first.

    Args:
      x: as in `ms_ssim`.
      y: as in `ms_ssim`.
      data_range: as in `ssim`.
      mask: as in `ms_ssim`.
      weights: β_1 ... β_M; all 1 and five scales, as Snell et al.
      window: as in `ms_ssim`.
      padding: as in `ssim`, but not "valid", which has no value for every pixel.
        "symmetric" and "reflect" repeat where an image is smaller than the window.
      sample_covariance: as in `ssim`.
      k1: as in `ssim`.
      k2: as in `ssim`.
      negatives: as in `ms_ssim`, for each pixel, and at the last scale for l and for cs
        apart; "floor" and "relu" are the same here.
        With weights of 1, "raw" is the plain product.
      luma: as in `ssim`.
      spatial_axes: as in `ssim`.
      check_range: as in `ssim`.

    Returns:
      Similarities `[*batch, *spatial, channels]`, in [-1, 1]; 0 where a window sees no
      pixel of a mask. The paper's loss is minus their sum.

    Raises:
      TypeError: as `ssim`.
      ValueError: as `ms_ssim`, or if the padding is "valid".

    Example:
      >>> image = jnp.linspace(0, 1, 96 * 96).reshape(96, 96, 1)
      >>> ms_ssim_map(image, image, data_range=1.0).shape
      (96, 96, 1)

    References:
      Snell et al. 2017, Learning to generate images with perceptual similarity metrics,
      Section 2, where neither the borders nor the sizes of the maps are stated.
    """
    check_pooling(negatives, "separate")
    check_map_padding(padding)
    scales = compare_scales(
        x,
        y,
        data_range=data_range,
        mask=mask,
        weights=weights,
        window=window,
        padding=padding,
        last_padding=None,
        sample_covariance=sample_covariance,
        k1=k1,
        k2=k2,
        odd_sizes="symmetric",
        luma=luma,
        spatial_axes=spatial_axes,
        check_range=check_range,
    )
    sides = scales[0].moments.cov_xy.shape[-1 - spatial_axes : -1]
    product = 1.0
    for scale, (comparison, weight) in enumerate(zip(scales, weights)):
        moments = comparison.moments
        factors = [contrast_structure(moments, comparison.c2)]
        if scale == len(scales) - 1:
            factors.append(luminance(moments, comparison.c1))
        for values in factors:
            factor = signed_power(_without_negatives(values, negatives), weight)
            factor = blank_unseen(factor, comparison.weights)
            product *= repeated_to(
                sides, factor, times=2**scale, spatial_axes=spatial_axes
            )
    return jnp.asarray(product)


def _without_negatives(
    values: Float[Array, "..."], negatives: Negatives
) -> Float[Array, "..."]:
    if negatives == "raw":
        return values
    if negatives == "shift":
        return (1 + values) / 2
    return jax.nn.relu(values)


def repeated_to(
    sides: tuple[int, ...],
    values: Float[Array, "..."],
    *,
    times: int,
    spatial_axes: int,
) -> Float[Array, "..."]:
    """Repeats every pixel of a coarser scale's map along each axis.

    Args:
      sides: of the result, which is cut to them.
      values: maps `[..., *map, channels]`.
      times: how often.
      spatial_axes: number of spatial axes, 1 to 3.

    Returns:
      Maps `[..., *sides, channels]`.

    Example:
      >>> repeated_to((3,), jnp.array([[1.0], [2.0]]), times=2, spatial_axes=1).tolist()
      [[1.0], [1.0], [2.0]]
    """
    first = values.ndim - 1 - spatial_axes
    values = repeated(values, times, axes=range(first, values.ndim - 1))
    for axis, side in enumerate(sides, start=first):
        values = jax.lax.slice_in_dim(values, 0, side, axis=axis)
    return values


def seen_at_all_scales(
    weights: Sequence[Float[Array, "..."] | None],
) -> Float[Array, "..."] | None:
    """Weights of channels at the first scale, 0 if a mask loses one at a coarser scale.

    Args:
      weights: of each scale, from `Comparison.channel_means`.

    Returns:
      Weights for the mean over channels; None without a mask.
    """
    seen = weights[0]
    for other in weights[1:]:
        if seen is not None and other is not None:
            seen = jnp.where(other > 0, seen, 0.0)
    return seen


def check_map_padding(padding: Padding) -> None:
    """Raises if a padding leaves pixels at the border without a value."""
    if padding == "valid":
        raise ValueError(
            "padding must be 'zero', 'reflect', 'symmetric' or 'edge' for a map of all "
            "pixels, got 'valid'"
        )


def check_pooling(negatives: str, channels: str) -> None:
    """Raises if an option of `ms_ssim` is unknown."""
    for name, value, allowed in (
        ("negatives", negatives, ("relu", "floor", "shift", "raw")),
        ("channels", channels, ("separate", "joint")),
    ):
        if value not in allowed:
            raise ValueError(f"{name} must be one of {allowed}, got {value!r}")
