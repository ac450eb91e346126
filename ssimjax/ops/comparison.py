"""From two images to moments, the step that all windowed metrics share."""

import functools
import operator
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ssimjax.ops import columns
from ssimjax.ops.constants import check_constants
from ssimjax.ops.images import Downsampling, Images, Mask, Pair, prepare
from ssimjax.ops.map_means import WindowMap
from ssimjax.ops.moments import (
    Bordered,
    Moments,
    bordered,
    bordered_moments,
    variance_factor,
    window_weights,
)
from ssimjax.ops.pooling import channel_means, cropped, mean_over_channels
from ssimjax.ops.strips import strip_means, tiling
from ssimjax.ops.windows import (
    Padding,
    Window,
    check_window,
    local_mean,
    local_mean_for_one_use,
)

# A map as pointwise arithmetic on moments and the stabilisers c1 and c2.
Formula = Callable[[Moments, float, float], Array]


class Comparison(NamedTuple):
    """What the formulas need to compare two images.

    Attributes:
      moments: local moments of the pair.
      weights: how much of each window a mask lets through, or None.
      c1: stabiliser of the luminance term, (k1 L)².
      c2: stabiliser of the contrast and structure terms, (k2 L)².
      images: those whose whole windows are the map.
      window: weights of the local moments.
      sample_covariance: whether variances are those of samples.
      spatial_axes: number of spatial axes.
    """

    moments: Moments
    weights: Float[Array, "..."] | None
    c1: float
    c2: float
    images: Bordered
    window: Window
    sample_covariance: bool
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
        if (means := _without_maps([(1.0, self)], formula)) is not None:
            return means, None
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
    check_constants(k1=k1, k2=k2)
    check_window(window)
    c1, c2 = (k1 * pair.data_range) ** 2, (k2 * pair.data_range) ** 2
    images = bordered(pair, window, padding=padding, spatial_axes=spatial_axes)
    moments = bordered_moments(
        images,
        window,
        sample_covariance=sample_covariance,
        spatial_axes=spatial_axes,
    )
    weights = window_weights(images, window, spatial_axes=spatial_axes)
    crop_border = functools.partial(cropped, crop=crop, spatial_axes=spatial_axes)
    moments, weights = jax.tree.map(crop_border, (moments, weights))

    # A map without its border is that of images without as much.
    if crop:
        images = images._replace(x=crop_border(images.x), y=crop_border(images.y))
    return Comparison(
        moments, weights, c1, c2, images, window, sample_covariance, spatial_axes
    )


def mean_of_levels(
    levels: Sequence[tuple[float, Comparison]], formula: Formula
) -> Float[Array, "*batch"]:
    """Weighted sum of means over windows and channels.

        Σ_i weight_i · mean_i

    Args:
      levels: comparisons of the same images, and their weights.
      formula: see `Comparison.channel_means`.

    Returns:
      One number per image.
    """
    if (sums := _without_maps(levels, formula)) is not None:
        return mean_over_channels(sums, None)
    means = [weight * level.mean(formula) for weight, level in levels]
    return functools.reduce(operator.add, means)


def _without_maps(
    levels: Sequence[tuple[float, Comparison]], formula: Formula
) -> Float[Array, "*batch c"] | None:
    """The sum of `mean_of_levels` per channel; None where maps are inevitable."""
    weights, comparisons = zip(*levels)
    first: Comparison = comparisons[0]
    images, spatial_axes = first.images, first.spatial_axes
    if images.mask is not None or any(c.images.x is not images.x for c in comparisons):
        return None

    def map_of(
        level: Comparison,
        x: Array,
        y: Array,
        centre_x: Array,
        centre_y: Array,
        local_mean: Callable[..., Array] = local_mean,
    ) -> Array:
        part = images._replace(x=x, y=y, centre_x=centre_x, centre_y=centre_y)
        moments = bordered_moments(
            part,
            level.window,
            sample_covariance=level.sample_covariance,
            spatial_axes=spatial_axes,
            local_mean=local_mean,
        )
        return formula(moments, level.c1, level.c2)

    image_maps = [functools.partial(map_of, c) for c in comparisons]
    pair, centres = (images.x, images.y), (images.centre_x, images.centre_y)
    window_maps = [
        WindowMap(
            lambda moments, c=c: formula(moments, c.c1, c.c2),
            c.window.along(spatial_axes),
            variance_factor(
                c.window,
                sample_covariance=c.sample_covariance,
                spatial_axes=spatial_axes,
            ),
        )
        for c in comparisons
    ]
    if columns.fit(window_maps, *pair):
        return columns.column_means(
            window_maps, image_maps, pair, centres, weights=weights
        )
    halos = [c.window.sizes(spatial_axes)[0] - 1 for c in comparisons]
    tiles = tiling(*pair, halo=max(halos), spatial_axes=spatial_axes)
    if tiles is None:
        return None
    of_values = [
        functools.partial(f, local_mean=local_mean_for_one_use) for f in image_maps
    ]
    return strip_means(
        image_maps,
        of_values,
        pair,
        centres,
        halos=halos,
        weights=weights,
        tiles=tiles,
        spatial_axes=spatial_axes,
    )


def blank_unseen(
    values: Float[Array, "..."], weights: Float[Array, "..."] | None
) -> Float[Array, "..."]:
    """A map with 0 where a window sees no pixel of a mask."""
    return values if weights is None else jnp.where(weights > 0, values, 0.0)
