"""How alike images and their reconstructions are, by every measure of the papers."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from ssimjax.losses import mae, mse
from ssimjax.ops import MS_SSIM_WEIGHTS, lw_ssim, ms_ssim, psnr, rgb_to_ycbcr, ssim
from ssimjax.ops.powers import safe_sqrt

# A scale on which the window of 11 pixels has no place is left out.
_WINDOW = 11


def image_scores(
    found: Float[Array, "b h w c"], images: Float[Array, "b h w c"]
) -> dict[str, Float[Array, " b"]]:
    """Every measure of every image, for pixels in [0, 1].

    Args:
      found: reconstructions.
      images: what they should be.

    Returns:
      `ssim`; `ms_ssim`, over as many of the five scales as hold a window of 11 pixels,
      their weights divided by their sum; `lw_ssim`, with its default windows, at most
      2; `mse`; `mae`; `psnr` in dB, of an MSE of at least 1e-10; `saturation`, the mean
      over pixels of the difference between the largest and the smallest channel of the
      reconstruction less that of the image: negative where colour is lost; `chroma`,
      the mean over pixels of the distance of (Cb, Cr) of BT.601, which also sees
      colours that are as strong and wrong. Both are 0 for gray.

    Raises:
      ValueError: if an image is smaller than the window.
    """
    side = min(images.shape[1:3])
    scales = sum(side // 2**scale >= _WINDOW for scale in range(5))
    weights = MS_SSIM_WEIGHTS[: max(scales, 1)]
    weights = tuple(weight / sum(weights) for weight in weights)

    def colour(x: Array) -> Array:
        return (x.max(-1) - x.min(-1)).mean((1, 2))

    def chroma_error() -> Array:
        if images.shape[-1] != 3:
            return jnp.zeros(len(images), images.dtype)
        difference = (rgb_to_ycbcr(found) - rgb_to_ycbcr(images))[..., 1:]
        return safe_sqrt((difference**2).sum(-1)).mean((1, 2))

    return {
        "ssim": ssim(found, images, data_range=1.0),
        "ms_ssim": ms_ssim(found, images, data_range=1.0, weights=weights),
        "lw_ssim": lw_ssim(found, images, data_range=1.0),
        "mse": mse(found, images, data_range=1.0),
        "mae": mae(found, images, data_range=1.0),
        "psnr": jnp.minimum(psnr(found, images, data_range=1.0), 100.0),
        "saturation": colour(found) - colour(images),
        "chroma": chroma_error(),
    }
