"""Kernel matrices of two sets of vectors: functions of their Euclidean distances."""

import functools
import math
import operator
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ssimjax.ops.compiled import compiled
from ssimjax.ops.images import Images, prepare
from ssimjax.ops.powers import safe_sqrt

_HIGHEST = jax.lax.Precision.HIGHEST


@compiled
def rbf_kernel(
    x: Images, y: Images, *, bandwidths: Sequence[float]
) -> Float[Array, "n m"]:
    """Mixture of Gaussian kernels.

        k = Σ_σ exp(-‖x - y‖² / (2 σ²))

    Args:
      x: n vectors or images `[n, ...]`.
      y: m vectors or images of the same shape.
      bandwidths: σ, > 0, in the unit of ‖x - y‖.

    Returns:
      Kernel matrix `[n, m]`; float32, or float64 for float64 input.

    Raises:
      TypeError: if x or y is neither floating-point nor integer.
      ValueError: if shapes do not fit, a set is empty, or a bandwidth is not positive.

    Example:
      >>> x = jnp.array([[0.0], [1.0], [9.0]])
      >>> [round(float(k), 3) for k in rbf_kernel(x, x, bandwidths=(1.0, 2.0))[0]]
      [2.0, 1.489, 0.0]

    References:
      Li et al. 2015, Generative moment matching networks, Section 2.
    """
    check_positive("bandwidths", bandwidths)
    squares = squared_euclidean(x, y).values
    return total(jnp.exp(-squares / (2 * sigma**2)) for sigma in bandwidths)


@compiled
def imq_kernel(
    x: Images,
    y: Images,
    *,
    sigma: float = 1.0,
    scales: Sequence[float] = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0),
) -> Float[Array, "n m"]:
    """Mixture of inverse multiquadric kernels.

        k = Σ_s C / (C + ‖x - y‖²),  C = 2 d σ² s

    2 d σ² is the mean squared distance of two vectors of d elements from N(0, σ²).

    Args:
      x: n vectors or images `[n, ...]` of d elements.
      y: m vectors or images of the same shape.
      sigma: σ, > 0, the standard deviation of the prior.
      scales: s, > 0; the default is that of Wasserstein autoencoders.

    Returns:
      Kernel matrix `[n, m]`; float32, or float64 for float64 input.

    Raises:
      TypeError: if x or y is neither floating-point nor integer.
      ValueError: if shapes do not fit, a set is empty, or σ or a scale is not positive.

    Example:
      >>> x = jnp.array([[0.0], [2.0]])
      >>> imq_kernel(x, x, scales=(1.0, 2.0))[0].tolist()
      [2.0, 0.8333333730697632]

    References:
      Tolstikhin et al. 2018, Wasserstein auto-encoders, Section 4.
    """
    check_positive("sigma", [sigma])
    check_positive("scales", scales)
    squares = squared_euclidean(x, y)
    constants = [2 * squares.elements * sigma**2 * scale for scale in scales]
    return total(constant / (constant + squares.values) for constant in constants)


@compiled
def energy_kernel(x: Images, y: Images) -> Float[Array, "n m"]:
    """Euclidean distance as a kernel, whose MMD² is half the energy distance.

        k = -‖x - y‖ / 2

    It is conditionally positive semi-definite, and has no width to choose.

    Args:
      x: n vectors or images `[n, ...]`.
      y: m vectors or images of the same shape.

    Returns:
      Kernel matrix `[n, m]`; float32, or float64 for float64 input. Where a distance is
      no more than rounding, it is 0, as is its gradient.

    Raises:
      TypeError: if x or y is neither floating-point nor integer.
      ValueError: if shapes do not fit, or a set is empty.

    Example:
      >>> x = jnp.array([[0.0, 0.0], [3.0, 4.0]])
      >>> (-2 * energy_kernel(x, x))[0].tolist()
      [0.0, 5.0]

    References:
      Székely and Rizzo 2013, Energy statistics, Eq. 5.
    """
    squares = squared_euclidean(x, y)
    # ‖x‖² + ‖y‖² - 2 x·y is rounded as its terms are.
    units = float(jnp.finfo(squares.values.dtype).eps) * max(8.0, squares.elements**0.5)
    return -0.5 * safe_sqrt(squares.values, smallest=units * squares.norms)


def total(terms: Iterable[Array]) -> Array:
    """The sum of one array or more."""
    return functools.reduce(operator.add, terms)


def check_positive(name: str, values: Sequence[float]) -> None:
    """Raises a ValueError unless there are numbers, all finite and > 0."""
    sequence = np.ndim(values) == 1 and len(values) > 0
    if not sequence or not all(0 < value < math.inf for value in values):
        raise ValueError(
            f"{name} must be a sequence of one or more finite numbers > 0, got {values}"
        )


def check_sets(x: Images, y: Images) -> tuple[Array, Array]:
    """Two sets as arrays; raises a ValueError unless they are of one shape."""
    x, y = jnp.asarray(x), jnp.asarray(y)
    for name, images in (("x", x), ("y", y)):
        if images.ndim < 2 or images.size == 0:
            raise ValueError(
                f"{name} must be a set [n, ...] of n >= 1 images or vectors, "
                f"got shape {images.shape}"
            )
    if x.shape[1:] != y.shape[1:]:
        raise ValueError(
            "x and y must be sets [n, ...] and [m, ...] of images or vectors of one "
            f"shape, got {x.shape} and {y.shape}"
        )
    return x, y


class SquaredDistances(NamedTuple):
    """Squared distances of every pair of two sets.

    Attributes:
      values: ‖x_i - y_j‖² >= 0.
      norms: ‖x_i‖² + ‖y_j‖² around the mean of y, relative to which the values are
        rounded.
      elements: of a vector.
    """

    values: Float[Array, "n m"]
    norms: Float[Array, "n m"]
    elements: int


def squared_euclidean(x: Images, y: Images) -> SquaredDistances:
    """Squared Euclidean distances by a product of matrices."""
    x, y = vectors(x, y)
    # Rounding grows with the norms, and distances do not change with the origin. One
    # vector that is not finite shall not be in the distances of all others.
    finite = jnp.isfinite(y).all(1, keepdims=True)
    origin = jax.lax.stop_gradient(y.mean(0, keepdims=True, where=finite))
    x, y = x - origin, y - origin
    products = jnp.einsum("ik,jk->ij", x, y, precision=_HIGHEST)
    norms = (x * x).sum(1)[:, None] + (y * y).sum(1)[None]
    squares = norms - 2 * products
    # Only the value is kept from falling below 0: the derivatives are right.
    lift = jnp.maximum(squares, 0.0) - squares
    squares = squares + jax.lax.stop_gradient(lift)
    return SquaredDistances(squares, norms, x.shape[1])


def vectors(x: Images, y: Images) -> tuple[Float[Array, "n d"], Float[Array, "m d"]]:
    """Two sets of vectors or images as rows, float32 or float64."""
    x, y = check_sets(x, y)
    # As images of one pixel, for which `prepare` knows the dtypes; the range is unused.
    x, y = x.reshape(len(x), 1, 1, -1), y.reshape(1, len(y), 1, -1)
    pair = prepare(x, y, data_range=1.0, spatial_axes=1)
    return pair.x[:, 0, 0], pair.y[0, :, 0]
