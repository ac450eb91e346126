"""From two images to moments, the step that all windowed metrics share."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ssimjax.ops.images import Downsampling, Images, Mask, Pair, prepare
from ssimjax.ops.moments import Moments, bordered, bordered_moments, window_weights
from ssimjax.ops.pooling import channel_means, cropped, mean_over_channels
from ssimjax.ops.strips import rows_per_strip, strip_means
from ssimjax.ops.windows import Padding, Window

# A map as pointwise arithmetic on moments and the stabilisers c1 and c2.
Formula = Callable[[Moments, float, float], Array]


class Comparison(NamedTuple):
    """What the formulas need to compare two images.

    Attributes:
      moments: local moments of the pair.
      weights: how much of each window a mask lets through, or None.
      c1: stabiliser of the luminance term, (k1 L)².
      c2: stabiliser of the contrast and structure terms, (k2 L)².
      means_by_strips: the means over windows of a formula of moments, computed strip by
        strip, where that is faster; else None.
      spatial_axes: number of spatial axes.
    """

    moments: Moments
    weights: Float[Array, "..."] | None
    c1: float
    c2: float
    means_by_strips: Callable[[Formula], Array] | None
    spatial_axes: int

    def channel_means(
        self, formula: Formula
    ) -> tuple[Float[Array, "*batch c"], Float[Array, "..."] | None]:
        """Means of a map over its windows; see `pooling.channel_means`.

        Args:
          formula: of moments, c1 and c2, pointwise.

        Returns:
          Means of every channel, and the weights of the channels.
        """
        if self.means_by_strips is not None:
            return self.means_by_strips(formula), None
        values = formula(self.moments, self.c1, self.c2)
        return channel_means(values, self.weights, spatial_axes=self.spatial_axes)

    def mean(self, formula: Formula) -> Float[Array, "*batch"]:
        """Mean of a map over its windows and channels, weighted by the mask.

        Args:
          formula: as in `channel_means`.

        Returns:
          One number per image.
        """
        return mean_over_channels(*self.channel_means(formula))

    def map(self, formula: Formula) -> Float[Array, "..."]:
        """The map itself, with 0 where a window sees no pixel of a mask.

        Args:
          formula: as in `channel_means`.

        Returns:
          One value per window and channel.
        """
        return blank_unseen(formula(self.moments, self.c1, self.c2), self.weights)


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
    c1, c2 = (k1 * pair.data_range) ** 2, (k2 * pair.data_range) ** 2
    images = bordered(pair, window, padding=padding, spatial_axes=spatial_axes)
    moments_of = functools.partial(
        bordered_moments,
        window=window,
        sample_covariance=sample_covariance,
        spatial_axes=spatial_axes,
    )
    moments = moments_of(images)
    weights = window_weights(images, window, spatial_axes=spatial_axes)
    crop_border = functools.partial(cropped, crop=crop, spatial_axes=spatial_axes)
    moments, weights = jax.tree.map(crop_border, (moments, weights))

    # A map without its border is that of images without as much.
    inner = images._replace(x=crop_border(images.x), y=crop_border(images.y))
    halo = window.sizes(spatial_axes)[0] - 1
    rows = None
    if images.mask is None:
        rows = rows_per_strip(inner.x, inner.y, halo=halo, spatial_axes=spatial_axes)

    def means_by_strips(formula: Formula) -> Array:
        def values(x: Array, y: Array, centre_x: Array, centre_y: Array) -> Array:
            strip = inner._replace(x=x, y=y, centre_x=centre_x, centre_y=centre_y)
            return formula(moments_of(strip), c1, c2)

        return strip_means(
            values,
            (inner.x, inner.y),
            (inner.centre_x, inner.centre_y),
            halo=halo,
            rows=rows or 0,
            spatial_axes=spatial_axes,
        )

    return Comparison(
        moments,
        weights,
        c1,
        c2,
        means_by_strips if rows else None,
        spatial_axes,
    )


def blank_unseen(
    values: Float[Array, "..."], weights: Float[Array, "..."] | None
) -> Float[Array, "..."]:
    """A map with 0 where a window sees no pixel of a mask."""
    return values if weights is None else jnp.where(weights > 0, values, 0.0)
