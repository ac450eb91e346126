"""Bicubic resizing as MATLAB's `imresize` does it, by which super-resolution is judged.

Along each axis it is linear: one matrix, a few numbers wide around its diagonal.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def resize_bicubic(
    images: Float[Array, "*batch h w c"], shape: tuple[int, int]
) -> Float[Array, "*batch new_h new_w c"]:
    """Resizes images with Keys' cubic kernel, without aliasing.

        out_i = Σ_j k((u_i - j) / w) x_j / Σ_j k((u_i - j) / w)
        u_i = (i + 1/2) n / m - 1/2,  w = max(n / m, 1)
        k(t) = 3/2 |t|³ - 5/2 |t|² + 1,          |t| <= 1
               -1/2 |t|³ + 5/2 |t|² - 4 |t| + 2,  1 < |t| < 2,  and 0 beyond

    from n to m pixels along each axis; beyond its borders the image is mirrored, border
    pixels repeated. That is `imresize(x, shape)` of MATLAB for floats, whereas
    `jax.image.resize` has no pixels beyond the borders, and libraries of networks take
    other kernels or do not widen it.

    Args:
      images: images of any range.
      shape: height and width to come, each >= 1.

    Returns:
      Images, in the unit of the input; near edges they may leave its range.

    Raises:
      TypeError: if the images are not floats.
      ValueError: if the images have fewer than three axes or an empty one, or a new
        side is below 1.

    Example:
      >>> resize_bicubic(jnp.ones((2, 8, 8, 1)), (2, 4)).shape
      (2, 2, 4, 1)

    References:
      Keys 1981, Cubic convolution interpolation for digital image processing, Eq. 15.
    """
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise TypeError(f"images must be floats, got {images.dtype}")
    if images.ndim < 3 or 0 in images.shape[-3:-1]:
        raise ValueError(
            "images must have the axes [..., height, width, channels], none of them "
            f"empty, got shape {images.shape}"
        )
    if len(shape) != 2 or min(shape) < 1:
        raise ValueError(f"shape must be (height, width), each >= 1, got {shape}")
    return _resized(images, (int(shape[0]), int(shape[1])))


@functools.partial(jax.jit, static_argnames="shape")
def _resized(images: Array, shape: tuple[int, int]) -> Array:
    dtype = jnp.promote_types(images.dtype, jnp.float32)
    down, across = (
        jnp.asarray(_weights(before, after), dtype)
        for before, after in zip(images.shape[-3:-1], shape)
    )
    highest = jax.lax.Precision.HIGHEST
    rows = jnp.einsum("ih,...hwc->...iwc", down, images, precision=highest)
    out = jnp.einsum("jw,...iwc->...ijc", across, rows, precision=highest)
    return out.astype(images.dtype)


@functools.lru_cache(maxsize=16)
def _weights(before: int, after: int) -> np.ndarray:
    """From pixels of one axis to those of the resized one, `[after, before]`."""
    step = before / after
    wide = max(step, 1.0)
    centres = (np.arange(after) + 0.5) * step - 0.5
    taps = np.arange(int(np.ceil(4 * wide)) + 2)
    pixels = np.floor(centres - 2 * wide).astype(int)[:, None] + taps[None]
    weights = _keys((centres[:, None] - pixels) / wide)
    weights /= weights.sum(1, keepdims=True)
    mirrored = pixels % (2 * before)
    mirrored = np.where(mirrored < before, mirrored, 2 * before - 1 - mirrored)
    matrix = np.zeros((after, before))
    rows = np.broadcast_to(np.arange(after)[:, None], pixels.shape)
    np.add.at(matrix, (rows, mirrored), weights)
    return matrix


def _keys(t: np.ndarray) -> np.ndarray:
    t = np.abs(t)
    near = (1.5 * t - 2.5) * t**2 + 1
    far = ((-0.5 * t + 2.5) * t - 4) * t + 2
    return np.where(t <= 1, near, np.where(t < 2, far, 0.0))
