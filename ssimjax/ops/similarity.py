"""The papers' equations, each a short formula over `Moments`.

`c1`, `c2` and `c3` are the stabilisers (K1 L)², (K2 L)² and usually c2 / 2, where L is
the data range. All functions are pointwise and accept moments of any shapes that
broadcast together.
"""

import math
from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Float

from ssimjax.ops.moments import Moments
from ssimjax.ops.powers import power_dissimilarity, signed_power

StructureForm = Literal["standard", "printed"]


def luminance(moments: Moments, c1: float) -> Float[Array, "..."]:
    """How alike two local means are.

        l = (2 mean_x mean_y + c1) / (mean_x² + mean_y² + c1)

    Args:
      moments: local moments of any broadcastable shapes, in pixel units.
      c1: stabiliser (K1 L)², in squared pixel units, > 0.

    Returns:
      Similarity in [-1, 1]; 1 where the means are equal. Non-negative for non-negative
      images.

    Example:
      >>> float(luminance(Moments(*(jnp.ones(()),) * 5), c1=1e-4))
      1.0

    References:
      Wang et al. 2004, Image quality assessment, Eq. 6. Abobakr et al. 2018, Eq. 2.
    """
    mx, my = moments.mean_x, moments.mean_y
    # Written so that equal means give 1, however a compiler rounds the product.
    numerator = 2 * mx * my + c1
    return numerator / (numerator + (mx - my) ** 2)


def contrast(moments: Moments, c2: float) -> Float[Array, "..."]:
    """How alike two local standard deviations are.

        c = (2 σ_x σ_y + c2) / (var_x + var_y + c2)

    Args:
      moments: local moments of any broadcastable shapes, in pixel units.
      c2: stabiliser (K2 L)², in squared pixel units, > 0.

    Returns:
      Similarity in (0, 1]; 1 where the deviations are equal.

    Example:
      >>> float(contrast(Moments(*(jnp.ones(()),) * 5), c2=9e-4))
      1.0

    References:
      Wang et al. 2004, Image quality assessment, Eq. 9. Abobakr et al. 2018, Eq. 4.
    """
    total = moments.var_x + moments.var_y
    # Gives 1 for equal images.
    return 1 - _squared_difference_of_deviations(moments, c2) / (total + c2)


def structure(
    moments: Moments, c3: float, *, form: StructureForm = "standard"
) -> Float[Array, "..."]:
    """How well two patches correlate, whatever their means and deviations.

        standard:  s = (cov_xy + c3) / (σ_x σ_y + c3)
        printed:   s = (2 cov_xy + c3) / (σ_x σ_y + c3)

    Args:
      moments: local moments of any broadcastable shapes, in pixel units.
      c3: stabiliser, usually (K2 L)² / 2, in squared pixel units, > 0.
      form: "standard", or "printed" for Eq. 6 of Abobakr et al. as it stands. The
        printed form contradicts their Eq. 8 and reaches 2 at x = y.

    Returns:
      "standard": correlation in [-1, 1]; 1 at x = y and where both are flat.

    Raises:
      ValueError: if `form` is neither name.

    Example:
      >>> float(structure(Moments(*(jnp.ones(()),) * 5), c3=4.5e-4))
      1.0

    References:
      Wang et al. 2004, Image quality assessment, Eq. 10. Abobakr et al. 2018, Eq. 6.
    """
    if form not in ("standard", "printed"):
        raise ValueError(f"form must be 'standard' or 'printed', got {form!r}")
    product = _deviation_product(moments, c3)
    if form == "printed":
        return (2 * moments.cov_xy + c3) / (product + c3)
    if moments.var_difference is None:
        return (moments.cov_xy + c3) / (product + c3)
    # Gives 1 for equal images.
    rest = moments.var_difference - _squared_difference_of_deviations(moments, c3)
    return 1 - rest / (2 * product + 2 * c3)


def contrast_structure(moments: Moments, c2: float) -> Float[Array, "..."]:
    """Contrast times structure at c3 = c2 / 2, where the deviations cancel.

        cs = (2 cov_xy + c2) / (var_x + var_y + c2)

    Args:
      moments: local moments of any broadcastable shapes, in pixel units.
      c2: stabiliser (K2 L)², in squared pixel units, > 0.

    Returns:
      Similarity in [-1, 1]; 1 at x = y and where both are flat.

    Example:
      >>> float(contrast_structure(Moments(*(jnp.ones(()),) * 5), c2=9e-4))
      1.0

    References:
      Wang et al. 2004, Image quality assessment, Eq. 13, second factor.
    """
    if moments.var_difference is not None:
        # Gives 1 for equal images, and its gradient takes fewer passes over the maps.
        return 1 - contrast_structure_dissimilarity(moments, c2)
    return (2 * moments.cov_xy + c2) / (_total_variance(moments) + c2)


def similarity(
    moments: Moments,
    c1: float,
    c2: float,
    *,
    c3: float | None = None,
    exponents: tuple[float, float, float] = (1.0, 1.0, 1.0),
    structure_form: StructureForm = "standard",
) -> Float[Array, "..."]:
    """SSIM of local moments.

        SSIM = l^α c^β s^γ,  and  l · cs  where α = β = γ = 1 and c3 = c2 / 2

    Args:
      moments: local moments of any broadcastable shapes, in pixel units.
      c1: stabiliser of the luminance term, > 0.
      c2: stabiliser of the contrast term, > 0.
      c3: stabiliser of the structure term, > 0; c2 / 2 if None.
      exponents: (α, β, γ), each > 0. l and s can be negative; a power that is no whole
        number is then continued as an odd function, -|l|^α.
      structure_form: see `structure`.

    Returns:
      Similarity in [-1, 1] ("standard" form), 1 only at equal patches.

    Raises:
      ValueError: if a stabiliser or an exponent is not positive.

    Example:
      >>> float(similarity(Moments(*(jnp.ones(()),) * 5), 1e-4, 9e-4))
      1.0

    References:
      Wang et al. 2004, Image quality assessment, Eq. 12 and 13. Abobakr et al. 2018,
      Eq. 1 and 8.
    """
    for name, value in {"c1": c1, "c2": c2, "c3": c2 if c3 is None else c3}.items():
        if not value > 0:
            raise ValueError(f"{name} must be > 0, got {value}")
    _check_exponents(exponents)
    if c3 is None and structure_form == "standard" and tuple(exponents) == (1, 1, 1):
        return luminance(moments, c1) * contrast_structure(moments, c2)
    alpha, beta, gamma = exponents
    s = structure(moments, c2 / 2 if c3 is None else c3, form=structure_form)
    return (
        signed_power(luminance(moments, c1), alpha)
        * signed_power(contrast(moments, c2), beta)
        * signed_power(s, gamma)
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
      >>> moments = Moments(*(jnp.ones(()),) * 5)
      >>> float(contrast_structure_dissimilarity(moments, c2=9e-4))
      0.0
    """
    return _variance_of_difference(moments) / (_total_variance(moments) + c2)


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
      moments: local moments of any broadcastable shapes, in pixel units.
      c1: stabiliser of the luminance term, > 0.
      c2: stabiliser of the contrast and structure terms, > 0.
      exponents: (α, β, γ), each > 0; see `similarity`.

    Returns:
      d1 and d2 in [0, 2], each 0 only where what it compares is equal.

    Raises:
      ValueError: if an exponent is not positive.

    Example:
      >>> moments = Moments(*(jnp.ones(()),) * 5)
      >>> [float(d) for d in dissimilarities(moments, 1e-4, 9e-4)]
      [0.0, 0.0]
    """
    _check_exponents(exponents)
    alpha, beta, gamma = exponents
    d1 = power_dissimilarity(luminance_dissimilarity(moments, c1), alpha)
    if beta == gamma:
        cs = contrast_structure_dissimilarity(moments, c2)
        return d1, power_dissimilarity(cs, beta)
    of_deviations = _squared_difference_of_deviations(moments, c2)
    rest = _variance_of_difference(moments) - of_deviations
    total = moments.var_x + moments.var_y
    c = power_dissimilarity(of_deviations / (total + c2), beta)
    s = rest / (2 * _deviation_product(moments, c2) + c2)
    s = power_dissimilarity(s, gamma)
    return d1, c + s - c * s


def additive_similarity(
    moments: Moments,
    c1: float,
    c2: float,
    *,
    exponents: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> Float[Array, "..."]:
    """Luminance plus contrast and structure, of level-weighted SSIM and of a kernel.

        l^α + c^β s^γ,  and  l + cs  where α = β = γ = 1

    Args:
      moments: local moments of any broadcastable shapes, in pixel units.
      c1: stabiliser of the luminance term, > 0.
      c2: stabiliser of the contrast and structure terms, > 0.
      exponents: (α, β, γ), each > 0; see `similarity`.

    Returns:
      Similarity in [-2, 2], 2 only at equal patches.

    Raises:
      ValueError: if an exponent is not positive.

    Example:
      >>> float(additive_similarity(Moments(*(jnp.ones(()),) * 5), 1e-4, 9e-4))
      2.0

    References:
      Lu 2019, The level weighted structural similarity loss, Eq. 5.
    """
    _check_exponents(exponents)
    alpha, beta, gamma = exponents
    if (beta, gamma) == (1, 1):
        cs = contrast_structure(moments, c2)
    else:
        cs = signed_power(contrast(moments, c2), beta) * signed_power(
            structure(moments, c2 / 2), gamma
        )
    return signed_power(luminance(moments, c1), alpha) + cs


def centred_squared_distance(moments: Moments, c2: float) -> Float[Array, "..."]:
    """Squared SSIM distance of centred patches.

        D² = 1 - SSIM = ‖x - y‖² / (‖x‖² + ‖y‖² + c),  c = (N - 1) c2

    for patches of N pixels with mean 0 and sample variances, which is 1 - cs.

    Args:
      moments: local moments, with sample variances and covariance for the c above.
      c2: stabiliser (K2 L)², in squared pixel units, > 0.

    Returns:
      Squared distance in [0, 2].

    Example:
      >>> float(centred_squared_distance(Moments(*(jnp.ones(()),) * 5), 9e-4))
      0.0

    References:
      Ghojogh, Karray, Crowley 2020, Theoretical insights, Eq. 1.
    """
    return contrast_structure_dissimilarity(moments, c2)


def squared_distance(moments: Moments, c1: float, c2: float) -> Float[Array, "..."]:
    """Squared SSIM distance of patches as they are.

        D² = 2 - l - cs = d1 + d2

    Args:
      moments: local moments of any broadcastable shapes, in pixel units.
      c1: stabiliser of the luminance term, > 0.
      c2: stabiliser of the contrast and structure terms, > 0.

    Returns:
      Squared distance in [0, 4], [0, 3] for non-negative images.

    Example:
      >>> float(squared_distance(Moments(*(jnp.ones(()),) * 5), 1e-4, 9e-4))
      0.0

    References:
      Ghojogh, Karray, Crowley 2020, Theoretical insights, Eq. 2.
    """
    d1 = luminance_dissimilarity(moments, c1)
    return d1 + contrast_structure_dissimilarity(moments, c2)


def _check_exponents(exponents: tuple[float, float, float]) -> None:
    if len(exponents) != 3 or not all(value > 0 for value in exponents):
        raise ValueError(f"exponents must be three numbers > 0, got {exponents}")


def _total_variance(moments: Moments) -> Float[Array, "..."]:
    if moments.var_total is None:
        return moments.var_x + moments.var_y
    return moments.var_total


def _variance_of_difference(moments: Moments) -> Float[Array, "..."]:
    if moments.var_difference is None:
        return _total_variance(moments) - 2 * moments.cov_xy
    return moments.var_difference


def _squared_difference_of_deviations(
    moments: Moments, c: float
) -> Float[Array, "..."]:
    """(σ_x - σ_y)² = (var_x - var_y)² / (σ_x + σ_y)², which is 0 for equal variances.

    0 where the denominator is no more than rounding beside c, for its derivatives would
    overflow.
    """
    square_of_sum = moments.var_x + moments.var_y + 2 * _deviation_product(moments, c)
    visible = square_of_sum > float(jnp.finfo(square_of_sum.dtype).eps) * c
    # Squares of variances would overflow in small units.
    difference = moments.var_x - moments.var_y
    quotient = difference / jnp.where(visible, square_of_sum, 1.0)
    return jnp.where(visible, difference * quotient, 0.0)


def _deviation_product(moments: Moments, c: float) -> Float[Array, "..."]:
    """σ_x σ_y, but 0 where that is no more than rounding beside c.

    The derivatives of the root are infinite at 0 and overflow near it.
    """
    # In a unit near c, for the product has the square of the unit. A power of two, so
    # that the root of v · v is v.
    unit = 2.0 ** math.frexp(c)[1] if isinstance(c, float) else 1.0
    product = (moments.var_x / unit) * (moments.var_y / unit)
    smallest = (float(jnp.finfo(product.dtype).eps) * c / unit) ** 2
    visible = product > smallest
    return jnp.where(visible, unit * jnp.sqrt(jnp.where(visible, product, 1.0)), 0.0)
