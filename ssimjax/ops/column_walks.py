"""How maps are divided among programs of a GPU, and how a thread goes down a column."""

import functools
import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jaxtyping import Array

from ssimjax.ops.map_means import Arrays

try:
    from jax.experimental.pallas import triton
except ImportError:  # A later JAX, which has announced to drop it.
    triton: Any = None

# Threads of a program.
LANES = 128
# Programs that one multiprocessor has registers for: those that need more than 128
# of them per thread, and others.
_LARGE_PROGRAMS, _PROGRAMS = 3, 4
# Of an H100, for devices that do not say how many they have.
_MULTIPROCESSORS = 132
# Rows of a program, which takes the sums of a window's other rows besides.
_FEWEST_ROWS = 16
# Images of as many numbers are worth a longer program, which takes seconds to compile.
_LARGE = 2**20

# Of a sum, a number and an array: sum + number · array.
AddProduct = Callable[[Array, float, Array], Array]


class Plan(NamedTuple):
    """How a map is divided among programs.

    Attributes:
      near: windows of a thread side by side, which see most pixels of a row alike.
      unrolled: rows of one turn of the loop.
      lanes: threads that a row of maps needs.
      rows: rows of a program.
      grid: programs along a row, along a column and of images.
    """

    near: int
    unrolled: int
    lanes: int
    rows: int
    grid: tuple[int, int, int]


def plan(
    images: int,
    height: int,
    width: int,
    channels: int,
    *,
    margin: int,
    many_registers: bool,
) -> Plan:
    """Divides maps so that all programs are done soonest.

    A GPU takes as many programs at once as it has registers for, and the next as many
    after these: a few more than that, and it is mostly idle in the end.

    Args:
      images: number of maps.
      height: rows of a map.
      width: its columns.
      channels: numbers of a column.
      margin: rows that a program takes before its own.
      many_registers: whether a thread needs more than 128 of them.

    Returns:
      The plan.
    """
    large = images * height * width * channels >= _LARGE
    near = min(2, width) if large else 1
    lanes = pl.cdiv(width, near) * channels
    blocks = pl.cdiv(lanes, LANES)
    cores = getattr(jax.devices()[0], "core_count", None) or _MULTIPROCESSORS
    at_once = cores * (_LARGE_PROGRAMS if many_registers else _PROGRAMS)

    def rows_in_turn(rows: int) -> int:
        count = blocks * images * pl.cdiv(height, rows)
        return pl.cdiv(count, at_once) * (margin + rows)

    most = max(1, height // _FEWEST_ROWS)
    rows = min((pl.cdiv(height, n + 1) for n in range(most)), key=rows_in_turn)
    grid = blocks, pl.cdiv(height, rows), images
    return Plan(near, 2 if large else 1, lanes, rows, grid)


def walk(
    of_row: Callable[[Array], Arrays],
    step: Callable[[Array, Array, Arrays, Array], Array],
    taps: Sequence[float],
    add_product: AddProduct,
    *,
    first: Array,
    plan: Plan,
    height: int,
    total: Array,
) -> Array:
    """Goes down rows, and takes a step with weighted sums of the last ones.

    Args:
      of_row: what is summed of a row.
      step: what is done with the row of sums, whether they are complete and this
        program's, the sums and the total so far; returns the new total. The first sums
        are not complete, and below a program's rows or the image they are not its own.
      taps: weights of the rows of a sum.
      add_product: how a weighted row is added to a sum.
      first: row where this program begins.
      plan: how the map is divided.
      height: rows of the map.
      total: what the first step is given.

    Returns:
      The total of the last step.
    """
    margin = len(taps) - 1
    end = jnp.minimum(first + plan.rows, height)

    def few_rows(index: Array, carry: tuple[list[Arrays], Array]):
        begun, total = carry
        for u in range(plan.unrolled):
            last = first + index * plan.unrolled + u
            sums, begun = _with_row(begun, of_row(last), taps, add_product)
            row = last - margin
            owned = (row >= first) & (row < end)
            total = step(jnp.clip(row, 0, height - 1), owned, sums, total)
        return begun, total

    of_first = jax.eval_shape(of_row, first)
    begun = [tuple(jnp.zeros(a.shape, a.dtype) for a in of_first)] * margin
    count = pl.cdiv(plan.rows + margin, plan.unrolled)
    return jax.lax.fori_loop(0, count, few_rows, (begun, total))[1]


def _with_row(
    begun: Sequence[Arrays],
    row: Arrays,
    taps: Sequence[float],
    add_product: AddProduct,
) -> tuple[Arrays, list[Arrays]]:
    """Sums that a row completes, and those that it continues or begins.

    A row goes into all sums that it is part of at once. Weighted sums of the last rows
    would have to move every row on from register to register; here what continues a sum
    moves it, too.

    Args:
      begun: sums that lack 1, 2, ... rows.
      row: the next.
      taps: weights of the rows of a sum.
      add_product: how a weighted row is added to a sum.

    Returns:
      Whole sums, and the new `begun`.
    """
    first, *others = taps
    new = tuple(first * value for value in row)
    if len(set(taps)) == 1:
        sums = [tuple(map(jnp.add, old, new)) for old in begun]
    else:
        sums = [
            tuple(add_product(total, tap, value) for total, value in zip(old, row))
            for old, tap in zip(begun, reversed(others))
        ]
    whole, *rest = [*sums, new]
    return whole, rest


def along(
    views: Sequence[Array], taps: Sequence[float], add_product: AddProduct
) -> list[Array]:
    """Weighted sums of the views of each of several neighbours.

    Args:
      views: values one step apart, of all neighbours.
      taps: weights of the views of one.
      add_product: how a weighted view is added to a sum.

    Returns:
      A sum for each neighbour.
    """
    count = len(views) - len(taps) + 1
    return [
        _weighted(views[k : k + len(taps)], taps, add_product) for k in range(count)
    ]


def _weighted(
    values: Sequence[Array], taps: Sequence[float], add_product: AddProduct
) -> Array:
    """A weighted sum in which equal weights share a product."""
    total = None
    for weight in dict.fromkeys(taps):
        alike = [v for v, tap in zip(values, taps, strict=True) if tap == weight]
        part = functools.reduce(jnp.add, alike)
        total = weight * part if total is None else add_product(total, weight, part)
    assert total is not None
    return total


def add_product(total: Array, factor: float, value: Array) -> Array:
    """A sum and a product.

    Args:
      total: the sum so far.
      factor: a number.
      value: what it is multiplied by.

    Returns:
      total + factor · value.
    """
    return total + factor * value


def add_product_on_cuda(total: Array, factor: float, value: Array) -> Array:
    """The same in one instruction; XLA has Triton round the product, in another.

    Args:
      total: as in `add_product`.
      factor: as in `add_product`.
      value: as in `add_product`.

    Returns:
      As `add_product`.
    """
    number = struct.pack(">f", factor).hex()
    (result,) = triton.elementwise_inline_asm(
        f"fma.rn.f32 $0, $1, 0f{number}, $2;",
        args=[value, total],
        constraints="=f,f,f",
        pack=1,
        result_shape_dtypes=[jax.ShapeDtypeStruct(value.shape, value.dtype)],
    )
    return result
