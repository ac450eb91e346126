"""Losses that take every pixel by itself."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from ssimjax.losses.registry import loss
from ssimjax.ops.compiled import compiled
from ssimjax.ops.images import Images, Mask, prepare
from ssimjax.ops.pooling import mean_over_windows


@loss
@compiled
def mse(
    prediction: Images,
    target: Images,
    *,
    data_range: float | None = None,
    mask: Mask | None = None,
    spatial_axes: int = 2,
) -> Float[Array, "*batch"]:
    """Mean squared error relative to the data range.

        mean(((x - y) / L)²)

    Args:
      prediction: images `[*batch, *spatial, channels]`.
      target: images of the same spatial axes and channels.
      data_range: L, as in `ssimjax.ops.ssim`.
      mask: weights of the pixels, as in `ssimjax.ops.ssim`.
      spatial_axes: number of spatial axes, 1 to 3.

    Returns:
      One number in [0, 1] per image.

    Raises:
      TypeError: as `ssimjax.ops.ssim`.
      ValueError: as `ssimjax.ops.ssim`.

    Example:
      >>> float(mse(jnp.ones((4, 4, 1)), jnp.zeros((4, 4, 1)), data_range=2.0))
      0.25
    """
    x, y, mask, data_range = prepare(
        prediction, target, data_range=data_range, mask=mask, spatial_axes=spatial_axes
    )
    errors = ((x - y) / data_range) ** 2
    return mean_over_windows(errors, mask, spatial_axes=spatial_axes)


@loss
@compiled
def mae(
    prediction: Images,
    target: Images,
    *,
    data_range: float | None = None,
    mask: Mask | None = None,
    spatial_axes: int = 2,
) -> Float[Array, "*batch"]:
    """Mean absolute error (L1) relative to the data range.

        mean(|x - y| / L)

    Args:
      prediction: as in `mse`.
      target: as in `mse`.
      data_range: as in `mse`.
      mask: as in `mse`.
      spatial_axes: as in `mse`.

    Returns:
      One number in [0, 1] per image, with gradient 0 at equal pixels.

    Raises:
      TypeError: as `mse`.
      ValueError: as `mse`.

    Example:
      >>> float(mae(jnp.ones((4, 4, 1)), jnp.zeros((4, 4, 1)), data_range=2.0))
      0.5
    """
    x, y, mask, data_range = prepare(
        prediction, target, data_range=data_range, mask=mask, spatial_axes=spatial_axes
    )
    errors = jnp.abs(x - y) / data_range
    return mean_over_windows(errors, mask, spatial_axes=spatial_axes)


@loss
@compiled
def bce(
    prediction: Images,
    target: Images,
    *,
    data_range: float | None = None,
    mask: Mask | None = None,
    epsilon: float = 1e-6,
    spatial_axes: int = 2,
) -> Float[Array, "*batch"]:
    """Binary cross-entropy beyond the entropy of the target.

        mean(q log(q / p) + (1 - q) log((1 - q) / (1 - p)))

    with p = ε + (1 - 2ε) prediction / L and q likewise of the target. The gradient in
    the prediction is that of the cross-entropy; the entropy of the target, which no
    prediction can change, is taken off so that perfection is 0.

    Args:
      prediction: images in [0, data_range].
      target: images in [0, data_range].
      data_range: as in `mse`.
      mask: as in `mse`.
      epsilon: how far pixels are kept from 0 and 1, in (0, 1/2), so that the loss and
        its gradient are finite.
      spatial_axes: as in `mse`.

    Returns:
      One number >= 0 per image, in nats.

    Raises:
      TypeError: as `mse`.
      ValueError: as `mse`, or if `epsilon` is not in (0, 1/2).

    Example:
      >>> white = jnp.ones((4, 4, 1))
      >>> round(float(bce(0.5 * white, white, data_range=1.0)), 3)
      0.693
    """
    if not 0 < epsilon < 0.5:
        raise ValueError(f"epsilon must be in (0, 1/2), got {epsilon}")
    x, y, mask, data_range = prepare(
        prediction, target, data_range=data_range, mask=mask, spatial_axes=spatial_axes
    )
    p, q = (epsilon + (1 - 2 * epsilon) * image / data_range for image in (x, y))
    # 1 - p as its own smoothing keeps the digits of pixels near 1.
    not_p, not_q = (
        epsilon + (1 - 2 * epsilon) * (1 - image / data_range) for image in (x, y)
    )
    change = (1 - 2 * epsilon) * ((x - y) / data_range)
    divergence = _beyond(change, p, q) + _beyond(-change, not_p, not_q)
    return mean_over_windows(divergence, mask, spatial_axes=spatial_axes)


def _beyond(
    change: Float[Array, "..."], p: Float[Array, "..."], q: Float[Array, "..."]
) -> Float[Array, "..."]:
    """The term q log(q / p) + (p - q) >= 0 without cancellation; change is p - q.

    The second terms of a pair of probabilities and of their complements cancel.
    """
    ratio = change / q
    small = abs(ratio) < 0.03
    u = jnp.where(small, ratio, 0.0)
    series = u * u * (1 / 2 - u * (1 / 3 - u * (1 / 4 - u * (1 / 5 - u / 6))))
    return q * jnp.where(small, series, ratio - jnp.log(p / q))
