"""Complex-wavelet SSIM: the structure of two images, whatever small shift lies between.

A small translation turns the phases of neighbouring coefficients of a complex wavelet
by one angle, which the modulus of their correlation does not see. The wavelets are
those of the complex steerable pyramid, cut out of the Fourier transform of an image.
"""

import functools
import math
from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from ssimjax.ops.compiled import compiled
from ssimjax.ops.images import Images, prepare
from ssimjax.ops.powers import safe_sqrt
from ssimjax.ops.steerable_pyramid import (
    bands_of_level,
    check_pyramid,
    most_levels,
    side_of_level,
    transform,
)
from ssimjax.ops.windows import UNIFORM_7, Window, local_mean

Weighting = Literal["gaussian", "uniform"]

# Coefficients below so many units in the last place of an image's deviation are the
# rounding errors of its Fourier transform, and tell nothing about the image.
_ROUNDING = 16


@compiled
def cw_ssim(
    x: Images,
    y: Images,
    *,
    data_range: float | None = None,
    levels: int = 4,
    level: int | Sequence[int] | None = None,
    orientations: int = 8,
    window: Window = UNIFORM_7,
    k: float = 0.01,
    guard: int = 0,
    weighting: Weighting = "gaussian",
) -> Float[Array, "..."]:
    """Complex-wavelet SSIM, nearly blind to small translations, rotations and scalings.

        S = (2 |Σ w c_x c_y*| + c) / (Σ w |c_x|² + Σ w |c_y|² + c),  c = (k L)²

    where c_x and c_y are coefficients of `steerable_pyramid` under a window w. S is
    averaged over the whole windows of a band, over orientations and over channels.
    Means play no part, for no band holds the frequency 0, and neither does the sign: a
    negative differs by a phase of π, and counts as equal.

    Args:
      x: images `[..., height, width, channels]`, floats in [0, data_range] or integers.
      y: images of the same height, width and channels, both floats or both integers of
        one dtype; leading axes broadcast with those of x.
      data_range: L, the largest possible pixel minus the smallest. Required for floats;
        integers take the range of their dtype if it is None.
      levels: number of levels of the pyramid, >= 1. Coarser levels forgive larger
        shifts: the wavelength in the middle of level l is 2^(l+1) pixels.
      level: which level enters, from 1 to `levels`, or several, whose mean is taken;
        None for the last. A level does not depend on how many follow it.
      orientations: number of orientations, >= 2.
      window: w, the weights of the local sums; they sum to 1.
      k: stabiliser relative to L, >= 0. White noise of deviation σ has coefficients of
        about 0.56 σ / √orientations at any level. With 0, the authors' choice, bands
        are compared however faint; windows in which both are flat (within rounding)
        count as 1, with gradient 0. The K of the authors' program is 2 · 4^(l-1) c.
      guard: pixels of the images to leave off along each border, where the pyramid sees
        the opposite one, >= 0: ceil(guard / 2^(l-1)) coefficients at level l.
      weighting: of the windows: "gaussian", centred, with a standard deviation of a
        quarter of the band's height and width (guard included), or "uniform".

    Returns:
      One similarity in [0, 1] per image, within rounding; 1 for equal images.
      float32, or float64 if x or y is.

    Raises:
      TypeError: if x and y are neither both float nor both of one integer dtype.
      ValueError: if shapes do not fit, `data_range` is missing for floats or not
        positive, an option is out of range, or a level is too small for the window.

    Example:
      >>> image = jnp.sin(jnp.arange(64.0 * 64).reshape(64, 64, 1))
      >>> round(float(cw_ssim(image, image, data_range=2.0)), 5)
      1.0

    References:
      Sampat et al. 2009, Complex wavelet structural similarity, the definition of the
      index; one level, window and weighting as in the authors' program `cwssim_index`.
    """
    x, y, _, data_range = prepare(x, y, data_range=data_range)
    height, width = x.shape[-3:-1]
    check_pyramid(height, width, levels, orientations)
    if not k >= 0:
        raise ValueError(f"k must be >= 0, got {k}")
    if guard < 0:
        raise ValueError(f"guard must be >= 0 pixels, got {guard}")
    if weighting not in ("gaussian", "uniform"):
        raise ValueError(
            f"weighting must be 'gaussian' or 'uniform', got {weighting!r}"
        )
    chosen = _chosen_levels(level, levels)
    _check_windows(height, width, max(chosen), window, guard)

    c = (k * data_range) ** 2
    x, power_x = _standardised(x, c)
    y, power_y = _standardised(y, c)
    spectrum_x, spectrum_y = transform(x), transform(y)
    values = []
    for each in chosen:
        edge = _guarded(guard, each)
        bands_x, bands_y = (
            _without_border(bands_of_level(spectrum, each, orientations), edge)
            for spectrum in (spectrum_x, spectrum_y)
        )
        similarity = _similarity_map(bands_x, bands_y, power_x, power_y, c, window)
        sizes = side_of_level(height, each), side_of_level(width, each)
        values.append(_mean_over_windows(similarity, sizes, weighting))
    return functools.reduce(jnp.add, values) / len(values)


def _similarity_map(
    bands_x: Complex[Array, "..."],
    bands_y: Complex[Array, "..."],
    power_x: Float[Array, "..."],
    power_y: Float[Array, "..."],
    c: float,
    window: Window,
) -> Float[Array, "..."]:
    """S of standardised bands, `[*batch, positions, positions, c, orientations]`.

    Each image was divided by the root of its own power p, so with the shares
    a = p_x / (p_x + p_y) and b = 1 - a of the total,

        S = (2 √(a b) |z| + c') / (a E_x + b E_y + c'),  c' = c / (p_x + p_y)

    All terms are of order 1 or tell nothing, whatever the unit of the images.
    """
    total = power_x + power_y
    total = jnp.where(total > 0, total, 1.0)
    # A trailing axis for the orientations.
    share_x, share_y, rest = (
        part[..., None] for part in (power_x / total, power_y / total, c / total)
    )
    real = bands_x.real * bands_y.real + bands_x.imag * bands_y.imag
    imag = bands_x.imag * bands_y.real - bands_x.real * bands_y.imag
    energy = (
        share_x * _local_mean(bands_x.real**2 + bands_x.imag**2, window)
        + share_y * _local_mean(bands_y.real**2 + bands_y.imag**2, window)
        + rest
    )
    eps = float(jnp.finfo(energy.dtype).eps)
    # Of NaN this is false, and NaN stays.
    flat = energy <= (_ROUNDING * eps) ** 2
    energy = jnp.where(flat, 1.0, energy)
    factor = jnp.sqrt(share_x * share_y)
    real = factor * _local_mean(real, window) / energy
    imag = factor * _local_mean(imag, window) / energy
    # The modulus has no derivative at 0, and one that overflows beside it.
    modulus = safe_sqrt(real * real + imag * imag)
    return jnp.where(flat, 1.0, 2 * modulus + rest / energy)


def _local_mean(field: Float[Array, "..."], window: Window) -> Float[Array, "..."]:
    """`local_mean` of `[*batch, h, w, c, orientations]`."""
    merged = field.reshape(*field.shape[:-2], field.shape[-2] * field.shape[-1])
    means = local_mean(merged, window)
    return means.reshape(*means.shape[:-1], *field.shape[-2:])


def _mean_over_windows(
    similarity: Float[Array, "..."], sizes: tuple[int, int], weighting: Weighting
) -> Float[Array, "..."]:
    """Weighted mean over positions, and mean over channels and orientations."""
    similarity = similarity.mean((-2, -1))
    if weighting == "uniform":
        return similarity.mean((-2, -1))
    rows, columns = (
        jnp.asarray(_gaussian(positions, size / 4), similarity.dtype)
        for positions, size in zip(similarity.shape[-2:], sizes)
    )
    return jnp.einsum(
        "...hw,h,w->...", similarity, rows, columns, precision=jax.lax.Precision.HIGHEST
    )


def _gaussian(size: int, sigma: float) -> np.ndarray:
    offsets = np.arange(size) - (size - 1) / 2
    weights = np.exp(-(offsets**2) / (2 * sigma**2))
    return weights / weights.sum()


def _standardised(
    image: Float[Array, "..."], c: float
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """An image without its mean, divided by the root of its power, and the power.

    The power, per channel, is the variance plus c. Neither it nor the mean need a
    gradient, since no band sees the mean and the power cancels from the similarity.
    """
    axes = (-3, -2)
    image = image - jax.lax.stop_gradient(image.mean(axes, keepdims=True))
    power = jax.lax.stop_gradient((image * image).mean(axes, keepdims=True)) + c
    return image / jnp.sqrt(jnp.where(power > 0, power, 1.0)), power


def _guarded(guard: int, level: int) -> int:
    """Coefficients to leave off along each border of a band."""
    return math.ceil(guard / 2 ** (level - 1))


def _without_border(bands: Complex[Array, "..."], edge: int) -> Complex[Array, "..."]:
    height, width = bands.shape[-4:-2]
    return bands[..., edge : height - edge, edge : width - edge, :, :]


def _chosen_levels(level: int | Sequence[int] | None, levels: int) -> tuple[int, ...]:
    if level is None:
        return (levels,)
    chosen = tuple(np.atleast_1d(level).tolist())
    if not chosen or not all(1 <= each <= levels for each in chosen):
        raise ValueError(
            f"level must be one or several of 1 to levels={levels}, got {level}"
        )
    return chosen


def _check_windows(
    height: int, width: int, level: int, window: Window, guard: int
) -> None:
    taps = window.sizes(2)

    def fits(level: int) -> bool:
        return all(
            side_of_level(size, level) - 2 * _guarded(guard, level) >= tap
            for size, tap in zip((height, width), taps)
        )

    if not fits(level):
        raise ValueError(
            f"level {level} of images of {height}x{width} pixels has bands of "
            f"{side_of_level(height, level)}x{side_of_level(width, level)}, too small "
            f"for a window of {taps[0]}x{taps[1]} and guard={guard}: at most "
            f"{most_levels(fits)} levels fit; use fewer levels, a smaller window or "
            "larger images"
        )
