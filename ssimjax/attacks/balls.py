"""Where an attack may go: a ball around the image, and the range of pixels."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Key, PRNGKeyArray

from ssimjax.attacks.inputs import check_pixels, float_type

Norm = Literal["linf", "l2"]
Epsilon = float | Float[Array, ""]


class Ball(NamedTuple):
    """All images near a given one.

    Attributes:
      epsilon: radius in pixel units.
      norm: "linf", the largest change of a pixel, or "l2", the Euclidean length of the
        change of an image.
      clip_range: smallest and largest valid pixel.
    """

    epsilon: Epsilon
    norm: Norm
    clip_range: tuple[float, float]

    def project(
        self, points: Float[Array, "b h w c"], centres: Float[Array, "b h w c"]
    ) -> Float[Array, "b h w c"]:
        """The nearest valid points; with L2, the nearest of the ball, then clipped."""
        low, high = self.clip_range
        if self.norm == "linf":
            nearest = jnp.clip(points, centres - self.epsilon, centres + self.epsilon)
        else:
            change = points - centres
            shrink = jnp.minimum(1, self.epsilon / jnp.maximum(lengths(change), _TINY))
            nearest = centres + change * shrink
        return jnp.clip(nearest, low, high)

    def steepest(self, gradients: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """The step of unit size along which a linear function grows most."""
        if self.norm == "linf":
            return jnp.sign(gradients)
        return gradients / jnp.maximum(lengths(gradients), _TINY)

    def random(
        self, keys: Key[Array, " b"], centres: Float[Array, "b h w c"]
    ) -> Float[Array, "b h w c"]:
        """Points drawn uniformly from the balls, with a key for each, then clipped."""
        shape = centres.shape[1:]
        if self.norm == "linf":

            def draw(key: PRNGKeyArray) -> Array:
                return jax.random.uniform(key, shape, centres.dtype, -1.0, 1.0)

            change = jax.vmap(draw)(keys)
        else:

            def draw(key: PRNGKeyArray) -> Array:
                direction, radius = jax.random.split(key)
                normal = jax.random.normal(direction, shape, centres.dtype)
                # Of a uniform point, the radius to the power of the dimension is.
                length = jax.random.uniform(radius, (), centres.dtype) ** (
                    1 / normal.size
                )
                return normal * length / jnp.linalg.norm(normal.ravel())

            change = jax.vmap(draw)(keys)
        return self.project(centres + self.epsilon * change, centres)


# Below the length of any gradient that says something, above that of none.
_TINY = 1e-30


def lengths(change: Float[Array, "b h w c"]) -> Float[Array, "b 1 1 1"]:
    """Euclidean lengths, 0 only of zeros, or where every element is below 1e-30.

    Args:
      change: an array per image.

    Returns:
      A length per image, in the unit of the pixels.

    Example:
      >>> lengths(jnp.full((1, 2, 2, 1), 3.0)).item()
      6.0
    """
    # Scaled first: squares of small gradients would be 0 in float32.
    peak = jnp.maximum(jnp.abs(change).max((1, 2, 3), keepdims=True), _TINY)
    return peak * jnp.sqrt(((change / peak) ** 2).sum((1, 2, 3), keepdims=True))


def ball_around(
    images: ArrayLike,
    *,
    epsilon: Epsilon,
    norm: Norm,
    clip_range: tuple[float, float],
    allowed: Sequence[str],
) -> Ball:
    """The ball in which an attack on these images stays.

    Args:
      images: images, floats or integers.
      epsilon: radius; not checked if it is traced.
      norm: its name.
      clip_range: smallest and largest pixel.
      allowed: norms that the attack has.

    Returns:
      The ball, its radius of the type that the images have as floats.

    Raises:
      ValueError: if an argument is out of its range, or pixels whose values are known
        are outside of `clip_range`.
    """
    low, high = clip_range
    if not low < high:
        raise ValueError(
            f"clip_range must be (low, high) with low < high, got {clip_range}"
        )
    # By NumPy: within `jit`, JAX would trace the comparison.
    if not isinstance(epsilon, jax.core.Tracer) and not np.all(
        np.asarray(epsilon) >= 0
    ):
        raise ValueError(f"epsilon must be >= 0, got {epsilon}")
    if norm not in allowed:
        raise ValueError(f"norm must be one of {tuple(allowed)}, got {norm!r}")
    check_pixels(images, clip_range)
    return Ball(jnp.asarray(epsilon, float_type(images)), norm, clip_range)


NORMS: tuple[str, ...] = get_args(Norm)
