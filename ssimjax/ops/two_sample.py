"""Whether two samples are of one distribution: the permutation test of MMD."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PRNGKeyArray

from ssimjax.ops.kernels import centred
from ssimjax.ops.meshes import on_any_mesh

_HIGHEST = jax.lax.Precision.HIGHEST


class TwoSampleTest(NamedTuple):
    """What a test of two samples found.

    Attributes:
      statistic: the unbiased MMD² of the two, in the unit of the kernel.
      p_value: how often a random split of their union has one as large, in (0, 1].
    """

    statistic: Float[Array, ""]
    p_value: Float[Array, ""]


def permutation_test(
    key: PRNGKeyArray,
    x: ArrayLike,
    y: ArrayLike,
    kernel: Callable[[Array, Array], Array],
    *,
    permutations: int = 500,
) -> TwoSampleTest:
    """Tests whether two samples are of one distribution.

        p = (1 + #{null >= MMD²}) / (1 + permutations)

    where null is MMD² after a random relabelling of the union of x and y. If they are
    of one distribution, P(p <= α) <= α for every α, whatever the sizes and the kernel.

    Args:
      key: of the relabellings; equal keys give equal tests.
      x: sample `[n, ...]`, n >= 2, for example data.
      y: sample `[m, ...]` of the same shape, m >= 2, for example what a generator made.
      kernel: symmetric function of two sets, as in `mmd`. It is called once, for the
        matrix `[n + m, n + m]` of the union with itself, and must not be chosen by
        looking at x and y.
      permutations: relabellings, >= 1. p is no smaller than 1 / (1 + permutations), and
        they take `permutations` times n + m numbers of memory.

    Returns:
      The unbiased MMD² and the p-value. A relabelling that ties but for rounding
      counts, which can only raise p. Both are NaN if a value of the kernel is not
      finite.

    Raises:
      TypeError: if one sample is integer and the other is not.
      ValueError: if shapes do not fit, a sample has fewer than two elements, the value
        of the kernel has another shape, or there is no relabelling.

    Example:
      >>> x = jnp.linspace(0, 1, 10)[:, None]
      >>> test = permutation_test(jax.random.key(0), x, x + 2, lambda a, b: a @ b.T)
      >>> float(test.statistic) > 3, float(test.p_value) < 0.01
      (True, True)

    References:
      Gretton et al. 2012, A kernel two-sample test, Eq. 3. Phipson and Smyth 2010,
      Permutation p-values should never be zero.
    """
    union = _union(x, y)
    if permutations < 1:
        raise ValueError(f"permutations must be >= 1, got {permutations}")
    gram = kernel(union, union)
    if jnp.shape(gram) != (len(union), len(union)):
        raise ValueError(
            f"kernel must give a matrix {[len(union), len(union)]} of the union with "
            f"itself, got shape {jnp.shape(gram)}"
        )
    return _tested(key, gram, n=len(jnp.asarray(x)), permutations=permutations)


@functools.partial(jax.jit, static_argnames=("n", "permutations"))
@on_any_mesh
def _tested(
    key: PRNGKeyArray, gram: Float[Array, "s s"], *, n: int, permutations: int
) -> TwoSampleTest:
    m = len(gram) - n
    # Changes no statistic, but sums of a raw matrix would round more than they differ.
    gram = centred(gram)
    gram = jnp.fill_diagonal(gram, 0.0, inplace=False)
    in_x = (jnp.arange(n + m) < n).astype(gram.dtype)
    shuffled = jax.random.permutation(
        key, jnp.tile(in_x, (permutations, 1)), axis=1, independent=True
    )
    # The labels as they are come first, so that all are computed alike.
    labels = jnp.concatenate([in_x[None], shuffled])
    within_x, within_y, between = _means(gram, labels, n, m)
    statistics = within_x + within_y - 2 * between
    # Of small samples many labellings have one statistic, in sums of another order.
    sizes = _means(jnp.abs(gram), labels[:1], n, m)
    rounding = 8 * jnp.finfo(gram.dtype).eps * sum(size[0] for size in sizes)
    as_large = statistics[1:] >= statistics[0] - rounding
    p_value = (1 + as_large.sum()) / (1 + permutations)
    # A comparison with NaN is false, and would pass for a difference.
    p_value = jnp.where(jnp.isnan(statistics[0]), jnp.nan, p_value)
    return TwoSampleTest(statistics[0], p_value)


def _means(
    gram: Float[Array, "s s"], in_x: Float[Array, "p s"], n: int, m: int
) -> tuple[Array, Array, Array]:
    """Of every labelling, means within x, within y and between, of a 0 diagonal."""
    in_y = 1 - in_x
    from_x = jnp.matmul(in_x, gram, precision=_HIGHEST)
    from_y = gram.sum(0, keepdims=True) - from_x
    return (
        (from_x * in_x).sum(1) / (n * (n - 1)),
        (from_y * in_y).sum(1) / (m * (m - 1)),
        (from_x * in_y).sum(1) / (n * m),
    )


def _union(x: ArrayLike, y: ArrayLike) -> Array:
    x, y = jnp.asarray(x), jnp.asarray(y)
    for name, sample in (("x", x), ("y", y)):
        if sample.ndim < 1 or len(sample) < 2:
            raise ValueError(
                f"{name} must be a sample [n, ...] of n >= 2, got shape {sample.shape}"
            )
    if x.shape[1:] != y.shape[1:]:
        raise ValueError(
            "x and y must be samples [n, ...] and [m, ...] of one shape, "
            f"got {x.shape} and {y.shape}"
        )
    integer = [jnp.issubdtype(sample.dtype, jnp.integer) for sample in (x, y)]
    if integer[0] != integer[1] or (integer[0] and x.dtype != y.dtype):
        raise TypeError(
            "x and y must be both floating-point, or integer and of one dtype, got "
            f"{x.dtype} and {y.dtype}"
        )
    return jnp.concatenate([x, y])
