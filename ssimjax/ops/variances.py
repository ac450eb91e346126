"""Variances and deviations as formulas combine them, with finite derivatives."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

from ssimjax.ops.moments import Moments
from ssimjax.ops.powers import safe_sqrt


def total_variance(moments: Moments) -> Float[Array, "..."]:
    """The variances of both images together.

        var_x + var_y

    Args:
      moments: local moments of any broadcastable shapes, in pixel units.

    Returns:
      Sums in squared pixel units, >= 0 up to rounding.

    Example:
      >>> float(total_variance(Moments(*(jnp.ones(()),) * 5)))
      2.0
    """
    if moments.var_total is None:
        return moments.var_x + moments.var_y
    return moments.var_total


def variance_of_difference(moments: Moments) -> Float[Array, "..."]:
    """The variance of x - y.

        var_x + var_y - 2 cov_xy

    Args:
      moments: local moments of any broadcastable shapes, in pixel units.

    Returns:
      Variances in squared pixel units, >= 0 up to rounding; exactly 0 for equal images
      if the moments know it by itself.

    Example:
      >>> float(variance_of_difference(Moments(*(jnp.ones(()),) * 5)))
      0.0
    """
    if moments.var_difference is None:
        return total_variance(moments) - 2 * moments.cov_xy
    return moments.var_difference


def squared_difference_of_deviations(moments: Moments, c: float) -> Float[Array, "..."]:
    """How far apart the deviations are, 0 for equal variances.

        (σ_x - σ_y)² = (var_x - var_y)² / (σ_x + σ_y)²

    Args:
      moments: local moments of any broadcastable shapes, in pixel units.
      c: stabiliser beside which the result stands, in squared pixel units, > 0.

    Returns:
      Squares in squared pixel units; 0 where the denominator is no more than rounding
      beside c, for its derivatives would overflow.

    Example:
      >>> moments = Moments(*(jnp.ones(()),) * 5)._replace(var_x=jnp.array(4.0))
      >>> float(squared_difference_of_deviations(moments, 9e-4))
      1.0
    """
    square_of_sum = moments.var_x + moments.var_y + 2 * deviation_product(moments, c)
    # Of NaN this is false, and NaN stays.
    hidden = square_of_sum <= float(jnp.finfo(square_of_sum.dtype).eps) * c
    # Squares of variances would overflow in small units.
    difference = moments.var_x - moments.var_y
    quotient = difference / jnp.where(hidden, 1.0, square_of_sum)
    return jnp.where(hidden, 0.0, difference * quotient)


def deviation_product(moments: Moments, c: float) -> Float[Array, "..."]:
    """The product of both deviations.

        σ_x σ_y

    Args:
      moments: local moments of any broadcastable shapes, in pixel units.
      c: stabiliser beside which the result stands, in squared pixel units, > 0.

    Returns:
      Products in squared pixel units; 0 where they are no more than rounding beside c,
      for the derivatives of the root are infinite at 0 and overflow near it.

    Example:
      >>> moments = Moments(*(jnp.ones(()),) * 5)._replace(var_x=jnp.array(4.0))
      >>> float(deviation_product(moments, 9e-4))
      2.0
    """
    # In a unit near c, for the product has the square of the unit. A power of two, so
    # that the root of v · v is v.
    unit = 2.0 ** math.frexp(c)[1] if isinstance(c, float) else 1.0
    product = (moments.var_x / unit) * (moments.var_y / unit)
    smallest = (float(jnp.finfo(product.dtype).eps) * c / unit) ** 2
    return unit * safe_sqrt(product, smallest=smallest)
