"""Nearest neighbours between two samples, and how well one covers the other."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ssimjax.ops.compiled import compiled
from ssimjax.ops.euclidean import squared_euclidean, vectors
from ssimjax.ops.images import Images
from ssimjax.ops.powers import safe_sqrt

# Candidates beyond those asked for. They come from a matrix product, which rounds as
# the norms do; the differences then taken put those in order that are nearer than that.
_SPARE = 8
# Rounding of a squared distance from that product, in units of eps (‖x‖² + ‖y‖²):
# 6 is the most that was measured, of 2 to 12288 elements.
_ROUNDING = 16
# How many arrays [chunk, m] are alive at once: measured, and rounded up.
_COPIES = 4


class Neighbours(NamedTuple):
    """The nearest elements of one sample to every element of another.

    Attributes:
      indices: where they are in their sample, `[n, count]`.
      distances: Euclidean distances, ascending, `[n, count]`.
    """

    indices: Int[Array, "n count"]
    distances: Float[Array, "n count"]


class PrecisionRecall(NamedTuple):
    """How real a sample looks, and how much of the real one it covers.

    Attributes:
      precision: share of fakes inside a ball around some real one, in [0, 1].
      recall: share of reals inside a ball around some fake one, in [0, 1].
      density: mean number of real balls that a fake lies in, divided by k, >= 0; about
        1 for two samples of one distribution, and more where fakes crowd.
      coverage: share of real balls that hold a fake, in [0, 1].
    """

    precision: Float[Array, ""]
    recall: Float[Array, ""]
    density: Float[Array, ""]
    coverage: Float[Array, ""]


@compiled
def nearest(
    x: Images, y: Images, *, count: int = 1, max_bytes: int = 2**28
) -> Neighbours:
    """Nearest elements of y to every element of x.

        d_ij = ‖x_i - y_j‖,  the `count` smallest over j

    Args:
      x: features or images `[n, ...]`.
      y: features or images `[m, ...]` of the same shape.
      count: how many per element of x, 1 to m.
      max_bytes: memory for intermediate results, in bytes. It is exceeded only if a
        single element of x needs more; a few copies of both sets come on top.

    Returns:
      Indices and distances `[n, count]`, in the unit of x; float32, or float64 for
      float64 input. A copy has distance 0, with gradient 0; NaN is at distance NaN,
      farther than all else. The search itself rounds
      squared distances to about 1e-6 (float32) of the squared norms around the mean of
      y; a neighbour can be missed only if 9 or more others tie with it up to that.

    Raises:
      TypeError: if x or y is neither floating-point nor integer.
      ValueError: if shapes do not fit, a set is empty, or an option is out of range.

    Example:
      >>> y = jnp.array([[0.0], [5.0], [9.0]])
      >>> indices, distances = nearest(jnp.array([[6.0]]), y, count=2)
      >>> indices.tolist(), distances.tolist()
      ([[1, 2]], [[1.0, 3.0]])
    """
    x, y = vectors(x, y)
    if not 1 <= count <= len(y):
        raise ValueError(
            f"count must be 1 to {len(y)}, the number of elements of y, got {count}"
        )
    _check_budget(max_bytes)
    candidates = min(count + _SPARE, len(y))
    # The search has no derivatives; the distances of what it finds have.
    searched = jax.lax.stop_gradient(y)

    def of_one(point: Float[Array, " d"]) -> Neighbours:
        squares = squared_euclidean(jax.lax.stop_gradient(point)[None], searched)
        found = _smallest(squares.values[0], candidates)
        # Of differences, which are small where points are near: copies have exactly 0.
        exact = ((y[found] - point[None]) ** 2).sum(1)
        order = _smallest(exact, count)
        return Neighbours(found[order], safe_sqrt(exact[order], smallest=0.0))

    elements = _COPIES * len(y) + 3 * candidates * x.shape[1]
    chunk = _chunk(len(x), elements * x.dtype.itemsize, max_bytes)
    return jax.lax.map(of_one, x, batch_size=chunk)


@compiled
def precision_recall(
    real: Images, fake: Images, *, neighbours: int = 3, max_bytes: int = 2**28
) -> PrecisionRecall:
    """Precision and recall of a generator, and its density and coverage.

        precision = mean_j [fake_j in some ball of real],  recall = the same exchanged
        density   = mean_j #{i: fake_j in ball i of real} / k
        coverage  = mean_i [ball i of real holds some fake]

    where the ball of an element reaches as far as the k-th nearest other element of its
    own sample. Precision, recall and coverage are 1 for a sample and itself; density is
    then (k + 1) / k, since every ball holds its centre.

    Args:
      real: features or images `[n, ...]`, n > k.
      fake: features or images `[m, ...]` of the same shape, m > k.
      neighbours: k, >= 1. More of them make larger balls, and raise all but density.
      max_bytes: as in `nearest`.

    Returns:
      The four figures; float32, or float64 for float64 input. They depend on n, m and
      k, so only those of equally large samples compare. Balls are closed up to
      rounding. All are NaN if an element is not finite.

    Raises:
      TypeError: if real or fake is neither floating-point nor integer.
      ValueError: if shapes do not fit, a sample has no k other elements, or an option
        is out of range.

    Example:
      >>> real = jnp.array([[0.0], [1.0], [5.0], [6.0]])
      >>> fake = jnp.array([[0.0], [0.25], [0.5]])
      >>> found = precision_recall(real, fake, neighbours=1)
      >>> float(found.precision), float(found.recall), float(found.coverage)
      (1.0, 0.25, 0.5)

    References:
      Kynkäänniemi et al. 2019, Improved precision and recall metric, Eq. 1 and 2. Naeem
      et al. 2020, Reliable fidelity and diversity metrics, Section 3.
    """
    real, fake = vectors(real, fake)
    smaller = min(len(real), len(fake))
    if not 1 <= neighbours < smaller:
        raise ValueError(
            f"neighbours must be 1 to {smaller - 1}, less than the elements of the "
            f"smaller sample, got {neighbours}"
        )
    _check_budget(max_bytes)
    # Norms, and the rounding that grows with them, are least around the mean.
    origin = real.mean(0, keepdims=True)
    real, fake = real - origin, fake - origin

    # What does not depend on each other may run at once.
    max_bytes = (max_bytes + 1) // 2

    def balls(sample: Float[Array, "n d"]) -> _Balls:
        # The nearest of all is the element itself.
        found = nearest(sample, sample, count=neighbours + 1, max_bytes=max_bytes)
        return _Balls(sample, found.distances[:, -1])

    of_real, of_fake = balls(real), balls(fake)
    in_real, _ = _shared(of_fake, of_real, max_bytes)
    in_fake, held = _shared(of_real, of_fake, max_bytes)
    dtype = real.dtype
    figures = PrecisionRecall(
        precision=(in_real > 0).mean(dtype=dtype),
        recall=(in_fake > 0).mean(dtype=dtype),
        density=in_real.mean(dtype=dtype) / neighbours,
        coverage=(held > 0).mean(dtype=dtype),
    )
    # A comparison with NaN is false, and would pass for an element outside.
    finite = jnp.isfinite(real).all() & jnp.isfinite(fake).all()
    return PrecisionRecall(*(jnp.where(finite, figure, jnp.nan) for figure in figures))


class _Balls(NamedTuple):
    centres: Float[Array, "n d"]
    radii: Float[Array, " n"]


def _shared(balls: _Balls, others: _Balls, max_bytes: int) -> tuple[Array, Array]:
    """Of every ball: how many others its centre is in; how many centres it holds."""
    norms = (others.centres**2).sum(1)

    def of_one(ball: _Balls) -> tuple[Array, Array]:
        centre, radius = ball
        squares = squared_euclidean(centre[None], others.centres).values[0]
        # Copies, and neighbours on the boundary, count whichever way they are rounded.
        slack = _ROUNDING * float(jnp.finfo(squares.dtype).eps)
        squares = squares - slack * ((centre**2).sum() + norms)
        return (squares <= others.radii**2).sum(), (squares <= radius**2).sum()

    bytes_each = _COPIES * len(norms) * norms.dtype.itemsize
    chunk = _chunk(len(balls.radii), bytes_each, max_bytes)
    return jax.lax.map(of_one, balls, batch_size=chunk)


def _smallest(values: Float[Array, " n"], count: int) -> Int[Array, " count"]:
    """Indices of the smallest values in order, NaN last."""
    known = jnp.where(jnp.isnan(values), jnp.inf, values)
    return jax.lax.top_k(-known, count)[1]


def _check_budget(max_bytes: int) -> None:
    if not max_bytes > 0:
        raise ValueError(f"max_bytes must be > 0, got {max_bytes}")


def _chunk(n: int, bytes_each: int, max_bytes: int) -> int:
    """How many of n elements to take at a time."""
    return min(max(max_bytes // bytes_each, 1), n)
