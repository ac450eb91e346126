"""Level-weighted SSIM: luminance plus structure, over several sizes of window."""

import functools
from collections.abc import Sequence

from jaxtyping import Array, Float

from ssimjax.ops.comparison import Comparison, compare_pair, mean_of_levels
from ssimjax.ops.compiled import compiled
from ssimjax.ops.images import Images, Mask, prepare
from ssimjax.ops.similarity import additive_similarity
from ssimjax.ops.windows import Padding, Window, uniform_window

LW_SSIM_WINDOWS = tuple(uniform_window(size) for size in (3, 5, 7, 11))


@compiled
def lw_ssim(
    x: Images,
    y: Images,
    *,
    data_range: float | None = None,
    mask: Mask | None = None,
    windows: Sequence[Window] = LW_SSIM_WINDOWS,
    weights: Sequence[float] | None = None,
    padding: Padding = "valid",
    sample_covariance: bool = False,
    k1: float = 0.01,
    k2: float = 0.03,
    exponents: tuple[float, float, float] = (1.0, 1.0, 1.0),
    luma: bool = False,
    spatial_axes: int = 2,
    check_range: bool = False,
) -> Float[Array, "*batch"]:
    """Level-weighted SSIM of two images.

        LWSSIM = (1/I) Σ_i λ_i mean(l^α + c^β s^γ)  under windows i = 1 ... I

    Args:
      x: images `[*batch, *spatial, channels]`, floats in [0, data_range] or integers.
      y: images of the same spatial axes and channels, both floats or both integers;
        batch axes broadcast with those of x.
      data_range: as in `ssim`.
      mask: as in `ssim`.
      windows: one per level. The paper prints no sizes; the default is uniform windows
        of 3, 5, 7 and 11 pixels.
      weights: λ_1 ... λ_I, >= 0; all 1 if None. The paper prints none.
      padding: as in `ssim`.
      sample_covariance: as in `ssim`.
      k1: as in `ssim`.
      k2: as in `ssim`.
      exponents: as in `ssim`.
      luma: as in `ssim`.
      spatial_axes: as in `ssim`.
      check_range: as in `ssim`.

    Returns:
      One similarity per image, at most (2/I) Σ λ_i, which equal images reach: 2 with
      weights of 1. float32, or float64 for float64 input.

    Raises:
      TypeError: as `ssim`.
      ValueError: as `ssim`, or if there is no window, or weights do not match windows
        or are negative.

    Example:
      >>> import jax.numpy as jnp
      >>> image = jnp.linspace(0, 1, 16 * 16).reshape(16, 16, 1)
      >>> float(lw_ssim(image, image, data_range=1.0))
      2.0

    References:
      Lu 2019, The level weighted structural similarity loss, Eq. 5 and 6.
    """
    levels = compare_levels(
        x,
        y,
        data_range=data_range,
        mask=mask,
        windows=windows,
        weights=weights,
        padding=padding,
        sample_covariance=sample_covariance,
        k1=k1,
        k2=k2,
        luma=luma,
        spatial_axes=spatial_axes,
        check_range=check_range,
    )
    formula = functools.partial(additive_similarity, exponents=exponents)
    return mean_of_levels(levels, formula)


def compare_levels(
    x: Images,
    y: Images,
    *,
    data_range: float | None,
    mask: Mask | None,
    windows: Sequence[Window],
    weights: Sequence[float] | None,
    padding: Padding,
    sample_covariance: bool,
    k1: float,
    k2: float,
    luma: bool,
    spatial_axes: int,
    check_range: bool,
) -> list[tuple[float, Comparison]]:
    """Moments of each level, and its weight in their mean; arguments as `lw_ssim`."""
    if not windows:
        raise ValueError("windows must name at least one window, got none")
    weights = (1.0,) * len(windows) if weights is None else tuple(weights)
    if len(weights) != len(windows) or not all(value >= 0 for value in weights):
        raise ValueError(
            f"weights must be one number >= 0 for each of {len(windows)} windows, got "
            f"{weights}"
        )
    pair = prepare(
        x,
        y,
        data_range=data_range,
        mask=mask,
        luma=luma,
        spatial_axes=spatial_axes,
        check_range=check_range,
    )
    return [
        (
            weight / len(windows),
            compare_pair(
                pair,
                window,
                padding=padding,
                crop=0,
                sample_covariance=sample_covariance,
                k1=k1,
                k2=k2,
                spatial_axes=spatial_axes,
            ),
        )
        for weight, window in zip(weights, windows)
    ]
