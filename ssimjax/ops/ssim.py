"""SSIM of two images: the map over all windows and its mean."""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Integer

from ssimjax.ops.moments import image_moments
from ssimjax.ops.similarity import similarity
from ssimjax.ops.windows import Window, gaussian_window

_GAUSSIAN_11 = gaussian_window(11, sigma=1.5)
Images = Float[ArrayLike, "*batch h w c"] | Integer[ArrayLike, "*batch h w c"]


def ssim_map(
    x: Images,
    y: Images,
    *,
    data_range: float | None = None,
    window: Window = _GAUSSIAN_11,
    k1: float = 0.01,
    k2: float = 0.03,
    exponents: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> Float[Array, "*batch out_h out_w c"]:
    """SSIM under every whole window of two images, per channel.

        SSIM = l^α c^β s^γ,  c1 = (k1 L)², c2 = (k2 L)², c3 = c2 / 2

    Args:
      x: images, floats in [0, data_range] or integers.
      y: images of the same shape and dtype.
      data_range: L, the largest possible pixel minus the smallest. Required for floats;
        integers take the range of their dtype if it is None.
      window: weights of the local statistics.
      k1: stabiliser of the luminance term relative to L, > 0.
      k2: stabiliser of the contrast and structure terms relative to L, > 0.
      exponents: (α, β, γ), each > 0.

    Returns:
      Similarities in [-1, 1], smaller than the images by `window.size - 1`; float32, or
      float64 for float64 input.

    Raises:
      TypeError: if the dtypes of x and y differ, or are neither float nor integer.
      ValueError: if the shapes differ or are smaller than the window, if `data_range`
        is missing for floats or not positive, or if a constant is not positive.

    Example:
      >>> image = jnp.linspace(0, 1, 16 * 16).reshape(16, 16, 1)
      >>> ssim_map(image, image, data_range=1.0).shape
      (6, 6, 1)

    References:
      Wang et al. 2004, Image quality assessment, Eq. 12 and 13.
    """
    x, y = jnp.asarray(x), jnp.asarray(y)
    if x.dtype != y.dtype:
        raise TypeError(f"x and y must have one dtype, got {x.dtype} and {y.dtype}")
    if jnp.issubdtype(x.dtype, jnp.integer):
        if data_range is None:
            info = jnp.iinfo(x.dtype)
            data_range = float(info.max) - float(info.min)
        x, y = x.astype(jnp.float32), y.astype(jnp.float32)
    if data_range is None:
        raise ValueError(
            "data_range is required for floating-point images: the largest possible "
            "pixel minus the smallest, for example 1.0 or 255.0"
        )
    if not data_range > 0:
        raise ValueError(f"data_range must be > 0, got {data_range}")
    return similarity(
        image_moments(x, y, window),
        (k1 * data_range) ** 2,
        (k2 * data_range) ** 2,
        exponents=exponents,
    )


def ssim(
    x: Images,
    y: Images,
    *,
    data_range: float | None = None,
    window: Window = _GAUSSIAN_11,
    k1: float = 0.01,
    k2: float = 0.03,
    exponents: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> Float[Array, "*batch"]:
    """Mean SSIM of two images, over windows and channels.

        MSSIM = mean over windows and channels of SSIM

    Args:
      x: images, floats in [0, data_range] or integers.
      y: images of the same shape and dtype.
      data_range: as in `ssim_map`.
      window: as in `ssim_map`.
      k1: as in `ssim_map`.
      k2: as in `ssim_map`.
      exponents: as in `ssim_map`.

    Returns:
      One similarity in [-1, 1] per image; 1 only for equal images.

    Raises:
      TypeError: as `ssim_map`.
      ValueError: as `ssim_map`.

    Example:
      >>> image = jnp.linspace(0, 1, 16 * 16).reshape(16, 16, 1)
      >>> float(ssim(image, image, data_range=1.0))
      1.0

    References:
      Wang et al. 2004, Image quality assessment, Eq. 17.
    """
    values = ssim_map(
        x,
        y,
        data_range=data_range,
        window=window,
        k1=k1,
        k2=k2,
        exponents=exponents,
    )
    return values.mean((-3, -2, -1))
