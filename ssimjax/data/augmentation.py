"""Random changes to training images, on the device, inside the training step."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray


def random_flip(
    key: PRNGKeyArray, images: Float[Array, "b h w c"]
) -> Float[Array, "b h w c"]:
    """Mirrors each image left to right with probability one half.

    Args:
      key: PRNG key.
      images: images.

    Returns:
      Images of the same shape.

    Example:
      >>> random_flip(jax.random.key(0), jnp.ones((4, 8, 8, 3))).shape
      (4, 8, 8, 3)
    """
    flip = jax.random.bernoulli(key, shape=(images.shape[0], 1, 1, 1))
    return jnp.where(flip, images[:, :, ::-1], images)


def random_crop(
    key: PRNGKeyArray, images: Float[Array, "b h w c"], *, padding: int
) -> Float[Array, "b h w c"]:
    """Shifts each image by up to `padding` pixels along both axes; zeros come in.

    Args:
      key: PRNG key.
      images: images.
      padding: largest shift, in pixels, >= 0.

    Returns:
      Images of the same shape.

    Raises:
      ValueError: if `padding` is negative.

    Example:
      >>> random_crop(jax.random.key(0), jnp.ones((4, 8, 8, 3)), padding=2).shape
      (4, 8, 8, 3)
    """
    if padding < 0:
        raise ValueError(f"padding must be >= 0 pixels, got {padding}")
    margin = (padding, padding)
    padded = jnp.pad(images, ((0, 0), margin, margin, (0, 0)))
    corners = jax.random.randint(key, (images.shape[0], 2), 0, 2 * padding + 1)

    def crop(image: Array, corner: Array) -> Array:
        start = (corner[0], corner[1], jnp.zeros((), corner.dtype))
        return jax.lax.dynamic_slice(image, start, images.shape[1:])

    return jax.vmap(crop)(padded, corners)
