"""What similarities lack to 1, without the cancellation of 1 - SSIM.

Losses are made of these: near a perfect image, where a similarity rounds to 1, they
keep all their digits. The stabilisers are those of `similarity.py`.
"""

from jaxtyping import Array, Float

from ssimjax.ops.constants import check_exponents
from ssimjax.ops.moments import Moments
from ssimjax.ops.powers import power_dissimilarity
from ssimjax.ops.variances import (
    deviation_product,
    squared_difference_of_deviations,
    total_variance,
    variance_of_difference,
)


def luminance_dissimilarity(moments: Moments, c1: float) -> Float[Array, "..."]:
    """1 - l without cancellation.

        d1 = (mean_x - mean_y)² / (mean_x² + mean_y² + c1)

    Args:
      moments: local moments of any broadcastable shapes, in pixel units.
      c1: stabiliser (K1 L)², in squared pixel units, > 0.

    Returns:
      Dissimilarity in [0, 2], accurate to rounding even where l rounds to 1.

    Example:
      >>> import jax.numpy as jnp
      >>> float(luminance_dissimilarity(Moments(*(jnp.ones(()),) * 5), c1=1e-4))
      0.0
    """
    mx, my = moments.mean_x, moments.mean_y
    return (mx - my) ** 2 / (mx * mx + my * my + c1)


def contrast_structure_dissimilarity(
    moments: Moments, c2: float
) -> Float[Array, "..."]:
    """1 - cs without cancellation.

        d2 = (var_x + var_y - 2 cov_xy) / (var_x + var_y + c2)

    whose numerator is the variance of x - y.

    Args:
      moments: local moments of any broadcastable shapes, in pixel units.
      c2: stabiliser (K2 L)², in squared pixel units, > 0.

    Returns:
      Dissimilarity in [0, 2].

    Example:
      >>> import jax.numpy as jnp
      >>> moments = Moments(*(jnp.ones(()),) * 5)
      >>> float(contrast_structure_dissimilarity(moments, c2=9e-4))
      0.0
    """
    return variance_of_difference(moments) / (total_variance(moments) + c2)


def dissimilarity(
    moments: Moments,
    c1: float,
    c2: float,
    *,
    exponents: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> Float[Array, "..."]:
    """1 - SSIM without cancellation.

        1 - l^α c^β s^γ = d1 + d2 - d1 d2

    Args:
      moments: local moments of any broadcastable shapes, in pixel units.
      c1: stabiliser of the luminance term, > 0.
      c2: stabiliser of the contrast and structure terms, > 0.
      exponents: (α, β, γ), each > 0; see `similarity`.

    Returns:
      Dissimilarity in [0, 2]; 0 only at equal patches.

    Raises:
      ValueError: if an exponent is not positive.

    Example:
      >>> import jax.numpy as jnp
      >>> float(dissimilarity(Moments(*(jnp.ones(()),) * 5), 1e-4, 9e-4))
      0.0
    """
    d1, d2 = dissimilarities(moments, c1, c2, exponents=exponents)
    return d1 + d2 - d1 * d2


def dissimilarities(
    moments: Moments,
    c1: float,
    c2: float,
    *,
    exponents: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Those of luminance, and of contrast and structure, without cancellation.

        d1 = 1 - l^α,  d2 = 1 - c^β s^γ

    Args:
      moments: as in `dissimilarity`.
      c1: as in `dissimilarity`.
      c2: as in `dissimilarity`.
      exponents: as in `dissimilarity`.

    Returns:
      d1 and d2 in [0, 2], each 0 only where what it compares is equal.

    Raises:
      ValueError: if an exponent is not positive.

    Example:
      >>> import jax.numpy as jnp
      >>> moments = Moments(*(jnp.ones(()),) * 5)
      >>> [float(d) for d in dissimilarities(moments, 1e-4, 9e-4)]
      [0.0, 0.0]
    """
    check_exponents(exponents)
    alpha, beta, gamma = exponents
    d1 = power_dissimilarity(luminance_dissimilarity(moments, c1), alpha)
    if beta == gamma:
        cs = contrast_structure_dissimilarity(moments, c2)
        return d1, power_dissimilarity(cs, beta)
    of_deviations = squared_difference_of_deviations(moments, c2)
    rest = variance_of_difference(moments) - of_deviations
    total = moments.var_x + moments.var_y
    c = power_dissimilarity(of_deviations / (total + c2), beta)
    s = rest / (2 * deviation_product(moments, c2) + c2)
    s = power_dissimilarity(s, gamma)
    return d1, c + s - c * s
