"""Peak signal-to-noise ratio, the yardstick that SSIM was made to replace."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ssimjax.ops.compiled import compiled
from ssimjax.ops.images import Images, Mask, prepare
from ssimjax.ops.pooling import cropped, mean_over_windows


@compiled
def psnr(
    x: Images,
    y: Images,
    *,
    data_range: float | None = None,
    mask: Mask | None = None,
    crop: int = 0,
    luma: bool = False,
    spatial_axes: int = 2,
    check_range: bool = False,
) -> Float[Array, "*batch"]:
    """Peak signal-to-noise ratio of two images.

        PSNR = 10 log10(L² / MSE),  MSE = Σ m (x - y)² / Σ m

    Args:
      x: as in `ssim`.
      y: as in `ssim`.
      data_range: L, as in `ssim`.
      mask: weights m of the pixels, as in `ssim`; all 1 if None.
      crop: pixels left out on every side, as super-resolution does.
      luma: as in `ssim`.
      spatial_axes: as in `ssim`.
      check_range: as in `ssim`.

    Returns:
      Decibels, one number per image; infinite for equal images, with gradient 0.

    Raises:
      TypeError: as `ssim`.
      ValueError: as `ssim`.

    Example:
      >>> image = jnp.ones((8, 8, 1))
      >>> round(float(psnr(image, 0.9 * image, data_range=1.0)), 3)
      20.0
    """
    pair = prepare(
        x,
        y,
        data_range=data_range,
        mask=mask,
        luma=luma,
        spatial_axes=spatial_axes,
        check_range=check_range,
    )
    errors = ((pair.x - pair.y) / pair.data_range) ** 2
    errors, weights = jax.tree.map(
        lambda values: cropped(values, crop, spatial_axes=spatial_axes),
        (errors, pair.mask),
    )
    mse = mean_over_windows(errors, weights, spatial_axes=spatial_axes)
    # The derivatives of the logarithm overflow long before its value does.
    visible = mse > 1e-18
    return jnp.where(
        visible,
        -10 * jnp.log10(jnp.where(visible, mse, 1.0)),
        -10 * jnp.log10(jax.lax.stop_gradient(mse)),
    )
