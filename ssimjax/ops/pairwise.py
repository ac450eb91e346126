"""Moments of all pairs of two sets of images, window by window, in bounded memory.

The moments of one image are computed once per image; only the covariance belongs to a
pair, and under one window it is a matrix product over the window's pixels. A matrix of
all pairs is therefore a sum, over windows, of a formula on products [n, pixels] ·
[pixels, m], and needs the memory of a few windows whatever the number of images.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ssimjax.ops.moments import Moments
from ssimjax.ops.windows import Window

_HIGHEST = jax.lax.Precision.HIGHEST

# Elements of one array [windows, n, m]: 2 MiB of float32, which a CPU's cache holds.
_BATCH = 2**19
# How many arrays of the size of all windows of a chunk, and of all matrices of a batch,
# are alive at once in the backward pass: measured, and rounded up.
_CHUNK_COPIES, _BATCH_COPIES = 4, 12


class WindowLayout(NamedTuple):
    """Which elements of a flattened image lie under which window.

    Attributes:
      starts: the first element of each window.
      offsets: the elements of a window, relative to the first.
      weights: their weights.
    """

    starts: np.ndarray
    offsets: np.ndarray
    weights: np.ndarray


def window_layout(shape: tuple[int, ...], window: Window, stride: int) -> WindowLayout:
    """All windows in all channels of images `[*spatial, channels]`.

    Args:
      shape: of an image, `[*spatial, channels]`.
      window: weights of the local statistics.
      stride: pixels between windows, >= 1.

    Returns:
      Windows that lie inside the image.

    Raises:
      ValueError: if the image is smaller than the window.
    """
    spatial = shape[:-1]
    sizes = window.sizes(len(spatial))
    if any(side < size for side, size in zip(spatial, sizes)):
        raise ValueError(
            f"image is {'x'.join(map(str, spatial))} pixels, smaller than the window "
            f"of {'x'.join(map(str, sizes))}; use a smaller window"
        )
    index = np.arange(math.prod(shape), dtype=np.int32).reshape(shape)
    first = tuple(
        slice(0, side - size + 1, stride) for side, size in zip(spatial, sizes)
    )
    weights = functools.reduce(np.multiply.outer, window.along(len(spatial)))
    return WindowLayout(
        starts=index[first].ravel(),
        offsets=index[tuple(slice(0, size) for size in sizes)][..., 0].ravel(),
        weights=np.asarray(weights).ravel(),
    )


def chunk_and_batch(
    n: int, m: int, *, pixels: int, windows: int, itemsize: int, max_bytes: int
) -> tuple[int, int]:
    """How many windows are cut out at once, and how many are compared at once.

    All images under the windows of a chunk are kept for the gradient, `[chunk, pixels,
    n + m]`. Of the matrices `[batch, n, m]` as many are formed as a cache holds.
    """
    per_window = _CHUNK_COPIES * pixels * (n + m) * itemsize
    per_matrix = _BATCH_COPIES * n * m * itemsize
    batch = min(_BATCH // (n * m), max_bytes // (per_window + per_matrix), windows)
    batch = max(1, batch)
    batches = max(1, (max_bytes // batch - per_matrix) // per_window)
    # No more than these, and as even as they can be.
    chunks = math.ceil(windows / (batches * batch))
    chunk = math.ceil(windows / chunks)
    batches = math.ceil(chunk / batch)
    batch = math.ceil(chunk / batches)
    return batches * batch, batch


def sum_over_windows(
    values: Callable[[Moments], Array],
    x: Float[Array, "n elements"],
    y: Float[Array, "m elements"],
    layout: WindowLayout,
    max_bytes: int,
) -> Float[Array, "n m"]:
    """Sum over all windows of a function of the moments of all pairs.

    Args:
      values: function of moments of shapes that broadcast to `[windows, n, m]`.
      x: n flattened images.
      y: m flattened images.
      layout: which elements lie under which window.
      max_bytes: memory for intermediate results, in bytes.

    Returns:
      Sums `[n, m]`.
    """
    n, m, windows = len(x), len(y), len(layout.starts)
    chunk, batch = chunk_and_batch(
        n,
        m,
        pixels=len(layout.offsets),
        windows=windows,
        itemsize=x.dtype.itemsize,
        max_bytes=max_bytes,
    )
    weights = jnp.asarray(layout.weights, x.dtype)[None, :, None]
    zeros = jnp.zeros((n, m), x.dtype)

    # Nothing but its input is kept of a chunk, nor of a batch, for the gradient.
    @functools.partial(jax.checkpoint, prevent_cse=False)
    def sum_of_batch(x: _Blocks, y: _Blocks, counts: Array) -> Array:
        weighted = weights * x.centred
        covariance = jnp.einsum("tki,tkj->tij", weighted, y.centred, precision=_HIGHEST)
        moments = Moments(
            _spread(x.mean, 2, m),
            _spread(y.mean, 1, n),
            _spread(x.variance, 2, m),
            _spread(y.variance, 1, n),
            covariance,
        )
        return jnp.einsum("t,tij->ij", counts, values(moments), precision=_HIGHEST)

    @functools.partial(jax.checkpoint, prevent_cse=False)
    def sum_of_chunk(x: Array, y: Array, starts: Array, counts: Array) -> Array:
        batches = jax.tree.map(
            lambda array: array.reshape(chunk // batch, batch, *array.shape[1:]),
            (
                _blocks(x, starts, layout.offsets, weights),
                _blocks(y, starts, layout.offsets, weights),
                counts,
            ),
        )

        def add(total: Array, batch: tuple[_Blocks, _Blocks, Array]):
            return total + sum_of_batch(*batch), None

        return jax.lax.scan(add, zeros, batches)[0]

    # The last chunk is filled with windows that do not count.
    missing = -windows % chunk
    starts = np.pad(layout.starts, (0, missing)).reshape(-1, chunk)
    counts = np.pad(np.ones(windows), (0, missing)).reshape(-1, chunk)
    x, y = x.T, y.T

    def add(total: Array, windows: tuple[Array, Array]):
        return total + sum_of_chunk(x, y, *windows), None

    chunks = jnp.asarray(starts), jnp.asarray(counts, x.dtype)
    return jax.lax.scan(add, zeros, chunks)[0]


class _Blocks(NamedTuple):
    """A set of images under some windows.

    Attributes:
      mean: `[windows, n]`.
      variance: `[windows, n]`.
      centred: pixels without that mean, `[windows, pixels, n]`.
    """

    mean: Float[Array, "t n"]
    variance: Float[Array, "t n"]
    centred: Float[Array, "t k n"]


def _blocks(
    images: Float[Array, "elements n"],
    starts: Int[Array, " t"],
    offsets: np.ndarray,
    weights: Float[Array, "1 k 1"],
) -> _Blocks:
    """Cuts windows out. Centred, they need no subtraction of squares of means."""
    pixels = images[starts[:, None] + offsets[None]]
    mean = (weights * pixels).sum(1)
    centred = pixels - mean[:, None]
    variance = (weights * centred**2).sum(1)
    return _Blocks(mean, variance, centred)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def _spread(values: Float[Array, "t n"], axis: int, size: int) -> Array:
    """Repeats values along a new axis."""
    values = jnp.expand_dims(values, axis)
    shape = (*values.shape[:axis], size, *values.shape[axis + 1 :])
    return jnp.broadcast_to(values, shape)


@_spread.defjvp
def _spread_jvp(axis, size, primals, tangents):
    # The same as a product with ones, whose transpose is then a product with ones too:
    # several times as fast as the sums that the transpose of a broadcast is on CPUs.
    (values,), (tangent,) = primals, tangents
    ones = jnp.ones((values.shape[0], size), values.dtype)
    equation = "tn,ts->tns" if axis == 2 else "tn,ts->tsn"
    spread = jnp.einsum(equation, tangent, ones, precision=_HIGHEST)
    return _spread(values, axis, size), spread
