"""The complex steerable pyramid, cut out of the Fourier transform of an image."""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from ssimjax.ops.compiled import compiled
from ssimjax.ops.images import Images

# (-i)^n, without the rounding of a complex power.
_POWERS_OF_MINUS_I = (1, -1j, -1, 1j)


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
    check_pyramid(height, width, levels, orientations)
    spectrum = transform(image)
    phase = _POWERS_OF_MINUS_I[(orientations - 1) % 4]
    return SteerablePyramid(
        highpass=_residual(spectrum, _radial(height, width, 0, (-1, 0), step=1)),
        bands=tuple(
            phase * bands_of_level(spectrum, level, orientations)
            for level in range(1, levels + 1)
        ),
        lowpass=_residual(
            spectrum, _radial(height, width, levels + 1, (0, 1), step=2**levels)
        ),
    )


def transform(image: Float[Array, "..."]) -> Complex[Array, "..."]:
    """Fourier transform along rows and columns, which keeps the sum of squares.

    Args:
      image: `[*batch, h, w, c]`.

    Returns:
      The spectrum, of the same shape, zero frequency first.

    Example:
      >>> transform(jnp.ones((2, 2, 1)))[0, 0, 0].item()
      (2+0j)
    """
    return jnp.fft.fft2(image, axes=(-3, -2), norm="ortho")


def bands_of_level(
    spectrum: Complex[Array, "..."], level: int, orientations: int
) -> Complex[Array, "..."]:
    """Bands of one level of a pyramid, up to a constant phase.

    Args:
      spectrum: of an image, as `transform` gives it.
      level: from 1, the finest.
      orientations: how many there are.

    Returns:
      Coefficients `[*batch, h_l, w_l, c, orientations]`, see `SteerablePyramid`.

    Example:
      >>> bands_of_level(transform(jnp.ones((16, 12, 1))), 2, 4).shape
      (8, 6, 1, 4)
    """
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


def side_of_level(size: int, level: int) -> int:
    """How many coefficients a band has along an axis.

        ceil(size / 2^(level-1))

    Args:
      size: pixels of the image along the axis.
      level: from 1, the finest.

    Returns:
      The number.

    Example:
      >>> side_of_level(13, 2)
      7
    """
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


def check_pyramid(height: int, width: int, levels: int, orientations: int) -> None:
    """Refuses a pyramid that an image has no room for.

    Args:
      height: of the image, in pixels.
      width: of the image, in pixels.
      levels: how many are wanted.
      orientations: how many are wanted.

    Raises:
      ValueError: if `levels` is less than 1 or more than fit, or `orientations` less
        than 2.
    """
    if levels < 1:
        raise ValueError(f"levels must be >= 1, got {levels}")
    if orientations < 2:
        raise ValueError(f"orientations must be >= 2, got {orientations}")
    if side_of_level(min(height, width), levels) < 3:
        fit = most_levels(lambda level: side_of_level(min(height, width), level) >= 3)
        raise ValueError(
            f"levels={levels} do not fit images of {height}x{width} pixels: at most "
            f"{fit}, whose bands have 3 or more pixels along both axes"
        )


def most_levels(fits: Callable[[int], bool]) -> int:
    """The coarsest level that fits.

    Args:
      fits: whether a level does; of coarser ones none does if it does not.

    Returns:
      The level, 0 if not even the first fits.

    Example:
      >>> most_levels(lambda level: side_of_level(20, level) >= 3)
      4
    """
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
