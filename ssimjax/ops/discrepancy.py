"""Distances of samples from kernel matrices: MMD, and CMMD for conditional samples."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from ssimjax.ops.meshes import on_any_mesh
from ssimjax.ops.powers import safe_sqrt

Estimator = Literal["biased", "unbiased", "root"]
_ESTIMATORS = ("biased", "unbiased", "root")
_Kernel = Callable[[Array, Array], Array]


class Grams(NamedTuple):
    """The kernel matrices of a sample x of n and a sample y of m.

    Attributes:
      xx: k(x_i, x_j), `[n, n]`.
      yy: k(y_i, y_j), `[m, m]`.
      xy: k(x_i, y_j), `[n, m]`.
    """

    xx: Float[Array, "n n"]
    yy: Float[Array, "m m"]
    xy: Float[Array, "n m"]


def grams(x: ArrayLike, y: ArrayLike, kernel: _Kernel) -> Grams:
    """All kernel matrices of two samples.

    Args:
      x: sample `[n, ...]`.
      y: sample `[m, ...]`.
      kernel: function of two sets, `[n, ...]` and `[m, ...]`, whose value is the kernel
        matrix `[n, m]`.

    Returns:
      The three matrices.

    Raises:
      ValueError: if a value of the kernel has another shape.

    Example:
      >>> x, y = jnp.ones((2, 3)), jnp.ones((4, 3))
      >>> grams(x, y, lambda a, b: a @ b.T).xy.shape
      (2, 4)
    """
    x, y = jnp.asarray(x), jnp.asarray(y)
    return _checked("kernel", Grams(kernel(x, x), kernel(y, y), kernel(x, y)))


def mmd(
    x: ArrayLike, y: ArrayLike, kernel: _Kernel, *, estimator: Estimator = "biased"
) -> Float[Array, ""]:
    """Maximum mean discrepancy of two samples.

        biased:    MMD² = mean k(x_i, x_j) + mean k(y_i, y_j) - 2 mean k(x_i, y_j)
        unbiased:  the same, with the first two means over i ≠ j
        root:      √MMD² of the biased one

    Args:
      x: sample `[n, ...]`, for example data.
      y: sample `[m, ...]`, for example what a generator made.
      kernel: function of two sets, `[n, ...]` and `[m, ...]`, whose value is the kernel
        matrix `[n, m]`: `functools.partial(ssim_kernel, data_range=1.0)`. A kernel that
        is conditionally positive semi-definite will do.
      estimator: which of the three. "biased" is never negative but for rounding;
        "unbiased" is 0 on average for samples of one distribution, and often negative;
        "root" is what generative moment matching networks minimise.

    Returns:
      MMD² or its root, in the unit of the kernel or its root. The root and its gradient
      are 0 where MMD² is no more than rounding.

    Raises:
      ValueError: if a value of the kernel has not that shape, there is no such
        estimator, or the unbiased one is asked for with n or m < 2.

    Example:
      >>> x, y = jnp.array([[0.0], [1.0]]), jnp.array([[2.0], [1.0]])
      >>> float(mmd(x, y, lambda a, b: a @ b.T))
      1.0

    References:
      Gretton et al. 2012, A kernel two-sample test, Eq. 3 and 5. Ghojogh et al. 2020,
      Theoretical insights into the use of SSIM, Eq. 3. Li et al. 2015, Generative
      moment matching networks, Eq. 6.
    """
    return gram_mmd(grams(x, y, kernel), estimator=estimator)


@on_any_mesh
def gram_mmd(matrices: Grams, *, estimator: Estimator = "biased") -> Float[Array, ""]:
    """Maximum mean discrepancy from kernel matrices; see `mmd`.

    Args:
      matrices: the kernel matrices of the two samples.
      estimator: as in `mmd`.

    Returns:
      As `mmd`.

    Raises:
      ValueError: as `mmd`; if the shapes of the matrices do not match.

    Example:
      >>> same = jnp.eye(2)
      >>> float(gram_mmd(Grams(same, same, same)))
      0.0

    References:
      Gretton et al. 2012, A kernel two-sample test, Eq. 3 and 5.
    """
    if estimator not in _ESTIMATORS:
        raise ValueError(
            f"estimator must be one of {list(_ESTIMATORS)}, got {estimator!r}"
        )
    xx, yy, xy = _checked("matrices", matrices)
    n, m = xy.shape
    if estimator == "unbiased":
        if min(n, m) < 2:
            raise ValueError(
                f"unbiased needs n, m >= 2 in each sample, got {n} and {m}"
            )
        within_x = (xx.sum() - jnp.trace(xx)) / (n * (n - 1))
        within_y = (yy.sum() - jnp.trace(yy)) / (m * (m - 1))
        return within_x + within_y - 2 * xy.mean()
    squared = xx.mean() + yy.mean() - 2 * xy.mean()
    if estimator == "biased":
        return squared
    # A difference of means is rounded as they are.
    size = jnp.abs(xx).mean() + jnp.abs(yy).mean() + 2 * jnp.abs(xy).mean()
    smallest = jnp.finfo(squared.dtype).eps * jax.lax.stop_gradient(size)
    return safe_sqrt(squared, smallest=smallest)


def cmmd(
    x: ArrayLike,
    y: ArrayLike,
    x_given: ArrayLike,
    y_given: ArrayLike,
    kernel: _Kernel,
    kernel_given: _Kernel,
    *,
    ridge: float = 0.1,
) -> Float[Array, ""]:
    """Squared conditional maximum mean discrepancy of two conditional samples.

        tr(Kd K̃d⁻¹ Ld K̃d⁻¹) + tr(Ks K̃s⁻¹ Ls K̃s⁻¹) - 2 tr(Ksd K̃d⁻¹ Lds K̃s⁻¹)

    with K̃ = K + λ I, K the kernel matrices of the conditions and L those of what is
    conditioned; d is the sample x and s the sample y.

    Args:
      x: sample `[n, ...]`, for example data.
      y: sample `[m, ...]`, for example what a generator made.
      x_given: conditions of x, `[n, ...]`, for example one-hot labels.
      y_given: conditions of y, `[m, ...]`.
      kernel: L, a function of two sets whose value is the kernel matrix `[n, m]`.
        Positive semi-definite, not conditionally so.
      kernel_given: K, likewise.
      ridge: λ, > 0, in the unit of K. It keeps the inverses bounded, and blurs what
        counts as one condition.

    Returns:
      The squared norm of the difference of two conditional embeddings, >= 0 up to
      rounding.

    Raises:
      ValueError: if a value of a kernel has not that shape, samples and conditions are
        not equally many, or λ is not positive.

    Example:
      >>> x, given = jnp.array([[0.0], [1.0]]), jnp.eye(2)
      >>> def linear(a, b):
      ...     return a @ b.T
      >>> float(cmmd(x, x, given, given, linear, linear))
      0.0

    References:
      Ren et al. 2016, Conditional generative moment-matching networks, Section 3.2.
      Ghojogh et al. 2020, Theoretical insights into the use of SSIM, Section 3.
    """
    return gram_cmmd(
        grams(x, y, kernel), grams(x_given, y_given, kernel_given), ridge=ridge
    )


@on_any_mesh
def gram_cmmd(outcomes: Grams, conditions: Grams, *, ridge: float = 0.1) -> Array:
    """Squared conditional maximum mean discrepancy from kernel matrices; see `cmmd`.

    Args:
      outcomes: L, kernel matrices of what is conditioned.
      conditions: K, kernel matrices of the conditions, of the same shapes.
      ridge: as in `cmmd`.

    Returns:
      As `cmmd`. NaN if K + λ I is not positive definite.

    Raises:
      ValueError: as `cmmd`; if the shapes of the matrices do not match.

    Example:
      >>> same = Grams(jnp.eye(2), jnp.eye(2), jnp.eye(2))
      >>> float(gram_cmmd(same, same))
      0.0

    References:
      Ren et al. 2016, Conditional generative moment-matching networks, Section 3.2.
    """
    if not ridge > 0:
        raise ValueError(f"ridge must be > 0, got {ridge}")
    outcomes = _checked("outcomes", outcomes)
    conditions = _checked("conditions", conditions)
    if outcomes.xy.shape != conditions.xy.shape:
        raise ValueError(
            "outcomes and conditions must be of samples equally large, got matrices xy "
            f"of shapes {outcomes.xy.shape} and {conditions.xy.shape}"
        )
    in_x, in_y = _solver(conditions.xx, ridge), _solver(conditions.yy, ridge)
    return (
        _trace_of_product(in_x(conditions.xx), in_x(outcomes.xx))
        + _trace_of_product(in_y(conditions.yy), in_y(outcomes.yy))
        - 2 * _trace_of_product(in_y(conditions.xy.T), in_x(outcomes.xy))
    )


def _solver(matrix: Float[Array, "n n"], ridge: float) -> Callable[[Array], Array]:
    """B -> (K + λ I)⁻¹ B."""
    ridged = matrix + ridge * jnp.eye(len(matrix), dtype=matrix.dtype)
    factor = jax.scipy.linalg.cho_factor(ridged, lower=True)
    return lambda right: jax.scipy.linalg.cho_solve(factor, right)


def _trace_of_product(
    a: Float[Array, "n m"], b: Float[Array, "m n"]
) -> Float[Array, ""]:
    return (a * b.T).sum()


def _checked(name: str, matrices: Grams) -> Grams:
    """Checks that the shapes are those of two samples, one at least in each."""
    shapes = tuple(jnp.shape(matrix) for matrix in matrices)
    n, m = shapes[2] if len(shapes[2]) == 2 else (0, 0)
    if not n or not m or shapes != ((n, n), (m, m), (n, m)):
        raise ValueError(
            f"{name} must give matrices xx [n, n], yy [m, m] and xy [n, m] with "
            f"n, m >= 1, got shapes {shapes[0]}, {shapes[1]} and {shapes[2]}"
        )
    return matrices
