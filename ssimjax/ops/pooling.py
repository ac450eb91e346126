"""From the map of all windows to one number per image."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def cropped(
    values: Float[Array, "..."], crop: int, *, spatial_axes: int = 2
) -> Float[Array, "..."]:
    """A map without its border.

    Args:
      values: maps `[..., *map, channels]`.
      crop: pixels dropped on every side, >= 0.
      spatial_axes: number of spatial axes, 1 to 3.

    Returns:
      Maps, smaller by 2 · crop along each spatial axis.

    Raises:
      ValueError: if `crop` is negative, or nothing would be left.

    Example:
      >>> cropped(jnp.ones((8, 8, 1)), 3).shape
      (2, 2, 1)
    """
    sides = values.shape[-1 - spatial_axes : -1]
    if crop < 0 or 2 * crop >= min(sides):
        raise ValueError(
            f"crop must be >= 0 and leave something of a map of "
            f"{'x'.join(map(str, sides))}, got {crop}"
        )
    for axis in range(values.ndim - 1 - spatial_axes, values.ndim - 1):
        values = jax.lax.slice_in_dim(
            values, crop, values.shape[axis] - crop, axis=axis
        )
    return values


def mean_over_windows(
    values: Float[Array, "..."],
    weights: Float[Array, "..."] | None = None,
    *,
    spatial_axes: int = 2,
) -> Float[Array, "..."]:
    """Mean of a map over its windows and channels.

        Σ W values / Σ W

    Args:
      values: maps `[*batch, *map, channels]`.
      weights: W, `[*batch, *map, 1 or channels]`; all 1 if None.
      spatial_axes: number of spatial axes, 1 to 3.

    Returns:
      Means `[*batch]`, NaN where all weights of an image are 0.

    Example:
      >>> float(mean_over_windows(jnp.ones((8, 8, 1))))
      1.0
    """
    means, total = channel_means(values, weights, spatial_axes=spatial_axes)
    return mean_over_channels(means, total)


def channel_means(
    values: Float[Array, "..."],
    weights: Float[Array, "..."] | None = None,
    *,
    spatial_axes: int = 2,
) -> tuple[Float[Array, "..."], Float[Array, "..."] | None]:
    """Means of a map over its windows, for each channel.

    Args:
      values: maps `[*batch, *map, channels]`.
      weights: as in `mean_over_windows`.
      spatial_axes: number of spatial axes, 1 to 3.

    Returns:
      Means `[*batch, channels]`, 0 where all weights of a channel are 0, and the mean
      weights of the channels `[*batch, 1 or channels]`, or None.

    Example:
      >>> channel_means(jnp.ones((8, 8, 3)))[0].shape
      (3,)
    """
    if weights is None:
        return _mean(values, spatial_axes), None
    total = _mean(weights, spatial_axes)
    mean = _mean(values * weights, spatial_axes)
    return mean / jnp.where(total > 0, total, 1.0), total


def _mean(values: Float[Array, "... w c"], spatial_axes: int) -> Float[Array, "... c"]:
    """Mean over the spatial axes."""
    axes = range(-1 - spatial_axes, -1)
    count = math.prod(values.shape[axis] for axis in axes)
    ones = jnp.ones(values.shape[axes[0]], values.dtype)
    return over_count(row_sums(values, ones, spatial_axes=spatial_axes), count)


def over_count(sums: Float[Array, "..."], count: int) -> Float[Array, "..."]:
    """Means of so many numbers, of which those of equal images are exactly 1.

        sums / count

    XLA multiplies by the rounded reciprocal of a number that it knows, and a mean of
    ones would be 0.99999994.

    Args:
      sums: of `count` numbers each.
      count: how many, > 0.

    Returns:
      Quotients, rounded once.

    Example:
      >>> float(jax.jit(lambda sums: over_count(sums, 41))(jnp.array(41.0)))
      1.0
    """
    # It cannot know that this is always true: it is not where a sum is NaN.
    return sums / jnp.where(sums == sums, float(count), jnp.nan)


def row_sums(
    values: Float[Array, "... c"],
    weights: Float[Array, " rows"],
    *,
    spatial_axes: int = 2,
) -> Float[Array, "... c"]:
    """Sum over the spatial axes, weighted along the first, as a product.

        Σ_r weights_r Σ_... values

    XLA's CPU backend fuses a plain sum with all that comes before it into one loop on
    one core; a product it computes on all cores, from a map made on all cores.

    Args:
      values: maps `[..., *map, channels]`.
      weights: one per row, the first axis of the map.
      spatial_axes: number of spatial axes, 1 to 3.

    Returns:
      Sums `[..., channels]`.

    Example:
      >>> row_sums(jnp.ones((4, 3, 2)), jnp.arange(4.0)).tolist()
      [18.0, 18.0]
    """
    axis = values.ndim - 1 - spatial_axes
    batch, height, channels = values.shape[:axis], values.shape[axis], values.shape[-1]
    width = math.prod(values.shape[axis + 1 : -1])
    rows = values.reshape(*batch, height, width * channels)
    # With weights for each image, XLA takes the map as it lies; else it transposes it.
    weights = jnp.broadcast_to(weights, (*batch, 1, height))
    sums = jnp.matmul(weights, rows, precision=jax.lax.Precision.HIGHEST)
    sums = sums.reshape(*batch, width, channels)
    return sums.sum(-2)


def mean_over_channels(
    means: Float[Array, "*batch c"], total: Float[Array, "..."] | None
) -> Float[Array, "*batch"]:
    """Mean of channels, weighted as `channel_means` says.

    Args:
      means: one value per image and channel.
      total: weights of the channels `[*batch, 1 or c]`, or None.

    Returns:
      Means `[*batch]`, NaN where all weights are 0.

    Example:
      >>> float(mean_over_channels(jnp.array([1.0, 3.0]), None))
      2.0
    """
    if total is None:
        return over_count(means.sum(-1), means.shape[-1])
    weight = total.mean(-1)
    seen = weight > 0
    mean = (means * total).mean(-1) / jnp.where(seen, weight, 1.0)
    return jnp.where(seen, mean, jnp.nan)
