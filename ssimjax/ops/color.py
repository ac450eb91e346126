"""BT.601 in studio range, as digital video and super-resolution use it.

For luma without the footroom see `to_luma`.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

# Rows: Y, Cb, Cr; columns: red, green, blue. Of 8-bit pixels, for RGB in [0, 1].
_MATRIX = np.array(
    [
        [65.481, 128.553, 24.966],
        [-37.797, -74.203, 112.0],
        [112.0, -93.786, -18.214],
    ]
)
_OFFSET = np.array([16.0, 128.0, 128.0])


def rgb_to_ycbcr(images: Float[Array, "*batch 3"]) -> Float[Array, "*batch 3"]:
    """Luma and two colour differences of RGB images, as MATLAB's `rgb2ycbcr`.

        Y  = (16 + 65.481 R + 128.553 G + 24.966 B) / 255
        Cb = (128 - 37.797 R - 74.203 G + 112 B) / 255
        Cr = (128 + 112 R - 93.786 G - 18.214 B) / 255

    Args:
      images: red, green and blue in [0, 1].

    Returns:
      Y in [16/255, 235/255], Cb and Cr in [16/255, 240/255].

    Raises:
      TypeError: if the images are not floats.
      ValueError: if there are not 3 channels.

    Example:
      >>> (255 * rgb_to_ycbcr(jnp.ones((1, 1, 3)))).round()[0, 0].tolist()
      [235.0, 128.0, 128.0]

    References:
      ITU-R BT.601, Section 2.5.
    """
    _check(images)
    mixed = _mixed(images, _MATRIX / 255)
    return mixed + _like(_OFFSET / 255, images)


def ycbcr_to_rgb(images: Float[Array, "*batch 3"]) -> Float[Array, "*batch 3"]:
    """The inverse of `rgb_to_ycbcr`.

    Args:
      images: Y, Cb and Cr.

    Returns:
      Red, green and blue; outside [0, 1] where no colour has these values.

    Raises:
      TypeError: if the images are not floats.
      ValueError: if there are not 3 channels.

    Example:
      >>> gray = jnp.full((1, 1, 3), 0.5)
      >>> ycbcr_to_rgb(rgb_to_ycbcr(gray)).round(3)[0, 0].tolist()
      [0.5, 0.5, 0.5]

    References:
      ITU-R BT.601, Section 2.5.
    """
    _check(images)
    centred = images - _like(_OFFSET / 255, images)
    return _mixed(centred, np.linalg.inv(_MATRIX / 255))


def _check(images: Array) -> None:
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise TypeError(f"images must be floats, got {images.dtype}")
    if images.shape[-1] != 3:
        raise ValueError(f"images must have 3 channels, got shape {images.shape}")


def _like(values: np.ndarray, images: Array) -> Array:
    ones = (1,) * (images.ndim - 1)
    return jnp.asarray(values, images.dtype).reshape(*ones, 3)


def _mixed(images: Array, matrix: np.ndarray) -> Array:
    # No matrix product: accelerators would round its factors.
    red, green, blue = (images[..., i : i + 1] for i in range(3))
    return (
        _like(matrix[:, 0], images) * red
        + _like(matrix[:, 1], images) * green
        + _like(matrix[:, 2], images) * blue
    )
