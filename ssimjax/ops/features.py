"""Distances of two samples in a feature space that the caller chooses.

They are named after the features that they are taken in: the names FID and KID belong
to one network and its weights, which `ssimjax.nn.load_inception` reads.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ssimjax.ops.compiled import compiled
from ssimjax.ops.discrepancy import mmd
from ssimjax.ops.euclidean import vectors
from ssimjax.ops.images import Images

_HIGHEST = jax.lax.Precision.HIGHEST


@compiled
def frechet_distance(x: Images, y: Images) -> Float[Array, ""]:
    """Squared Fréchet distance of the normal distributions fitted to two samples.

        ‖μ_x - μ_y‖² + tr(Σ_x + Σ_y - 2 (Σ_x Σ_y)^½)

    with the sample (n - 1) covariances. It is biased: of two samples of one
    distribution it is positive, and the more so the fewer there are.

    Args:
      x: features `[n, ...]`, n >= 2.
      y: features `[m, ...]` of the same shape, m >= 2.

    Returns:
      The distance, in squared units of the features, >= 0 up to rounding; float32, or
      float64 for float64 input.

    Raises:
      TypeError: if x or y is neither floating-point nor integer.
      ValueError: if shapes do not fit, or a sample has fewer than two elements.

    Example:
      >>> x = jnp.array([[0.0], [2.0]])
      >>> float(frechet_distance(x, x + 3))
      9.0

    References:
      Heusel et al. 2017, GANs trained by a two time-scale update rule, Eq. 6.
    """
    x, y = vectors(x, y)
    if min(len(x), len(y)) < 2:
        raise ValueError(
            f"x and y must hold two features or more each, got {len(x)} and {len(y)}"
        )
    gap = x.mean(0) - y.mean(0)
    x, y = (
        (v - v.mean(0, keepdims=True)) / jnp.sqrt(jnp.asarray(len(v) - 1, v.dtype))
        for v in (x, y)
    )
    return (gap**2).sum() + (x**2).sum() + (y**2).sum() - 2 * _root_trace(x, y)


@jax.custom_jvp
def _root_trace(x: Float[Array, "n d"], y: Float[Array, "m d"]) -> Float[Array, ""]:
    """The trace of (Σ_x Σ_y)^½, Σ = Xᵀ X: the sum of singular values of X Yᵀ.

    No root of a matrix, and nothing squared. The derivative is that of a sum of
    singular values, X Yᵀ = U S Vᵀ, along U Vᵀ of those that are not 0; those of QR and
    SVD themselves are infinite where a feature is constant.
    """
    x, y = (upper for _, upper in _triangular(x, y))
    product = jnp.matmul(x, y.T, precision=_HIGHEST)
    return jnp.linalg.svd(product, compute_uv=False).sum()


@_root_trace.defjvp
def _root_trace_jvp(
    primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    matmul = functools.partial(jnp.matmul, precision=_HIGHEST)
    (basis_x, x), (basis_y, y) = _triangular(*primals)
    u, values, vt = jnp.linalg.svd(matmul(x, y.T), full_matrices=False)
    rounding = jnp.finfo(values.dtype).eps * max(u.shape[0], vt.shape[1])
    seen = values > rounding * values.max()
    polar = matmul(u * seen[None], vt)
    along_x, along_y = matmul(polar, y), matmul(polar.T, x)
    if basis_x is not None and basis_y is not None:
        along_x, along_y = matmul(basis_x, along_x), matmul(basis_y, along_y)
    change_x, change_y = tangents
    return values.sum(), (along_x * change_x).sum() + (along_y * change_y).sum()


def _triangular(x: Array, y: Array) -> list[tuple[Array | None, Array]]:
    """Each as an orthonormal basis times fewer rows, or as it is, without a basis."""
    if min(len(x), len(y)) <= x.shape[1]:
        return [(None, x), (None, y)]
    return [jnp.linalg.qr(v) for v in (x, y)]


@compiled
def polynomial_kernel(
    x: Images, y: Images, *, degree: int = 3, offset: float = 1.0
) -> Float[Array, "n m"]:
    """Polynomial kernel of vectors.

        k = (x·y / d + offset)^degree

    Args:
      x: n vectors or images `[n, ...]` of d elements.
      y: m vectors or images of the same shape.
      degree: >= 1; 3 is what kernel distances of features are taken with.
      offset: >= 0.

    Returns:
      Kernel matrix `[n, m]`; float32, or float64 for float64 input.

    Raises:
      TypeError: if x or y is neither floating-point nor integer.
      ValueError: if shapes do not fit, a set is empty, or an option is out of range.

    Example:
      >>> x = jnp.array([[1.0, 1.0], [2.0, 0.0]])
      >>> polynomial_kernel(x, x, degree=2)[0].tolist()
      [4.0, 4.0]

    References:
      Binkowski et al. 2018, Demystifying MMD GANs, Section 4.
    """
    if degree < 1 or not offset >= 0:
        raise ValueError(
            f"degree must be >= 1 and offset >= 0, got {degree} and {offset}"
        )
    x, y = vectors(x, y)
    products = jnp.matmul(x, y.T, precision=_HIGHEST)
    return (products / x.shape[1] + offset) ** degree


def kernel_distance(x: Images, y: Images) -> Float[Array, ""]:
    """Unbiased squared MMD of two samples of features, with the cubic kernel.

        mean k(x_i, x_j) + mean k(y_i, y_j) - 2 mean k(x_i, y_j),  k = (x·y / d + 1)³

    where the first two means are over i ≠ j. It is KID where the features are those of
    `ssimjax.nn.load_inception`; KID is often given times 1000, or as a mean over
    subsets, of which this is the whole.

    Args:
      x: features `[n, ...]`, n >= 2.
      y: features `[m, ...]` of the same shape, m >= 2.

    Returns:
      MMD², 0 on average for samples of one distribution, and then often negative.

    Raises:
      TypeError: as `polynomial_kernel`.
      ValueError: as `polynomial_kernel`, or if a sample has fewer than two elements.

    Example:
      >>> x = jnp.array([[0.0], [1.0], [2.0]])
      >>> float(kernel_distance(x, x + 3)) > 1
      True

    References:
      Binkowski et al. 2018, Demystifying MMD GANs, Section 4.
    """
    return mmd(x, y, polynomial_kernel, estimator="unbiased")
