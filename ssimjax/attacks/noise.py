"""Random noise, the weakest attack of all."""

import jax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PRNGKeyArray

from ssimjax.attacks.balls import Epsilon, ball_around
from ssimjax.attacks.inputs import as_floats


def random_noise(
    key: PRNGKeyArray,
    images: Float[ArrayLike, "b h w c"],
    *,
    epsilon: Epsilon,
    clip_range: tuple[float, float] = (0.0, 1.0),
) -> Float[Array, "b h w c"]:
    """Adds +ε or -ε to every pixel at random.

    An attack that does no better than this one has learned nothing from the network.

    Args:
      key: PRNG key.
      images: images in `clip_range`; integers become float32.
      epsilon: L∞ size in pixel units, >= 0; may be traced.
      clip_range: smallest and largest valid pixel.

    Returns:
      Noisy images in `clip_range`.

    Raises:
      ValueError: if epsilon is a negative number, the range is empty, or pixels whose
        values are known are outside of it.

    Example:
      >>> import jax.numpy as jnp
      >>> image = jnp.full((1, 2, 2, 1), 0.5)
      >>> noisy = random_noise(jax.random.key(0), image, epsilon=0.25)
      >>> bool((abs(noisy - 0.5) == 0.25).all())
      True
    """
    ball = ball_around(
        images, epsilon=epsilon, norm="linf", clip_range=clip_range, allowed=("linf",)
    )
    images = as_floats(images)
    signs = jax.random.rademacher(key, images.shape, images.dtype)
    return ball.project(images + ball.epsilon * signs, images)
