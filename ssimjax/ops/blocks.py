"""Means of disjoint blocks of pixels, and their transpose, which repeats pixels.

On a CPU each is a loop of its own. Fused with what follows, the gradients of all the
coarser scales of a pyramid would be computed again for every pixel of the finest; and
XLA takes six times as long to reduce axes of two as to add what lies apart.
"""

import functools
import itertools
import operator
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Float

from ssimjax.ops.filtering import apart
from ssimjax.ops.primitives import evaluate_compiled

Axes = tuple[int, ...]


def block_means(
    image: Float[Array, "..."], factor: int, *, axes: Sequence[int]
) -> Float[Array, "..."]:
    """Means of disjoint blocks of pixels; what is left over at the end is dropped.

        out[i, j] = (1/f²) Σ_u Σ_v image[f i + u, f j + v]  for two axes

    Args:
      image: any array.
      factor: f, pixels per block and axis.
      axes: along which blocks lie, counted from 0.

    Returns:
      floor(n / f) means for n pixels of an axis, with derivatives of any order.

    Example:
      >>> block_means(jnp.arange(7.0), 3, axes=[0]).tolist()
      [1.0, 4.0]
    """
    for axis in axes:
        whole = image.shape[axis] // factor * factor
        image = jax.lax.slice_in_dim(image, 0, whole, axis=axis)
    return _means.bind(image, factor=factor, axes=tuple(sorted(axes)))


def repeated(
    values: Float[Array, "..."], factor: int, *, axes: Sequence[int]
) -> Float[Array, "..."]:
    """A block of equal pixels for each pixel.

        out[f i + u, f j + v] = values[i, j]  for two axes and u, v < f

    Args:
      values: any array.
      factor: f, pixels per block and axis.
      axes: along which blocks lie, counted from 0.

    Returns:
      f n pixels for n of an axis, with derivatives of any order.

    Example:
      >>> repeated(jnp.arange(2.0), 3, axes=[0]).tolist()
      [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]
    """
    return _repeats.bind(values, factor=factor, axes=tuple(sorted(axes)))


def _elsewhere(image: Array, *, factor: int, axes: Axes) -> Array:
    return image.reshape(_blocked(image.shape, factor, axes)).mean(_places(axes))


def _on_cpu(image: Array, *, factor: int, axes: Axes) -> Array:
    def means(image: Array, axis: int) -> Array:
        places = (
            jax.lax.slice_in_dim(image, start, image.shape[axis], factor, axis)
            for start in range(factor)
        )
        return functools.reduce(operator.add, places) / factor

    shape = image.shape
    if shape[-1] == 1 and len(shape) - 1 not in axes:
        # A call with an axis of 1 at its end copies.
        image = image[..., 0]
    for axis in axes:
        image = apart(functools.partial(means, axis=axis), image)
    return image if image.ndim == len(shape) else image[..., None]


def _repeated(values: Array, *, factor: int, axes: Axes) -> Array:
    shape = _repeated_sides(values.shape, factor, axes)
    blocks, places = _blocked(shape, factor, axes), _places(axes)
    kept = [axis for axis in range(len(blocks)) if axis not in places]
    return jax.lax.broadcast_in_dim(values, blocks, kept).reshape(shape)


def _repeated_on_cpu(values: Array, *, factor: int, axes: Axes) -> Array:
    # Here, and not where they are read, is everything computed that leads to them.
    flat = apart(lambda values: values, values.reshape(-1))
    return _repeated(flat.reshape(values.shape), factor=factor, axes=axes)


def _blocked(shape: tuple[int, ...], factor: int, axes: Axes) -> tuple[int, ...]:
    """A shape with an axis of places within a block after that of the blocks."""
    sides = (
        (side // factor, factor) if axis in axes else (side,)
        for axis, side in enumerate(shape)
    )
    return tuple(itertools.chain.from_iterable(sides))


def _repeated_sides(shape: tuple[int, ...], factor: int, axes: Axes) -> tuple[int, ...]:
    return tuple(
        side * factor if axis in axes else side for axis, side in enumerate(shape)
    )


def _places(axes: Axes) -> Axes:
    return tuple(axis + 1 + earlier for earlier, axis in enumerate(axes))


def _means_transpose(cotangent: Array, _image, *, factor: int, axes: Axes):
    scaled = cotangent / factor ** len(axes)
    return [_repeats.bind(scaled, factor=factor, axes=axes)]


def _repeats_transpose(cotangent: Array, _values, *, factor: int, axes: Axes):
    scaled = cotangent * factor ** len(axes)
    return [_means.bind(scaled, factor=factor, axes=axes)]


def _means_shape(image, *, factor: int, axes: Axes):
    return image.update(
        shape=tuple(
            side // factor if axis in axes else side
            for axis, side in enumerate(image.shape)
        )
    )


def _repeats_shape(values, *, factor: int, axes: Axes):
    return values.update(shape=_repeated_sides(values.shape, factor, axes))


def _batched(primitive: Primitive, arrays, batch_axes, *, factor: int, axes: Axes):
    (array,), (axis,) = arrays, batch_axes
    axes = tuple(a + 1 for a in axes)
    array = jnp.moveaxis(array, axis, 0)
    return primitive.bind(array, factor=factor, axes=axes), 0


_means, _repeats = Primitive("block_means"), Primitive("repeated_blocks")
_means.def_abstract_eval(_means_shape)
_repeats.def_abstract_eval(_repeats_shape)
ad.deflinear2(_means, _means_transpose)
ad.deflinear2(_repeats, _repeats_transpose)
for _primitive, _plain, _cpu in (
    (_means, _elsewhere, _on_cpu),
    (_repeats, _repeated, _repeated_on_cpu),
):
    evaluate_compiled(_primitive, "factor", "axes")
    batching.primitive_batchers[_primitive] = functools.partial(_batched, _primitive)
    for _lowering, _platform in ((_cpu, "cpu"), (_plain, None)):
        mlir.register_lowering(
            _primitive,
            mlir.lower_fun(_lowering, multiple_results=False),
            platform=_platform,
        )
