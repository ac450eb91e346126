"""Noise, blur and compression, at the five severities of CIFAR-10-C.

Every function takes floats in [0, 1] and gives images in [0, 1].
"""

import io
from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PRNGKeyArray

from ssimjax.ops.meshes import on_any_mesh

GAUSSIAN_NOISE = (0.04, 0.06, 0.08, 0.09, 0.10)  # Standard deviation.
SHOT_NOISE = (500.0, 250.0, 100.0, 75.0, 50.0)  # Photons of a white pixel.
IMPULSE_NOISE = (0.01, 0.02, 0.03, 0.05, 0.07)  # Share of the values.
SPECKLE_NOISE = (0.06, 0.10, 0.12, 0.16, 0.20)  # Standard deviation over value.
GAUSSIAN_BLUR = (0.4, 0.6, 0.7, 0.8, 1.0)  # Standard deviation in pixels.
JPEG = (80, 65, 58, 50, 40)  # Quality.
_Number = TypeVar("_Number", int, float)
# Of scipy.ndimage, with which CIFAR-10-C was blurred.
_TRUNCATE = 4.0


def gaussian_noise(
    key: PRNGKeyArray, images: Float[ArrayLike, "*batch h w c"], *, severity: int = 1
) -> Float[Array, "*batch h w c"]:
    """Adds normal noise, as a sensor in poor light does.

        clip(x + σ n),  n ~ N(0, 1)

    Args:
      key: PRNG key.
      images: images in [0, 1].
      severity: 1 to 5, for σ = .04, .06, .08, .09, .10.

    Returns:
      Noisy images.

    Raises:
      TypeError: if the images are not floats.
      ValueError: if there is no such severity.

    Example:
      >>> gaussian_noise(jax.random.key(0), jnp.ones((8, 8, 1))).shape
      (8, 8, 1)

    References:
      Hendrycks and Dietterich 2019, Benchmarking neural network robustness to common
      corruptions and perturbations, Section 3.
    """
    images = _floats(images)
    noise = jax.random.normal(key, images.shape, images.dtype)
    return jnp.clip(images + _at(GAUSSIAN_NOISE, severity) * noise, 0, 1)


@on_any_mesh
def shot_noise(
    key: PRNGKeyArray, images: Float[ArrayLike, "*batch h w c"], *, severity: int = 1
) -> Float[Array, "*batch h w c"]:
    """Counts photons, of which a white pixel has λ on average.

        clip(k / λ),  k ~ Poisson(λ x)

    Args:
      key: PRNG key.
      images: images in [0, 1].
      severity: 1 to 5, for λ = 500, 250, 100, 75, 50.

    Returns:
      Noisy images.

    Raises:
      TypeError: if the images are not floats.
      ValueError: if there is no such severity.

    Example:
      >>> float(shot_noise(jax.random.key(0), jnp.zeros((8, 8, 1))).max())
      0.0

    References:
      See `gaussian_noise`.
    """
    images = _floats(images)
    photons = _at(SHOT_NOISE, severity)
    # JAX draws Poisson numbers from keys of this kind alone.
    key = jax.random.wrap_key_data(jax.random.key_data(key)[:2], impl="threefry2x32")
    counts = jax.random.poisson(key, photons * images, images.shape)
    return jnp.clip(counts.astype(images.dtype) / photons, 0, 1)


def impulse_noise(
    key: PRNGKeyArray, images: Float[ArrayLike, "*batch h w c"], *, severity: int = 1
) -> Float[Array, "*batch h w c"]:
    """Replaces a share of the values by 0 or 1: salt and pepper.

    Args:
      key: PRNG key.
      images: images in [0, 1].
      severity: 1 to 5, for a share of .01, .02, .03, .05, .07, half of each colour.

    Returns:
      Noisy images.

    Raises:
      TypeError: if the images are not floats.
      ValueError: if there is no such severity.

    Example:
      >>> gray = jnp.full((64, 64, 1), 0.5)
      >>> bool((impulse_noise(jax.random.key(0), gray) == 0.5).mean() > 0.95)
      True

    References:
      See `gaussian_noise`.
    """
    images = _floats(images)
    share = _at(IMPULSE_NOISE, severity)
    drawn = jax.random.uniform(key, images.shape)
    peppered = jnp.where(drawn < share / 2, 0, images)
    return jnp.where(drawn > 1 - share / 2, 1, peppered).astype(images.dtype)


def speckle_noise(
    key: PRNGKeyArray, images: Float[ArrayLike, "*batch h w c"], *, severity: int = 1
) -> Float[Array, "*batch h w c"]:
    """Adds normal noise in proportion to the value.

        clip(x + σ x n),  n ~ N(0, 1)

    Args:
      key: PRNG key.
      images: images in [0, 1].
      severity: 1 to 5, for σ = .06, .10, .12, .16, .20.

    Returns:
      Noisy images.

    Raises:
      TypeError: if the images are not floats.
      ValueError: if there is no such severity.

    Example:
      >>> float(speckle_noise(jax.random.key(0), jnp.zeros((8, 8, 1))).max())
      0.0

    References:
      See `gaussian_noise`.
    """
    images = _floats(images)
    noise = jax.random.normal(key, images.shape, images.dtype)
    return jnp.clip(images + _at(SPECKLE_NOISE, severity) * images * noise, 0, 1)


@on_any_mesh
def gaussian_blur(
    images: Float[ArrayLike, "*batch h w c"], *, severity: int = 1
) -> Float[Array, "*batch h w c"]:
    """Blurs with a Gaussian, the edge repeated beyond the border.

    Args:
      images: images in [0, 1].
      severity: 1 to 5, for σ = .4, .6, .7, .8, 1 pixels.

    Returns:
      Blurred images.

    Raises:
      TypeError: if the images are not floats.
      ValueError: if there is no such severity.

    Example:
      >>> bool(jnp.allclose(gaussian_blur(jnp.ones((8, 8, 1))), 1.0))
      True

    References:
      See `gaussian_noise`; there, for CIFAR-10-C.
    """
    images = _floats(images)
    sigma = _at(GAUSSIAN_BLUR, severity)
    radius = int(_TRUNCATE * sigma + 0.5)
    taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    taps /= taps.sum()
    for axis in (images.ndim - 3, images.ndim - 2):
        margins = [(0, 0)] * images.ndim
        margins[axis] = (radius, radius)
        padded, size = jnp.pad(images, margins, mode="edge"), images.shape[axis]
        shifted = [
            float(tap) * jax.lax.slice_in_dim(padded, start, start + size, axis=axis)
            for start, tap in enumerate(taps)
        ]
        images = sum(shifted[1:], shifted[0])
    return jnp.clip(images, 0, 1)


def jpeg(
    images: Float[ArrayLike, "*batch h w c"], *, severity: int = 1
) -> Float[Array, "*batch h w c"]:
    """Compresses and decompresses, on the host.

    Args:
      images: images in [0, 1] of one or three channels; not traced.
      severity: 1 to 5, for quality 80, 65, 58, 50, 40.

    Returns:
      What the decoder of Pillow gives back.

    Raises:
      TypeError: if the images are not floats.
      ValueError: if there is no such severity, or the channels are neither 1 nor 3.

    Example:
      >>> jpeg(jnp.ones((2, 8, 8, 3))).shape
      (2, 8, 8, 3)

    References:
      See `gaussian_noise`.
    """
    pixels = np.asarray(_floats(images), np.float64)
    pixels = np.round(255 * np.clip(pixels, 0, 1)).astype(np.uint8)
    *batch, height, width, channels = pixels.shape
    if channels not in (1, 3):
        raise ValueError(f"images must have 1 or 3 channels, got {channels}")
    quality = _at(JPEG, severity)
    results = np.empty((int(np.prod(batch)), height, width, channels), np.uint8)
    for result, image in zip(results, pixels.reshape(results.shape)):
        with io.BytesIO() as file:
            squeezed = image[..., 0] if channels == 1 else image
            PIL.Image.fromarray(squeezed).save(file, "JPEG", quality=quality)
            result[...] = np.asarray(PIL.Image.open(file)).reshape(image.shape)
    return jnp.asarray(results.reshape(pixels.shape), jnp.float32) / 255


def corrupt(
    key: PRNGKeyArray,
    images: Float[ArrayLike, "*batch h w c"],
    name: str,
    *,
    severity: int = 1,
) -> Float[Array, "*batch h w c"]:
    """A corruption by its name.

    Args:
      key: PRNG key; what is not random ignores it.
      images: images in [0, 1].
      name: "gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise",
        "gaussian_blur" or "jpeg".
      severity: 1 to 5.

    Returns:
      Corrupted images.

    Raises:
      ValueError: if there is no such corruption or severity.

    Example:
      >>> corrupt(jax.random.key(0), jnp.ones((8, 8, 1)), "jpeg", severity=5).shape
      (8, 8, 1)
    """
    if name in _RANDOM:
        return _RANDOM[name](key, images, severity=severity)
    if name in _FIXED:
        return _FIXED[name](images, severity=severity)
    raise ValueError(f"name must be one of {NAMES}, got {name!r}")


_RANDOM: dict[str, Callable[..., Array]] = {
    f.__name__: f for f in (gaussian_noise, shot_noise, impulse_noise, speckle_noise)
}
_FIXED: dict[str, Callable[..., Array]] = {f.__name__: f for f in (gaussian_blur, jpeg)}
NAMES: tuple[str, ...] = (*_RANDOM, *_FIXED)


def _floats(images: ArrayLike) -> Array:
    array = jnp.asarray(images)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(f"images must be floats in [0, 1], got {array.dtype}")
    return array


def _at(levels: tuple[_Number, ...], severity: int) -> _Number:
    if severity not in range(1, len(levels) + 1):
        raise ValueError(
            f"severity must be a whole number from 1 to {len(levels)}, got {severity}"
        )
    return levels[int(severity) - 1]
