"""SSIM of patches and filters, with a gradient of three passes over their matrices.

With m, n for means and v, w for variances of patches and filters,

    SSIM = A C / (B D),  A = 2 m n + c1,   B = m² + n² + c1,
                         C = 2 cov + c2,   D = v + w + c2.

B and D, and the changes of A, B and D, are sums of few products of something of the
patch with something of the filter. So is the change of SSIM,

    dSSIM = A P dC + C P dA - A C P² (D dB + B dD),  P = 1 / (B D),

but for three matrices, each times a product of a few columns with as many rows. The
gradient in the moments is then made of products of these matrices with columns and
rows, where that of `by_partial_derivatives` computes a matrix for each moment.
"""

import functools
import math

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float

from ssimjax.ops.moments import Moments
from ssimjax.ops.partial_derivatives import Compare
from ssimjax.ops.primitives import varying_alike
from ssimjax.ops.similarity import similarity


def patch_ssim(c1: float, c2: float) -> Compare:
    """SSIM with all exponents 1, of matrices.

    Args:
      c1: stabiliser of the luminance term, > 0.
      c2: stabiliser of the contrast and structure terms, > 0.

    Returns:
      `similarity` with these stabilisers, of moments that are columns, one row per
      patch, rows, one column per filter, and covariances of both; with derivatives of
      any order. Where B D leaves the range of its numbers, in float32 for means and
      deviations of 1e11 times the roots of the stabilisers, derivatives are 0; second
      ones where its square does, for 1e6 times the roots.

    Example:
      >>> row, column = jnp.ones((1, 3)), jnp.ones((2, 1))
      >>> moments = Moments(column, row, column, row, column * row)
      >>> f = patch_ssim(1e-4, 9e-4)
      >>> bool((f(moments) == 1).all())
      True
    """

    @jax.custom_jvp
    def ssim(moments: Moments) -> Array:
        return similarity(moments, c1, c2)

    @functools.partial(ssim.defjvp, symbolic_zeros=True)
    def _(primals: tuple[Moments], tangents: tuple[Moments]) -> tuple[Array, Array]:
        (moments,), (given,) = primals, tangents
        value = similarity(moments, c1, c2)
        # SSIM is the same in any unit. In this one images of range 1 are with the usual
        # stabilisers, and 1 / (B D) and its powers fit into float32.
        unit = 2.0 ** round((math.log2(c1) + math.log2(c2) - math.log2(9e-8)) / 4)
        units = (unit, unit, unit**2, unit**2, unit**2)
        c1_in_unit, c2_in_unit = c1 / unit**2, c2 / unit**2
        m, n, v, w, cov = (field / u for field, u in zip(moments[:5], units))
        dm, dn, dv, dw, dcov = (
            None if isinstance(change, SymbolicZero) else change / u
            for change, u in zip(given[:5], units)
        )
        a = 2 * m * n + c1_in_unit
        b = a + (m - n) ** 2
        c = 2 * cov + c2_in_unit
        d = v + w + c2_in_unit
        p = 1 / (b * d)
        change = jnp.zeros_like(value)
        if dcov is not None:
            change += 2 * a * p * dcov
        sides = (
            (m, v, dm, dv, n, w, _product),
            (n, w, dn, dw, m, v, lambda rows, columns: _product(columns, rows)),
        )
        for mean, variance, mean_dot, variance_dot, *other, product in sides:
            if mean_dot is None and variance_dot is None:
                continue
            mean_dot = jnp.zeros_like(mean) if mean_dot is None else mean_dot
            if variance_dot is None:
                variance_dot = jnp.zeros_like(variance)
            other_mean, other_variance = other
            b_dot = 2 * mean * mean_dot
            own = b_dot * (variance + c2_in_unit) + variance_dot * (
                mean**2 + c1_in_unit
            )
            change += 2 * c * p * product([mean_dot], [other_mean])
            others = [jnp.ones_like(other_mean), other_variance, other_mean**2]
            change -= a * p * c * p * product([own, b_dot, variance_dot], others)
        return value, change

    def of_alike(moments: Moments) -> Array:
        # As in `by_partial_derivatives`.
        leaves, tree = jax.tree.flatten(moments)
        return ssim(jax.tree.unflatten(tree, varying_alike(*leaves)))

    return of_alike


def _product(
    columns: list[Float[Array, "rows 1"]], rows: list[Float[Array, "1 columns"]]
) -> Float[Array, "rows columns"]:
    """Sum of the products of columns with rows."""
    return jnp.dot(
        jnp.concatenate(columns, 1),
        jnp.concatenate(rows, 0),
        precision=jax.lax.Precision.HIGHEST,
    )
