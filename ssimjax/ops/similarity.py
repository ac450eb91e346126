"""The papers' equations, each a short formula over `Moments`.

`c1`, `c2` and `c3` are the stabilisers (K1 L)², (K2 L)² and usually c2 / 2, where L is
the data range. All functions are pointwise and accept moments of any shapes that
broadcast together.
"""

from typing import Literal

from jaxtyping import Array, Float

from ssimjax.ops.constants import check_constants, check_exponents
from ssimjax.ops.dissimilarity import (
    contrast_structure_dissimilarity,
    luminance_dissimilarity,
)
from ssimjax.ops.moments import Moments
from ssimjax.ops.powers import signed_power
from ssimjax.ops.variances import (
    deviation_product,
    squared_difference_of_deviations,
    total_variance,
)

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
      >>> import jax.numpy as jnp
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
      >>> import jax.numpy as jnp
      >>> float(contrast(Moments(*(jnp.ones(()),) * 5), c2=9e-4))
      1.0

    References:
      Wang et al. 2004, Image quality assessment, Eq. 9. Abobakr et al. 2018, Eq. 4.
    """
    total = moments.var_x + moments.var_y
    # Gives 1 for equal images.
    return 1 - squared_difference_of_deviations(moments, c2) / (total + c2)


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
      >>> import jax.numpy as jnp
      >>> float(structure(Moments(*(jnp.ones(()),) * 5), c3=4.5e-4))
      1.0

    References:
      Wang et al. 2004, Image quality assessment, Eq. 10. Abobakr et al. 2018, Eq. 6.
    """
    if form not in ("standard", "printed"):
        raise ValueError(f"form must be 'standard' or 'printed', got {form!r}")
    product = deviation_product(moments, c3)
    if form == "printed":
        return (2 * moments.cov_xy + c3) / (product + c3)
    if moments.var_difference is None:
        return (moments.cov_xy + c3) / (product + c3)
    # Gives 1 for equal images.
    rest = moments.var_difference - squared_difference_of_deviations(moments, c3)
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
      >>> import jax.numpy as jnp
      >>> float(contrast_structure(Moments(*(jnp.ones(()),) * 5), c2=9e-4))
      1.0

    References:
      Wang et al. 2004, Image quality assessment, Eq. 13, second factor.
    """
    if moments.var_difference is not None:
        # Gives 1 for equal images, and its gradient takes fewer passes over the maps.
        return 1 - contrast_structure_dissimilarity(moments, c2)
    return (2 * moments.cov_xy + c2) / (total_variance(moments) + c2)


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
      >>> import jax.numpy as jnp
      >>> float(similarity(Moments(*(jnp.ones(()),) * 5), 1e-4, 9e-4))
      1.0

    References:
      Wang et al. 2004, Image quality assessment, Eq. 12 and 13. Abobakr et al. 2018,
      Eq. 1 and 8.
    """
    check_constants(c1=c1, c2=c2, c3=c2 if c3 is None else c3)
    check_exponents(exponents)
    if structure_form not in ("standard", "printed"):
        raise ValueError(
            f"structure_form must be 'standard' or 'printed', got {structure_form!r}"
        )
    if is_product(c3, exponents, structure_form):
        return luminance(moments, c1) * contrast_structure(moments, c2)
    alpha, beta, gamma = exponents
    s = structure(moments, c2 / 2 if c3 is None else c3, form=structure_form)
    return (
        signed_power(luminance(moments, c1), alpha)
        * signed_power(contrast(moments, c2), beta)
        * signed_power(s, gamma)
    )


def is_product(
    c3: float | None,
    exponents: tuple[float, float, float],
    structure_form: StructureForm,
) -> bool:
    """Whether `similarity` is l · cs, in which no deviation has a root.

    Args:
      c3: as in `similarity`.
      exponents: as in `similarity`.
      structure_form: as in `similarity`.

    Returns:
      True for Eq. 8 of Abobakr et al., the usual SSIM.

    Example:
      >>> is_product(None, (1.0, 1.0, 1.0), "printed")
      False
    """
    ones = tuple(exponents) == (1, 1, 1)
    return c3 is None and ones and structure_form == "standard"


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
      moments: as in `similarity`.
      c1: as in `similarity`.
      c2: as in `similarity`.
      exponents: as in `similarity`.

    Returns:
      Similarity in [-2, 2], 2 only at equal patches.

    Raises:
      ValueError: if an exponent is not positive.

    Example:
      >>> import jax.numpy as jnp
      >>> float(additive_similarity(Moments(*(jnp.ones(()),) * 5), 1e-4, 9e-4))
      2.0

    References:
      Lu 2019, The level weighted structural similarity loss, Eq. 5.
    """
    check_exponents(exponents)
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
      >>> import jax.numpy as jnp
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
      >>> import jax.numpy as jnp
      >>> float(squared_distance(Moments(*(jnp.ones(()),) * 5), 1e-4, 9e-4))
      0.0

    References:
      Ghojogh, Karray, Crowley 2020, Theoretical insights, Eq. 2.
    """
    d1 = luminance_dissimilarity(moments, c1)
    return d1 + contrast_structure_dissimilarity(moments, c2)
