"""Random changes to training images, on the device, inside the training step."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray


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
    return _cut(padded, corners, (images.shape[1], images.shape[2]))


def random_orientation(
    key: PRNGKeyArray, images: Float[Array, "b s s c"]
) -> Float[Array, "b s s c"]:
    """Turns and mirrors each square image: one of the eight ways, each as likely.

    Args:
      key: PRNG key.
      images: square images.

    Returns:
      Images of the same shape.

    Example:
      >>> random_orientation(jax.random.key(0), jnp.ones((4, 8, 8, 3))).shape
      (4, 8, 8, 3)
    """
    shape = (3, images.shape[0], 1, 1, 1)
    across, down, swap = jax.random.bernoulli(key, shape=shape)
    images = jnp.where(across, images[:, :, ::-1], images)
    images = jnp.where(down, images[:, ::-1], images)
    return jnp.where(swap, jnp.swapaxes(images, 1, 2), images)


def random_window(
    key: PRNGKeyArray, images: Float[Array, "b h w c"], *, side: int, margin: int = 0
) -> Float[Array, "b side side c"]:
    """Cuts a square out of each image, every position as likely.

    Args:
      key: PRNG key.
      images: images.
      side: of the squares, in pixels.
      margin: pixels at each border of an image that no square reaches.

    Returns:
      Images `[b, side, side, c]`.

    Raises:
      ValueError: if a number is out of its range, or a square does not fit.

    Example:
      >>> random_window(jax.random.key(0), jnp.ones((4, 9, 8, 3)), side=5).shape
      (4, 5, 5, 3)
    """
    if side < 1 or margin < 0:
        raise ValueError(f"side must be >= 1 and margin >= 0, got {side} and {margin}")
    count, height, width, _ = images.shape
    free = [length - 2 * margin - side for length in (height, width)]
    if min(free) < 0:
        raise ValueError(
            f"images of {height}x{width} hold no square of {side} pixels within a "
            f"margin of {margin}"
        )
    corners = margin + jax.random.randint(
        key, (count, 2), 0, jnp.asarray([[free[0] + 1, free[1] + 1]])
    )
    return _cut(images, corners, (side, side))


def random_resized_crop(
    key: PRNGKeyArray,
    images: Float[Array, "b h w c"],
    *,
    side: int,
    area: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> Float[Array, "b side side c"]:
    """Cuts out a random rectangle of each image and resizes it to a square.

    Args:
      key: PRNG key.
      images: images.
      side: of the squares, in pixels.
      area: smallest and largest share of the image that a rectangle has.
      ratio: smallest and largest width over height, whose logarithm is uniform.

    Returns:
      Images `[b, side, side, c]`, resized linearly, without aliasing.

    Raises:
      ValueError: if `side` is below 1, or a range is empty or not positive.

    Example:
      >>> crops = random_resized_crop(
      ...     jax.random.key(0), jnp.ones((4, 96, 96, 3)), side=32
      ... )
      >>> crops.shape
      (4, 32, 32, 3)

    References:
      Szegedy et al. 2015, Going deeper with convolutions, Section 6.
    """
    if side < 1:
        raise ValueError(f"side must be >= 1 pixel, got {side}")
    for name, (low, high) in (("area", area), ("ratio", ratio)):
        if not 0 < low <= high:
            raise ValueError(
                f"{name} must be (low, high) with 0 < low <= high, got {(low, high)}"
            )
    count, height, width, channels = images.shape
    areas, ratios, positions = jax.random.split(key, 3)
    share = jax.random.uniform(areas, (count, 1), minval=area[0], maxval=area[1])
    logs = jnp.log(jnp.asarray(ratio))
    wide = jnp.exp(
        jax.random.uniform(ratios, (count, 1), minval=logs[0], maxval=logs[1])
    )
    pixels = share * height * width
    sides = jnp.concatenate([jnp.sqrt(pixels / wide), jnp.sqrt(pixels * wide)], 1)
    whole = jnp.asarray([[height, width]], jnp.float32)
    sides = jnp.minimum(sides, whole)
    corners = jax.random.uniform(positions, (count, 2)) * (whole - sides)

    def crop(image: Array, corner: Array, extent: Array) -> Array:
        scale = side / extent
        return jax.image.scale_and_translate(
            image, (side, side, channels), (0, 1), scale, -corner * scale, "linear"
        )

    return jax.vmap(crop)(images, corners, sides)


def resized(images: Float[Array, "b h w c"], *, side: int) -> Float[Array, "b s s c"]:
    """Resizes images to squares, linearly, without aliasing.

    Args:
      images: images.
      side: of the squares, in pixels.

    Returns:
      Images `[b, side, side, c]`; the same, if they have that size.

    Example:
      >>> resized(jnp.ones((4, 96, 96, 3)), side=32).shape
      (4, 32, 32, 3)
    """
    count, height, width, channels = images.shape
    if (height, width) == (side, side):
        return images
    return jax.image.resize(images, (count, side, side, channels), "linear")


def _cut(
    images: Float[Array, "b h w c"],
    corners: Int[Array, "b 2"],
    sides: tuple[int, int],
) -> Float[Array, "b height width c"]:
    """A rectangle of each image, from its own corner."""

    def cut(image: Array, corner: Array) -> Array:
        start = (corner[0], corner[1], jnp.zeros((), corner.dtype))
        return jax.lax.dynamic_slice(image, start, (*sides, image.shape[-1]))

    return jax.vmap(cut)(images, corners)
