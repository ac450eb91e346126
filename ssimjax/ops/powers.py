"""Roots and powers of similarities and distances, with derivatives that are finite."""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float


def safe_sqrt(
    square: Float[Array, "..."], *, smallest: ArrayLike | None = None
) -> Float[Array, "..."]:
    """Root with finite derivatives.

        √square where square > smallest, else 0

    Args:
      square: squared distances, >= 0 up to rounding.
      smallest: the largest square that rounding alone can leave, >= 0. If None, ε², ε
        being the rounding unit of the dtype, for squares of order 1.

    Returns:
      Distances. Where they are 0, so is the gradient, which has no limit there. NaN
      stays NaN.

    Example:
      >>> float(safe_sqrt(jnp.array(4.0))), float(safe_sqrt(jnp.array(-1e-9)))
      (2.0, 0.0)
    """
    if smallest is None:
        smallest = float(jnp.finfo(square.dtype).eps) ** 2
    # Not its opposite, which is false of NaN, too, and would call it a distance of 0.
    hidden = square <= smallest
    return jnp.where(hidden, 0.0, jnp.sqrt(jnp.where(hidden, 1.0, square)))


def signed_power(base: Float[Array, "..."], exponent: float) -> Float[Array, "..."]:
    """Power of a similarity, which can be negative.

        sign(base) |base|^exponent,  and  base^exponent  of whole exponents

    Args:
      base: similarities of order 1.
      exponent: >= 0; powers of 0 are 1.

    Returns:
      Powers. Fractional ones are nearer to 0 where |base| is about 1e-6 or less, and
      have a finite derivative there.

    Example:
      >>> signed_power(jnp.array([-4.0, 4.0]), 0.5).tolist()
      [-2.0, 2.0]
    """
    if float(exponent).is_integer():
        return base ** int(exponent)
    # The root of the smallest square that float32 resolves beside 1: far below any
    # similarity that means something, and large enough that its powers stay finite.
    smallest = 1e-12
    return base * (base * base + smallest) ** ((exponent - 1) / 2)


def power_dissimilarity(
    errors: Float[Array, "..."], exponent: float
) -> Float[Array, "..."]:
    """Dissimilarity of a power of a similarity, without cancellation.

        1 - (1 - e)^exponent

    Args:
      errors: dissimilarities e = 1 - s, in [0, 2].
      exponent: >= 0.

    Returns:
      Dissimilarities, accurate to rounding near 0. Powers of negative s are those of
      `signed_power`.

    Example:
      >>> float(power_dissimilarity(jnp.array(0.75), 0.5))
      0.5
    """
    if exponent == 1:
        return errors
    small = errors < 0.5
    near = -jnp.expm1(exponent * jnp.log1p(-jnp.where(small, errors, 0.0)))
    return jnp.where(small, near, 1 - signed_power(1 - errors, exponent))
