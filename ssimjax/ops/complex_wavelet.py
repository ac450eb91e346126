"""Complex-wavelet SSIM: the structure of two images, whatever small shift lies between.

A small translation turns the phases of neighbouring coefficients of a complex wavelet
by one angle, which the modulus of their correlation does not see. The wavelets are
those of the complex steerable pyramid, cut out of the Fourier transform of an image.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from ssimjax.ops.compiled import compiled
from ssimjax.ops.images import Images, prepare
from ssimjax.ops.windows import UNIFORM_7, Window, local_mean

Weighting = Literal["gaussian", "uniform"]

# (-i)^n, without the rounding of a complex power.
_POWERS_OF_MINUS_I = (1, -1j, -1, 1j)
# Coefficients below so many units in the last place of an image's deviation are the
# rounding errors of its Fourier transform, and tell nothing about the image.
_ROUNDING = 16


class SteerablePyramid(NamedTuple):
    """An image, taken apart by scale and orientation.

    Attributes:
      highpass: what is finer than the first level, `[*batch, h, w, c]`, real.
      bands: one array per level, finest first, complex: `[*batch, h_l, w_l, c,
        orientations]` with `h_l = ceil(h / 2^(l-1))` at level l = 1, 2, ...
      lowpass: what is coarser than the last level L, `[*batch, ceil(h / 2^L),
        ceil(w / 2^L), c]`, real.
    """

    highpass: Float[Array, "..."]
    bands: tuple[Complex[Array, "..."], ...]
    lowpass: Float[Array, "..."]


@compiled
def steerable_pyramid(
    image: Images, *, levels: int, orientations: int
) -> SteerablePyramid:
    """Complex steerable pyramid of an image, a tight frame.

        B_lb(r, θ) = R(2^l r) A(θ - πb / K),  l = 1 ... levels,  b = 0 ... K - 1
        R(ρ) = cos(π/2 log2 ρ) for 1/2 < ρ < 2, else 0
        A(θ) = √2 α (-i cos θ)^(K-1) for |θ| < π/2, else 0
        α = 2^(K-1) (K-1)! / √(K (2K-2)!)

    are the filters in polar coordinates of the frequency plane: r = 1 at the Nyquist
    frequency of an axis, θ from the axis of columns towards that of rows. A band is the
    inverse transform of their product with the transform of the image, at the
    frequencies that its smaller grid holds. Both transforms are orthonormal, hence

        Σ highpass² + Σ |bands|² + Σ lowpass² = Σ image²

    and the transpose of this linear map is its inverse. √2 times the real parts
    of the bands are the bands of the real steerable pyramid.

    Images are periodic: what leaves at one border enters at the other. Any height and
    width will do; a grid of n halves to ceil(n / 2), and frequencies keep their place
    in cycles per pixel, so the equation above holds for odd sizes, too. Nothing is left
    out, and under `jax.jit` nothing is computed that is not used.

    Args:
      image: images `[..., height, width, channels]`, floats or integers.
      levels: number of octaves, >= 1.
      orientations: K, number of orientations, >= 2.

    Returns:
      The bands and both residuals, in the unit of the image; float32 and complex64, or
      float64 and complex128 for float64 input. White noise has coefficients of one
      size at all levels; a wave at the middle of a level has coefficients in proportion
      to 2^l times its amplitude.

    Raises:
      TypeError: if `image` is neither float nor integer.
      ValueError: if axes are missing, `orientations` is too small, or the bands of the
        last level would have fewer than 3 pixels along an axis.

    Example:
      >>> pyramid = steerable_pyramid(jnp.ones((32, 48, 1)), levels=2, orientations=4)
      >>> [band.shape for band in pyramid.bands], pyramid.lowpass.shape
      ([(32, 48, 1, 4), (16, 24, 1, 4)], (8, 12, 1))

    References:
      Portilla and Simoncelli 2000, A parametric texture model based on joint statistics
      of complex wavelet coefficients. Simoncelli and Freeman 1995, The steerable
      pyramid. Phase and orientations as in `buildSCFpyr` of matlabPyrTools, scale as in
      plenoptic's `SteerablePyramidFreq(is_complex=True, tight_frame=True)`.
    """
    image = _as_image(image)
    height, width = image.shape[-3:-1]
    _check_pyramid(height, width, levels, orientations)
    spectrum = _transform(image)
    phase = _POWERS_OF_MINUS_I[(orientations - 1) % 4]
    return SteerablePyramid(
        highpass=_residual(spectrum, _radial(height, width, 0, (-1, 0), step=1)),
        bands=tuple(
            phase * _bands(spectrum, level, orientations)
            for level in range(1, levels + 1)
        ),
        lowpass=_residual(
            spectrum, _radial(height, width, levels + 1, (0, 1), step=2**levels)
        ),
    )


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
    _check_pyramid(height, width, levels, orientations)
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
    spectrum_x, spectrum_y = _transform(x), _transform(y)
    values = []
    for each in chosen:
        edge = _guarded(guard, each)
        bands_x, bands_y = (
            _without_border(_bands(spectrum, each, orientations), edge)
            for spectrum in (spectrum_x, spectrum_y)
        )
        similarity = _similarity_map(bands_x, bands_y, power_x, power_y, c, window)
        sizes = _side(height, each), _side(width, each)
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
    seen = energy > (_ROUNDING * eps) ** 2
    energy = jnp.where(seen, energy, 1.0)
    factor = jnp.sqrt(share_x * share_y)
    real = factor * _local_mean(real, window) / energy
    imag = factor * _local_mean(imag, window) / energy
    # The modulus has no derivative at 0, and one that overflows beside it.
    squared = real * real + imag * imag
    resolved = squared > eps**2
    modulus = jnp.where(resolved, jnp.sqrt(jnp.where(resolved, squared, 1.0)), 0.0)
    return jnp.where(seen, 2 * modulus + rest / energy, 1.0)


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


def _transform(image: Float[Array, "..."]) -> Complex[Array, "..."]:
    return jnp.fft.fft2(image, axes=(-3, -2), norm="ortho")


def _bands(
    spectrum: Complex[Array, "..."], level: int, orientations: int
) -> Complex[Array, "..."]:
    """Bands of one level up to a constant phase, `[..., h_l, w_l, c, orientations]`."""
    height, width = spectrum.shape[-3:-1]
    masks = _oriented(height, width, level, orientations)
    cropped = _cropped(spectrum, masks.shape[:2])[..., None]
    masks = masks[:, :, None, :].reshape(
        (1,) * (cropped.ndim - 4) + (*masks.shape[:2], 1, orientations)
    )
    masks = jnp.asarray(masks, spectrum.real.dtype)
    return jnp.fft.ifft2(cropped * masks, axes=(-4, -3), norm="ortho")


def _residual(spectrum: Complex[Array, "..."], mask: np.ndarray) -> Float[Array, "..."]:
    cropped = _cropped(spectrum, mask.shape)
    mask = mask[:, :, None].reshape((1,) * (cropped.ndim - 3) + (*mask.shape, 1))
    filtered = cropped * jnp.asarray(mask, spectrum.real.dtype)
    return jnp.fft.ifft2(filtered, axes=(-3, -2), norm="ortho").real


def _cropped(
    spectrum: Complex[Array, "..."], sizes: tuple[int, ...]
) -> Complex[Array, "..."]:
    """The lowest frequencies of a transform, in the order of a smaller one."""
    for axis, size in zip((spectrum.ndim - 3, spectrum.ndim - 2), sizes):
        full = spectrum.shape[axis]
        parts = ((0, (size + 1) // 2), (full - size // 2, full))
        if size < full:
            spectrum = jnp.concatenate(
                [jax.lax.slice_in_dim(spectrum, *part, axis=axis) for part in parts],
                axis,
            )
    return spectrum


def _side(size: int, level: int) -> int:
    """Pixels of a band of a level, along an axis of `size` pixels."""
    return math.ceil(size / 2 ** (level - 1))


def _frequencies(height: int, width: int, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies along rows and columns, 1 at Nyquist, of a grid `step` times coarser.

    In the order of the Fourier transform, `[h_l, 1]` and `[1, w_l]`.
    """
    rows, columns = (
        np.fft.fftfreq(coarse, 1 / coarse) * 2 / size
        for size, coarse in ((n, math.ceil(n / step)) for n in (height, width))
    )
    return rows[:, None], columns[None, :]


@functools.lru_cache(maxsize=32)
def _radial(
    height: int, width: int, level: int, octaves: tuple[int, int], *, step: int
) -> np.ndarray:
    """cos(π/2 t) of t = log2(2^level r), held within some octaves: `[h_l, w_l]`."""
    rows, columns = _frequencies(height, width, step)
    # The frequency 0 lies below every octave.
    radius = np.maximum(np.hypot(rows, columns), np.finfo(np.float64).tiny)
    mask = np.cos(np.pi / 2 * np.clip(np.log2(radius) + level, *octaves))
    mask.setflags(write=False)
    return mask


@functools.lru_cache(maxsize=32)
def _oriented(height: int, width: int, level: int, orientations: int) -> np.ndarray:
    """|B| of all orientations of a level, `[h_l, w_l, orientations]`."""
    step = 2 ** (level - 1)
    rows, columns = _frequencies(height, width, step)
    order = orientations - 1
    alpha = 2**order / math.sqrt(orientations * math.comb(2 * order, order))
    centres = np.pi * np.arange(orientations) / orientations
    cosines = np.cos(np.arctan2(rows, columns)[..., None] - centres)
    angular = math.sqrt(2) * alpha * np.maximum(cosines, 0.0) ** order
    mask = _radial(height, width, level, (-1, 1), step=step)[..., None] * angular
    mask.setflags(write=False)
    return mask


def _guarded(guard: int, level: int) -> int:
    """Coefficients to leave off along each border of a band."""
    return math.ceil(guard / 2 ** (level - 1))


def _without_border(bands: Complex[Array, "..."], edge: int) -> Complex[Array, "..."]:
    height, width = bands.shape[-4:-2]
    return bands[..., edge : height - edge, edge : width - edge, :, :]


def _chosen_levels(level: int | Sequence[int] | None, levels: int) -> tuple[int, ...]:
    if level is None:
        return (levels,)
    chosen = (level,) if isinstance(level, int) else tuple(level)
    if not chosen or not all(1 <= each <= levels for each in chosen):
        raise ValueError(
            f"level must be one or several of 1 to levels={levels}, got {level}"
        )
    return chosen


def _check_pyramid(height: int, width: int, levels: int, orientations: int) -> None:
    if levels < 1:
        raise ValueError(f"levels must be >= 1, got {levels}")
    if orientations < 2:
        raise ValueError(f"orientations must be >= 2, got {orientations}")
    if _side(min(height, width), levels) < 3:
        fit = _most_levels(lambda level: _side(min(height, width), level) >= 3)
        raise ValueError(
            f"levels={levels} do not fit images of {height}x{width} pixels: at most "
            f"{fit}, whose bands have 3 or more pixels along both axes"
        )


def _check_windows(
    height: int, width: int, level: int, window: Window, guard: int
) -> None:
    taps = window.sizes(2)

    def fits(level: int) -> bool:
        return all(
            _side(size, level) - 2 * _guarded(guard, level) >= tap
            for size, tap in zip((height, width), taps)
        )

    if not fits(level):
        raise ValueError(
            f"level {level} of images of {height}x{width} pixels has bands of "
            f"{_side(height, level)}x{_side(width, level)}, too small for a window of "
            f"{taps[0]}x{taps[1]} and guard={guard}: at most {_most_levels(fits)} "
            "levels fit; use fewer levels, a smaller window or larger images"
        )


def _most_levels(fits: Callable[[int], bool]) -> int:
    level = 0
    while fits(level + 1):
        level += 1
    return level


def _as_image(value: Images) -> Float[Array, "..."]:
    image = jnp.asarray(value)
    if jnp.issubdtype(image.dtype, jnp.integer):
        image = image.astype(jnp.float32)
    if not jnp.issubdtype(image.dtype, jnp.floating):
        raise TypeError(f"image must be floating-point or integer, got {image.dtype}")
    if image.ndim < 3:
        raise ValueError(
            "image must have the axes [..., height, width, channels], got shape "
            f"{image.shape}"
        )
    if 0 in image.shape[-3:]:
        raise ValueError(f"image has an empty axis: shape {image.shape}")
    return image.astype(jnp.promote_types(image.dtype, jnp.float32))
