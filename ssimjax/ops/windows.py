"""Windows, and the local weighted mean that each of them defines.

The local mean is the only operator of the SSIM family that touches neighbouring
pixels; every formula above it is pointwise arithmetic on its results.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

# Outputs per banded product. The band of a tile is (tile + taps - 1) x tile, so a
# larger tile multiplies more zeros and a smaller one reads more pixels twice.
_TILE = 48


@dataclasses.dataclass(frozen=True)
class Window:
    """A separable square window: the same weights along both spatial axes.

    Hashable, hence usable as a static argument of `jax.jit`.

    Attributes:
      taps: weights along one axis, non-negative, summing to 1.
    """

    taps: tuple[float, ...]

    @property
    def size(self) -> int:
        """Number of pixels along one axis."""
        return len(self.taps)


def gaussian_window(size: int = 11, *, sigma: float = 1.5) -> Window:
    """Samples of a Gaussian, normalised to sum 1.

        w_i ∝ exp(-i² / (2 sigma²)),  i = -(size-1)/2 ... (size-1)/2

    Args:
      size: number of taps, odd so that the window has a central pixel.
      sigma: standard deviation in pixels, > 0.

    Returns:
      The window.

    Raises:
      ValueError: if `size` is even or not positive, or `sigma` is not positive.

    Example:
      >>> gaussian_window(3, sigma=1.0).taps[1] > gaussian_window(3, sigma=1.0).taps[0]
      True

    References:
      Wang et al. 2004, Image quality assessment, Section III-C.
    """
    if size < 1 or size % 2 == 0:
        raise ValueError(f"size of a Gaussian window must be odd and >= 1, got {size}")
    if not sigma > 0:
        raise ValueError(f"sigma must be > 0 pixels, got {sigma}")
    offsets = np.arange(size) - size // 2
    taps = np.exp(-(offsets**2) / (2 * sigma**2))
    return Window(tuple((taps / taps.sum()).tolist()))


def uniform_window(size: int = 7) -> Window:
    """Equal weights.

        w_i = 1 / size

    Args:
      size: number of taps, >= 1.

    Returns:
      The window.

    Raises:
      ValueError: if `size` is not positive.

    Example:
      >>> uniform_window(2).taps
      (0.5, 0.5)

    References:
      Wang and Bovik 2002, A universal image quality index.
    """
    if size < 1:
        raise ValueError(f"size of a uniform window must be >= 1, got {size}")
    return Window((1.0 / size,) * size)


def local_mean(
    image: Float[ArrayLike, "*batch h w c"], window: Window
) -> Float[Array, "*batch out_h out_w c"]:
    """Weighted mean of every whole window of an image ("valid" padding).

        out[i, j] = Σ_u Σ_v taps[u] taps[v] image[i + u, j + v]

    Args:
      image: images, at least as large as the window.
      window: the weights.

    Returns:
      Local means, `size - 1` pixels smaller along both axes, in the unit of `image`.

    Raises:
      ValueError: if the image is smaller than the window.

    Example:
      >>> local_mean(jnp.ones((9, 8, 1)), uniform_window(3)).shape
      (7, 6, 1)
    """
    image = jnp.asarray(image)
    height, width, channels = image.shape[-3:]
    if min(height, width) < window.size:
        raise ValueError(
            f"image is {height}x{width} pixels, smaller than the window of "
            f"{window.size}x{window.size}; use a smaller window"
        )
    rows = _weighted_sums(
        image.reshape(*image.shape[:-2], width * channels), window.taps
    )
    rows = rows.reshape(*rows.shape[:-1], width, channels)
    return _weighted_sums(rows, window.taps)


def _weighted_sums(
    rows: Float[Array, "*batch n k"], taps: tuple[float, ...]
) -> Float[Array, "*batch out k"]:
    """Correlates the last axis but one with the taps, as banded matrix products.

    A product with a banded matrix keeps a CPU's vector units and a GPU's or TPU's
    matrix units busy, which a one-channel convolution does not.
    """
    outputs = rows.shape[-2] - len(taps) + 1
    tile = min(outputs, _TILE)
    tiles = math.ceil(outputs / tile)
    span = tile + len(taps) - 1
    band = np.zeros((tile, span))
    for offset, tap in enumerate(taps):
        band[np.arange(tile), np.arange(tile) + offset] = tap
    missing = (tiles - 1) * tile + span - rows.shape[-2]
    rows = jnp.pad(rows, [(0, 0)] * (rows.ndim - 2) + [(0, missing), (0, 0)])
    spans = jnp.stack(
        [
            jax.lax.slice_in_dim(rows, i * tile, i * tile + span, axis=-2)
            for i in range(tiles)
        ],
        axis=-3,
    )
    # TF32 or bfloat16 products would shift SSIM by 1e-2.
    sums = jnp.einsum(
        "os,...sk->...ok",
        jnp.asarray(band, rows.dtype),
        spans,
        precision=jax.lax.Precision.HIGHEST,
    )
    sums = sums.reshape(*sums.shape[:-3], tiles * tile, sums.shape[-1])
    return jax.lax.slice_in_dim(sums, 0, outputs, axis=-2)
