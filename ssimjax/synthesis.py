"""Images that tell two measures apart: the MAD competition of a metric and the MSE."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PRNGKeyArray

from ssimjax.ops import ssim
from ssimjax.ops.constants import check_constants

Metric = Callable[[Array, Array], Array]

_IMAGE = (-3, -2, -1)  # The axes of one image.
_CORRECTIONS = 4  # Newton steps back to the held metric.
_TOLERANCE = 1e-3  # Of it, relative to what the noise changed.
_HELD = 1e-5  # Of the held MSE.
_NEWTON_STEPS = 50  # To it at most; two or three do in images that are not binary.
_GROWTH, _SHRINKAGE = 1.2, 0.5  # Of the rate after a step that was kept, or not.


class MadImages(NamedTuple):
    """What a MAD competition makes of an image; the second four are the synthesised.

    Attributes:
      initial: the reference under noise, where all four begin, `[*batch, h, w, c]`.
      highest_metric: of the MSE of `initial`, and as high a metric as was found.
      lowest_metric: of the MSE of `initial`, and as low a metric.
      highest_mse: of the metric of `initial`, and as high an MSE.
      lowest_mse: of the metric of `initial`, and as low an MSE.
      metric_trace: the metric before each step and at the end, of the four images in
        this order, `[steps + 1, 4, *batch]`.
      mse_trace: their MSE, alike.
    """

    initial: Float[Array, "..."]
    highest_metric: Float[Array, "..."]
    lowest_metric: Float[Array, "..."]
    highest_mse: Float[Array, "..."]
    lowest_mse: Float[Array, "..."]
    metric_trace: Float[Array, "..."]
    mse_trace: Float[Array, "..."]


def maximally_differentiating(
    key: PRNGKeyArray,
    image: Float[ArrayLike, "*batch h w c"],
    *,
    data_range: float,
    metric: Metric | None = None,
    mse: float | None = None,
    steps: int = 200,
    rate: float = 0.1,
    clip: bool = True,
) -> MadImages:
    """Images alike to one of two measures, the MSE and a metric, but not to the other.

    From y = x + noise, with d = y - x and g = ∇_y metric(x, y), each step moves

        MSE held:     y ± η (‖d‖ / ‖g‖) (g - d ⟨g, d⟩ / ‖d‖²),  then d is rescaled
        metric held:  y ± η (d - g ⟨d, g⟩ / ‖g‖²),  then Newton's method along g

    A step that does not better the free measure, or after which the held metric is off
    by more than 1e-3 of what the noise changed it, is taken back; η is halved then, and
    grows by a fifth, up to 0.5, after a step that is kept.

    Args:
      key: of the noise.
      image: references x, `[*batch, h, w, c]`, in [0, data_range].
      data_range: L, the largest possible pixel minus the smallest.
      metric: differentiable, from `[*batch, h, w, c]` twice, the reference first, to
        one number per image, each on its own; `ops.ssim` if None. It is compiled anew
        for every new function object.
      mse: of the initial images, in (0, L²); 0.01 L² if None.
      steps: how many, >= 1.
      rate: η of the first step, the length of the step relative to ‖d‖, in (0, 0.5].
      clip: whether pixels are kept in [0, L], where the rescaling and Newton's method
        move the pixels that still have room.

    Returns:
      The images and the course of both measures. The MSE is held to a relative 1e-5,
      the metric to 1e-3 of |metric(x, x) - metric(x, initial)|. Where noise of this MSE
      has no room in [0, L], the initial image has the MSE it can have, which is held.

    Raises:
      ValueError: if the image has fewer than three axes or, under `clip`, pixels
        outside [0, L] or NaN (where values are known: not under `jax.jit`), or if a
        number is out of its bounds.

    Example:
      >>> image = jnp.linspace(0, 1, 16 * 16).reshape(16, 16, 1)
      >>> images = maximally_differentiating(
      ...     jax.random.key(0), image, data_range=1.0, steps=5
      ... )
      >>> first, last = images.metric_trace[0], images.metric_trace[-1]
      >>> bool(last[0] > first[0]), bool(last[1] < first[1])
      (True, True)

    References:
      Wang and Simoncelli 2008, Maximum differentiation (MAD) competition, J. Vision
      8(12), Appendix A.
    """
    x = jnp.asarray(image)
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    if x.ndim < 3:
        raise ValueError(
            f"image must have the axes [..., height, width, channels], got {x.shape}"
        )
    # A number of NumPy or JAX could not be a constant of the program.
    data_range = float(data_range)
    check_constants(data_range=data_range)
    if mse is None:
        mse = 0.01 * data_range**2
    if not 0 < mse < data_range**2:
        raise ValueError(f"mse must lie in (0, {data_range**2}), got {mse}")
    if steps < 1:
        raise ValueError(f"steps must be >= 1, got {steps}")
    if not 0 < rate <= 0.5:
        raise ValueError(f"rate must lie in (0, 0.5], got {rate}")
    if clip and not isinstance(x, jax.core.Tracer):
        known = np.asarray(x)  # np.min of a JAX array on the CPU may pass over NaN.
        low, high = float(known.min()), float(known.max())
        if not (low >= 0 and high <= data_range):
            raise ValueError(
                f"image must lie in [0, {data_range}], got values from {low} to {high}"
            )
    return _compete(key, x, mse, rate, data_range, metric, steps, clip)


@functools.partial(jax.jit, static_argnums=(4, 5, 6, 7))
def _compete(
    key: Array,
    x: Array,
    mse: Array | float,
    rate: Array | float,
    data_range: float,
    metric: Metric | None,
    steps: int,
    clip: bool,
) -> MadImages:
    measure = metric or functools.partial(ssim, data_range=data_range)
    bounds = (0.0, data_range) if clip else (-jnp.inf, jnp.inf)
    noise = jax.random.normal(key, x.shape, x.dtype)
    initial = _at_mse(x, noise, jnp.asarray(mse, x.dtype), bounds)

    def gradient(y):
        def total(y):
            values = measure(jnp.broadcast_to(x, y.shape), y)
            return values.sum(), values

        slope, values = jax.grad(total, has_aux=True)(y)
        return slope, values[..., None, None, None]

    # The images in the order of the fields: the MSE is held of two, then the metric.
    y = jnp.stack([initial] * 4)
    x2, x4 = jnp.stack([x] * 2), jnp.stack([x] * 4)
    slope, metrics = gradient(y)
    errors = _dot(y - x4, y - x4)
    held_error, held_metric = errors[:2], metrics[2:]
    sign = jnp.asarray([1.0, -1.0], x.dtype).reshape(2, *(1,) * x.ndim)
    slack = _TOLERANCE * jnp.abs(gradient(x2)[1] - held_metric)

    def correct(_, y):
        slope, values = gradient(y)
        gap = held_metric - values
        slope = _inward(y, slope, gap, bounds)
        squared = jnp.square(slope).sum(_IMAGE, keepdims=True)
        return jnp.clip(y + gap * _divide(slope, squared), *bounds)

    def step(carry, _):
        y, slope, metrics, errors, eta = carry
        d, g = (y - x4)[:2], slope[:2]
        along = g - d * _divide(_dot(g, d), errors[:2])
        length = jnp.sqrt(_divide(errors[:2], _dot(g, g)))
        a = _at_mse(x2, d + sign * eta[:2] * length * along, held_error, bounds)

        d, g = (y - x4)[2:], slope[2:]
        along = d - g * _divide(_dot(d, g), _dot(g, g))
        b = jnp.clip(y[2:] + sign * eta[2:] * along, *bounds)
        b = jax.lax.fori_loop(0, _CORRECTIONS, correct, b)

        new = jnp.concatenate([a, b])
        new_slope, new_metrics = gradient(new)
        new_errors = _dot(new - x4, new - x4)
        # Also False where Newton's method has left for NaN.
        better = jnp.concatenate(
            [
                (sign * (new_metrics - metrics)[:2] > 0)
                & (jnp.abs(new_errors[:2] - held_error) <= _HELD * held_error),
                (sign * (new_errors - errors)[2:] > 0)
                & (jnp.abs(new_metrics[2:] - held_metric) <= slack),
            ]
        )
        eta = jnp.where(better, jnp.minimum(_GROWTH * eta, 0.5), _SHRINKAGE * eta)
        carry = (
            *(
                jnp.where(better, after, before)
                for after, before in (
                    (new, y),
                    (new_slope, slope),
                    (new_metrics, metrics),
                    (new_errors, errors),
                )
            ),
            eta,
        )
        return carry, carry[2:4]

    begin = (y, slope, metrics, errors, jnp.full_like(errors, rate))
    (y, *_), traces = jax.lax.scan(step, begin, length=steps)
    metrics, errors = (
        jnp.concatenate([first[None], trace])[..., 0, 0, 0]
        for first, trace in zip((metrics, errors), traces)
    )
    return MadImages(initial, *y, metric_trace=metrics, mse_trace=errors)


def _dot(a: Array, b: Array) -> Array:
    """Means over the pixels of each image, `[..., 1, 1, 1]`."""
    return (a * b).mean(_IMAGE, keepdims=True)


def _divide(a: Array, b: Array) -> Array:
    """Quotients, 0 where the divisor is."""
    return jnp.where(b > 0, a / jnp.where(b > 0, b, 1.0), 0.0)


def _inward(y: Array, slope: Array, sign: Array, bounds: tuple) -> Array:
    """The slope, 0 at pixels on the bound that sign · slope would cross."""
    low, high = bounds
    way = sign * slope
    stuck = ((y <= low) & (way < 0)) | ((y >= high) & (way > 0))
    return jnp.where(stuck, 0.0, slope)


def _at_mse(x: Array, d: Array, mse: Array, bounds: tuple) -> Array:
    """clip(x + s d) with the s at which it has this MSE to x.

    The MSE is concave and piecewise linear in s², and Newton's method begins below the
    solution, so that it never passes it and ends after finitely many steps.
    """
    low, high = bounds
    room = jnp.where(d > 0, high - x, x - low)

    def newton(squared):
        free = jnp.sqrt(squared) * jnp.abs(d) < room
        clipped = jnp.where(free, 0.0, room**2).mean(_IMAGE, keepdims=True)
        slope = jnp.where(free, d**2, 0.0).mean(_IMAGE, keepdims=True)
        return jnp.where(slope > 0, _divide(mse - clipped, slope), squared)

    def goes_on(carry):
        count, before, squared = carry
        return (count < _NEWTON_STEPS) & (squared > before * (1 + _HELD / 10)).any()

    def step(carry):
        count, _, squared = carry
        return count + 1, squared, newton(squared)

    begin = _divide(mse * jnp.ones_like(_dot(d, d)), _dot(d, d))
    _, _, squared = jax.lax.while_loop(goes_on, step, (0, 0 * begin, begin))
    return jnp.clip(x + jnp.sqrt(squared) * d, low, high)
