"""Weighted sums of neighbours along one axis, as each kind of machine does them best.

`convolved` says what is computed; the others compute the same. Whoever calls
`weighted_sums` sees a linear operator whose transpose is itself with the taps reversed.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.xla_metadata import set_xla_metadata
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Float

from ssimjax.ops.primitives import evaluate_compiled

# Outputs per banded product. The band of a tile is (tile + taps - 1) x tile, so a
# larger tile multiplies more zeros and a smaller one reads more pixels twice.
_TILE = 48
# More taps than these, and products are faster than shifted sums.
_MOST_SHIFTS = 64


def weighted_sums(
    values: Float[Array, "*batch n k"], taps: tuple[float, ...], *, fused: bool = False
) -> Float[Array, "*batch out k"]:
    """Correlates the last axis but one with the taps, whole windows alone.

        out[i] = Σ_u taps[u] values[i + u]

    Args:
      values: of whatever lies along the axis, and of the rest.
      taps: weights, at most n.
      fused: whether a CPU may take the sums where they are used, and takes them again
        wherever else they are.

    Returns:
      n - len(taps) + 1 sums along the axis.

    Example:
      >>> weighted_sums(jnp.arange(4.0)[:, None], (1.0, 1.0))[:, 0].tolist()
      [1.0, 3.0, 5.0]
    """
    return _weighted_sums.bind(values, taps=taps, margin=0, fused=fused)


def convolved(
    values: Float[Array, "*batch n k"], taps: tuple[float, ...]
) -> Float[Array, "*batch out k"]:
    """The plain form, which the others are compared with.

    Args:
      values: as in `weighted_sums`.
      taps: as in `weighted_sums`.

    Returns:
      As `weighted_sums`.

    Example:
      >>> convolved(jnp.arange(4.0)[:, None], (1.0, 1.0))[:, 0].tolist()
      [1.0, 3.0, 5.0]
    """
    *batch, n, k = values.shape
    sums = jax.lax.conv_general_dilated(
        values.reshape(math.prod(batch), n, k, 1),
        jnp.asarray(taps, values.dtype)[:, None, None, None],
        (1, 1),
        "VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision=jax.lax.Precision.HIGHEST,
    )
    return sums.reshape(*batch, n - len(taps) + 1, k)


def _shifted_by(values: Array, *, taps: tuple[float, ...], step: int) -> Array:
    """Sums of values that lie whole steps apart, along the last axis.

    A sum of shifted views is one loop over contiguous memory, whatever the axis was.
    """
    size = values.shape[-1] - (len(taps) - 1) * step

    def view(tap: int) -> Array:
        return jax.lax.slice_in_dim(values, tap * step, tap * step + size, axis=-1)

    # Taps of the same weight, as most windows have in pairs, share a product.
    total = 0.0
    for weight in dict.fromkeys(taps):
        alike = [view(tap) for tap, other in enumerate(taps) if other == weight]
        total += weight * sum(alike[1:], start=alike[0])
    return jnp.asarray(total)


def banded(
    values: Float[Array, "*batch n k"], taps: tuple[float, ...]
) -> Float[Array, "*batch out k"]:
    """Products with a banded matrix, which keep matrix units busy.

    Args:
      values: as in `weighted_sums`.
      taps: as in `weighted_sums`.

    Returns:
      As `weighted_sums`.

    Example:
      >>> banded(jnp.arange(4.0)[:, None], (1.0, 1.0))[:, 0].tolist()
      [1.0, 3.0, 5.0]
    """
    outputs = values.shape[-2] - len(taps) + 1
    tile = min(outputs, _TILE)
    tiles = math.ceil(outputs / tile)
    span = tile + len(taps) - 1
    band = np.zeros((tile, span))
    for offset, tap in enumerate(taps):
        band[np.arange(tile), np.arange(tile) + offset] = tap
    missing = (tiles - 1) * tile + span - values.shape[-2]
    values = jnp.pad(values, [(0, 0)] * (values.ndim - 2) + [(0, missing), (0, 0)])
    spans = jnp.stack(
        [
            jax.lax.slice_in_dim(values, i * tile, i * tile + span, axis=-2)
            for i in range(tiles)
        ],
        axis=-3,
    )
    # TF32 or bfloat16 products would shift SSIM by 1e-2.
    sums = jnp.einsum(
        "os,...sk->...ok",
        jnp.asarray(band, values.dtype),
        spans,
        precision=jax.lax.Precision.HIGHEST,
    )
    sums = sums.reshape(*sums.shape[:-3], tiles * tile, sums.shape[-1])
    return jax.lax.slice_in_dim(sums, 0, outputs, axis=-2)


def _between(margin: Array, values: Array) -> Array:
    return jnp.concatenate([margin, values, margin], axis=-1)


def apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls a function so that XLA's CPU backend fuses it with nothing around it.

    It would fuse the loop over one axis into that over the next, and visit taps²
    neighbours, or put all that is computed before a border into the loop that adds the
    border, which is slow. Its optimization barrier does not last until fusion.

    Args:
      function: of arrays.
      *arguments: trees of arrays.

    Returns:
      What the function returns.

    Example:
      >>> float(apart(jnp.square, jnp.array(3.0)))
      9.0
    """

    def inside(*arguments: Any) -> Any:
        # Calls within it, such as those of jnp.where, are fused as ever.
        with set_xla_metadata(inlineable="true"):
            return function(*arguments)

    with set_xla_metadata(inlineable="false"):
        return jax.jit(inside)(*arguments)


def _on_cpu(
    values: Array, *, taps: tuple[float, ...], margin: int, fused: bool
) -> Array:
    if len(taps) > _MOST_SHIFTS:
        return _by_products(values, taps=taps, margin=margin, fused=fused)
    *batch, n, k = values.shape
    # The reshapes stay outside, since a call with an axis of 1 at its end copies.
    sums = values.reshape(*batch, n * k)
    if margin:
        # Copies rows; XLA's padding, to which it would turn a concatenation of zeros
        # that it knows, asks of every number where it comes from, and takes four times
        # as long.
        sums = apart(_between, jnp.zeros((*batch, margin * k), sums.dtype), sums)
    take_sums = functools.partial(_shifted_by, taps=taps, step=k)
    sums = take_sums(sums) if fused else apart(take_sums, sums)
    return sums.reshape(*batch, n + 2 * margin - len(taps) + 1, k)


def _on_gpu(
    values: Array, *, taps: tuple[float, ...], margin: int, fused: bool
) -> Array:
    if len(taps) > _MOST_SHIFTS:
        return _by_products(values, taps=taps, margin=margin, fused=fused)
    *batch, n, k = values.shape
    margins = [(0, 0, 0)] * len(batch) + [(margin * k, margin * k, 0)]
    sums = values.reshape(*batch, n * k)
    sums = jax.lax.pad(sums, jnp.zeros((), sums.dtype), margins)
    # Fused with the sums along another axis, these would visit taps² neighbours.
    sums = jax.lax.optimization_barrier(_shifted_by(sums, taps=taps, step=k))
    return sums.reshape(*batch, n + 2 * margin - len(taps) + 1, k)


def _by_products(
    values: Array, *, taps: tuple[float, ...], margin: int, fused: bool
) -> Array:
    del fused
    margins = [(0, 0, 0)] * (values.ndim - 2) + [(margin, margin, 0), (0, 0, 0)]
    return banded(jax.lax.pad(values, jnp.zeros((), values.dtype), margins), taps)


def _transpose(
    cotangent: Array, _values, *, taps: tuple[float, ...], margin: int, fused: bool
) -> list[Array]:
    margin = len(taps) - 1 - margin
    return [_weighted_sums.bind(cotangent, taps=taps[::-1], margin=margin, fused=fused)]


def _batched(args, dimensions, **options: Any):
    (values,), (axis,) = args, dimensions
    return _weighted_sums.bind(jnp.moveaxis(values, axis, 0), **options), 0


def _shape(values, *, taps: tuple[float, ...], margin: int, fused: bool):
    del fused
    *batch, n, k = values.shape
    return values.update(shape=(*batch, n + 2 * margin - len(taps) + 1, k))


_weighted_sums = Primitive("weighted_sums")
evaluate_compiled(_weighted_sums, "taps", "margin", "fused")
_weighted_sums.def_abstract_eval(_shape)
ad.deflinear2(_weighted_sums, _transpose)
batching.primitive_batchers[_weighted_sums] = _batched
for _lowering, _platform in (
    (_on_cpu, "cpu"),
    (_on_gpu, "cuda"),
    (_on_gpu, "rocm"),
    (_by_products, None),
):
    mlir.register_lowering(
        _weighted_sums,
        mlir.lower_fun(_lowering, multiple_results=False),
        platform=_platform,
    )
