"""From two images to moments, the step that all windowed metrics share."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ssimjax.ops.images import Downsampling, Images, Mask, Pair, prepare
from ssimjax.ops.moments import Moments, pair_moments, window_weights
from ssimjax.ops.pooling import cropped
from ssimjax.ops.windows import Padding, Window


class Comparison(NamedTuple):
    """What the formulas need to compare two images.

    Attributes:
      moments: local moments of the pair.
      weights: how much of each window a mask lets through, or None.
      c1: stabiliser of the luminance term, (k1 L)².
      c2: stabiliser of the contrast and structure terms, (k2 L)².
    """

    moments: Moments
    weights: Float[Array, "..."] | None
    c1: float
    c2: float


def compare(
    x: Images,
    y: Images,
    *,
    data_range: float | None,
    mask: Mask | None,
    window: Window,
    padding: Padding,
    crop: int,
    sample_covariance: bool,
    k1: float,
    k2: float,
    downsample: Downsampling | None,
    luma: bool,
    spatial_axes: int,
    check_range: bool,
) -> Comparison:
    """Prepares two images and takes their moments; the arguments are those of ssim."""
    pair = prepare(
        x,
        y,
        data_range=data_range,
        mask=mask,
        luma=luma,
        downsample=downsample,
        spatial_axes=spatial_axes,
        check_range=check_range,
    )
    return compare_pair(
        pair,
        window,
        padding=padding,
        crop=crop,
        sample_covariance=sample_covariance,
        k1=k1,
        k2=k2,
        spatial_axes=spatial_axes,
    )


def compare_pair(
    pair: Pair,
    window: Window,
    *,
    padding: Padding,
    crop: int,
    sample_covariance: bool,
    k1: float,
    k2: float,
    spatial_axes: int,
) -> Comparison:
    """Takes the moments of a prepared pair; the arguments are those of `ssim`."""
    for name, value in (("k1", k1), ("k2", k2)):
        if not value > 0:
            raise ValueError(f"{name} must be > 0, got {value}")
    moments = pair_moments(
        pair,
        window,
        padding=padding,
        sample_covariance=sample_covariance,
        spatial_axes=spatial_axes,
    )
    weights = window_weights(pair, window, padding=padding, spatial_axes=spatial_axes)
    moments, weights = jax.tree.map(
        lambda values: cropped(values, crop, spatial_axes=spatial_axes),
        (moments, weights),
    )
    return Comparison(
        moments, weights, (k1 * pair.data_range) ** 2, (k2 * pair.data_range) ** 2
    )


def blank_unseen(
    values: Float[Array, "..."], weights: Float[Array, "..."] | None
) -> Float[Array, "..."]:
    """A map with 0 where a window sees no pixel of a mask."""
    return values if weights is None else jnp.where(weights > 0, values, 0.0)
