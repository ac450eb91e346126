"""Patches side by side (im2col), with a gradient that is as fast (col2im).

JAX's gradient of many shifted views is a sum of padded maps, which XLA's CPU backend
computes one element at a time. Here both directions shift whole rows: unfolding stacks
views, folding adds them, first along one axis, then along the other.
"""

import functools
import operator

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Float

from ssimjax.ops.primitives import evaluate_compiled

Pair = tuple[int, int]


def unfold(
    x: Float[Array, "*maps h w"], kernel: Pair, *, strides: Pair = (1, 1)
) -> Float[Array, "kh kw *maps out_h out_w"]:
    """What every tap of a sliding kernel sees.

        out[u, v, ..., i, j] = x[..., s_h i + u, s_w j + v]

    Args:
      x: maps.
      kernel: height and width of the kernel.
      strides: s_h and s_w, steps of the kernel.

    Returns:
      A map per tap, with derivatives of any order.

    Example:
      >>> unfold(jnp.arange(12.0).reshape(3, 4), (2, 2))[1, 0].tolist()
      [[4.0, 5.0, 6.0], [8.0, 9.0, 10.0]]
    """
    return _unfold.bind(x, kernel=kernel, strides=strides)


def patches_in_rows(
    x: Float[Array, "*maps h w c"], kernel: Pair, *, strides: Pair = (1, 1)
) -> Float[Array, "*maps out_h out_w elements"]:
    """The patches that a sliding kernel sees, one per row of a matrix.

        out[..., i, j, (u, v, c)] = x[..., s_h i + u, s_w j + v, c]

    For products that are convolutions. Elements of a patch lie side by side, where
    those of `unfold` lie apart, which is faster to make gradients of.

    Args:
      x: maps.
      kernel: height and width of the kernel.
      strides: s_h and s_w, steps of the kernel.

    Returns:
      Patches of height · width · c elements.

    Example:
      >>> x = jnp.arange(12.0).reshape(3, 4, 1)
      >>> patches_in_rows(x, (2, 2))[0, 1].tolist()
      [1.0, 2.0, 5.0, 6.0]
    """
    rows = jnp.concatenate(shifts(x, size=kernel[1], stride=strides[1], axis=-2), -1)
    patches = shifts(rows, size=kernel[0], stride=strides[0], axis=-3)
    return jnp.concatenate(patches, -1)


def fold(
    views: Float[Array, "kh kw *maps out_h out_w"],
    *,
    sides: Pair,
    strides: Pair = (1, 1),
) -> Float[Array, "*maps h w"]:
    """Adds up what every tap of a sliding kernel sees: the transpose of `unfold`.

        out[..., i, j] = Σ views[u, v, ..., p, q]  over  s_h p + u = i,  s_w q + v = j

    Args:
      views: a map per tap.
      sides: h and w.
      strides: s_h and s_w, steps of the kernel.

    Returns:
      Maps, with derivatives of any order.

    Example:
      >>> fold(jnp.ones((2, 2, 2, 2)), sides=(3, 3))[1].tolist()
      [2.0, 4.0, 2.0]
    """
    return _fold.bind(views, strides=strides, sides=sides)


def shifts(
    field: Float[Array, "..."], *, size: int, stride: int, axis: int
) -> list[Float[Array, "..."]]:
    """The views of a field that its sliding windows see along one axis.

    Args:
      field: any array.
      size: elements of a window.
      stride: step of the window.
      axis: along which it slides.

    Returns:
      A view per element of the window.

    Example:
      >>> [v.tolist() for v in shifts(jnp.arange(5.0), size=2, stride=2, axis=0)]
      [[0.0, 2.0], [1.0, 3.0]]
    """
    reach = (field.shape[axis] - size) // stride * stride + 1
    return [
        jax.lax.slice_in_dim(field, start, start + reach, stride, axis)
        for start in range(size)
    ]


def _sum_of_views(views: Array, stride: int, axis: int, length: int) -> Array:
    """The transpose of stacked `shifts`: every element is the sum of its copies."""
    size, outputs = views.shape[0], views.shape[axis]
    reach = (outputs - 1) * stride + 1
    margins = [(0, 0, 0)] * views.ndim
    # As wide as every view of `length` that starts up to size - 1 earlier.
    margins[axis] = (size - 1, length - reach, stride - 1)
    padded = jax.lax.pad(views, jnp.zeros((), views.dtype), margins)
    return functools.reduce(
        operator.add,
        (
            jax.lax.slice_in_dim(view, size - 1 - u, size - 1 - u + length, axis=axis)
            for u, view in enumerate(padded)
        ),
    )


def _unfolded(x: Array, *, kernel: Pair, strides: Pair) -> Array:
    rows = jnp.stack(shifts(x, size=kernel[1], stride=strides[1], axis=-1))
    return jnp.stack(shifts(rows, size=kernel[0], stride=strides[0], axis=-2))


def _folded(views: Array, *, strides: Pair, sides: Pair) -> Array:
    rows = _sum_of_views(views, strides[0], -2, sides[0])
    return _sum_of_views(rows, strides[1], -1, sides[1])


def _unfold_shape(x, *, kernel: Pair, strides: Pair):
    sides = (
        (side - size) // stride + 1
        for side, size, stride in zip(x.shape[-2:], kernel, strides)
    )
    return x.update(shape=(*kernel, *x.shape[:-2], *sides))


def _fold_shape(views, *, strides: Pair, sides: Pair):
    del strides
    return views.update(shape=(*views.shape[2:-2], *sides))


def _unfold_transpose(cotangent, x, *, kernel: Pair, strides: Pair):
    del kernel
    return [_fold.bind(cotangent, strides=strides, sides=x.aval.shape[-2:])]


def _fold_transpose(cotangent, views, *, strides: Pair, sides: Pair):
    del sides
    kernel = views.aval.shape[:2]
    return [_unfold.bind(cotangent, kernel=kernel, strides=strides)]


def _unfold_batched(arrays, axes, *, kernel: Pair, strides: Pair):
    (x,), (axis,) = arrays, axes
    return _unfold.bind(jnp.moveaxis(x, axis, 0), kernel=kernel, strides=strides), 2


def _fold_batched(arrays, axes, *, strides: Pair, sides: Pair):
    (views,), (axis,) = arrays, axes
    return _fold.bind(jnp.moveaxis(views, axis, 2), strides=strides, sides=sides), 0


_unfold, _fold = Primitive("unfold"), Primitive("fold")
_unfold.def_abstract_eval(_unfold_shape)
_fold.def_abstract_eval(_fold_shape)
ad.deflinear2(_unfold, _unfold_transpose)
ad.deflinear2(_fold, _fold_transpose)
batching.primitive_batchers[_unfold] = _unfold_batched
batching.primitive_batchers[_fold] = _fold_batched
for _primitive, _plain, _static in (
    (_unfold, _unfolded, ("kernel", "strides")),
    (_fold, _folded, ("strides", "sides")),
):
    evaluate_compiled(_primitive, *_static)
    mlir.register_lowering(_primitive, mlir.lower_fun(_plain, multiple_results=False))
