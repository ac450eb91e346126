"""Patches of single channels against filters, in tiles that stay in the cache.

Every channel has a map of similarities as large as the result. On a CPU the time goes
into passes over such maps, so they are made for one channel of a few images at a time,
and made again for the gradient: all at once would need c_in times the memory.
"""

import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from ssimjax.ops.moments import Moments, at_least_float32
from ssimjax.ops.partial_derivatives import Compare
from ssimjax.ops.patches import (
    Padding,
    check_patches,
    output_size,
    window_mean_and_variance,
)
from ssimjax.ops.primitives import varying_alike
from ssimjax.ops.strips import images_at_a_time
from ssimjax.ops.unfolding import patches_in_rows, unfold

# Of one map; the gradient of one channel needs about ten.
_TILE_BYTES = 2**21


def mean_over_single_channels(
    compare: Compare,
    x: Float[ArrayLike, "b h w c_in"],
    filters: Float[ArrayLike, "kh kw c_in c_out"],
    *,
    strides: int | Sequence[int],
    padding: Padding,
    precision: jax.lax.PrecisionLike,
) -> Float[Array, "b out_h out_w c_out"]:
    """Mean over channels of what is made of their patches and filters alone.

        (1/c_in) Σ_c compare(moments of x_c and filters_c)

    Args:
      compare: made of moments, element by element; best with a gradient of few passes
        over matrices.
      x: as in `patch_moments`.
      filters: as in `patch_moments`.
      strides: as in `patch_moments`.
      padding: as in `patch_moments`.
      precision: as in `patch_moments`.

    Returns:
      Means, with derivatives of any order.

    Raises:
      TypeError: as `patch_moments`.
      ValueError: as `patch_moments` of every channel.
    """
    x, filters = varying_alike(
        at_least_float32("x", x), at_least_float32("filters", filters)
    )
    check_patches(x.shape, filters.shape, strides, padding)
    *kernel, c_in, c_out = filters.shape
    steps, margins = check_patches(
        (*x.shape[:3], 1), (*kernel, 1, c_out), strides, padding
    )
    elements = math.prod(kernel)
    to_sample = elements / (elements - 1)
    mean_y = filters.mean((0, 1), keepdims=True)
    centred = filters - mean_y
    of_filters = (
        jnp.moveaxis(centred, 2, 0) / (elements - 1),
        mean_y.reshape(c_in, 1, c_out),
        (centred**2).sum((0, 1))[:, None] / (elements - 1),
    )

    @jax.checkpoint
    def compared(channel: tuple[Array, ...]) -> Array:
        x, mean_x, var_x, taps, mean_y, var_y = channel
        # Zeros around an image are moved along with it, which changes no covariance.
        offset = jax.lax.stop_gradient(x.mean((1, 2), keepdims=True))
        x = jnp.pad(x, ((0, 0), *margins)) - offset
        covariances = _correlated(x, taps, steps, precision)
        # Matrices, one row per patch: XLA is slow with more axes.
        moments = Moments(
            mean_x.reshape(-1, 1), mean_y, var_x.reshape(-1, 1), var_y, covariances
        )
        return compare(moments)

    def add(total: Array, channel: tuple[Array, ...]) -> tuple[Array, None]:
        return total + compared(channel), None

    def of_images(x: Array) -> Array:
        mean, variance = window_mean_and_variance(
            x, None, (kernel[0], kernel[1]), steps, margins
        )
        # Moved once, here: otherwise XLA reads across channels wherever it needs one.
        of_patches = jax.lax.optimization_barrier(
            tuple(jnp.moveaxis(f, -1, 0) for f in (x, mean, to_sample * variance))
        )
        total = jnp.zeros_like(x, shape=(mean[..., 0].size, c_out))
        total = jax.lax.scan(add, total, (*of_patches, *of_filters))[0]
        return total.reshape(*mean.shape[:3], c_out) / c_in

    sides = map(output_size, x.shape[1:3], kernel, steps, margins)
    shape = (x.shape[0], *sides, c_out)
    image_bytes = math.prod(shape[1:]) * x.dtype.itemsize
    images = images_at_a_time(shape[0], image_bytes, _TILE_BYTES)
    if images == shape[0]:
        return of_images(x)
    groups = x.reshape(shape[0] // images, images, *x.shape[1:])
    return jax.lax.map(of_images, groups).reshape(shape)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def _correlated(
    x: Float[Array, "b h w"],
    taps: Float[Array, "kh kw c_out"],
    strides: tuple[int, int],
    precision: jax.lax.PrecisionLike,
) -> Float[Array, "patches c_out"]:
    """`correlate` of one channel as a product with a matrix of a patch per row.

    The derivative in x is a product with a patch per column, which is transposed by
    adding up whole maps. For all else XLA's CPU backend takes longer with those, up to
    three times for the value; and that of jax 0.10 convolves one channel on one core.
    """
    return _by_rows(x, taps, strides, precision)


def _by_rows(
    x: Array, taps: Array, strides: tuple[int, int], precision: jax.lax.PrecisionLike
) -> Array:
    *kernel, c_out = taps.shape
    patches = patches_in_rows(x[..., None], (kernel[0], kernel[1]), strides=strides)
    return jnp.dot(
        patches.reshape(-1, math.prod(kernel)),
        taps.reshape(-1, c_out),
        precision=precision,
    )


@functools.partial(_correlated.defjvp, symbolic_zeros=True)
def _correlated_jvp(strides, precision, primals, tangents):
    def by_columns(x: Array, taps: Array) -> Array:
        *kernel, c_out = taps.shape
        views = unfold(x, (kernel[0], kernel[1]), strides=strides)
        columns = views.reshape(math.prod(kernel), -1)
        return jax.lax.dot_general(
            columns, taps.reshape(-1, c_out), (((0,), (0,)), ((), ())), precision
        )

    (x, taps), (x_dot, taps_dot) = primals, tangents
    value = _correlated(x, taps, strides, precision)
    tangent = jnp.zeros_like(value)
    if not isinstance(x_dot, SymbolicZero):
        tangent += by_columns(x_dot, taps)
    if not isinstance(taps_dot, SymbolicZero):
        tangent += _by_rows(x, taps_dot, strides, precision)
    return value, tangent
