"""Two Pallas kernels: a map of windows with its sum, and the gradient of that sum.

Each thread walks down a column, of windows or of pixels. Sums that lack some rows stay
in registers, and every step finishes a window or a pixel.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jaxtyping import Array, Float

from ssimjax.ops.map_means import Arrays, MeansAndGradients, WindowMap
from ssimjax.ops.moments import Moments
from ssimjax.ops.pooling import over_count

try:
    from jax.experimental.pallas import triton
except ImportError:  # A later JAX, which has announced to drop it.
    triton: Any = None

# Threads of a program.
_LANES = 128
# Programs that fill a large GPU; below that, each gets fewer rows.
_PROGRAMS = 384
# Rows of windows of a program, which takes the sums of a window's other rows besides.
_ROWS = (128, 64, 32, 16)
# Images of as many numbers are worth a longer program, which takes seconds to compile.
_LARGE = 2**20
# Pixels whose mean stands for that of an image.
_SAMPLES = 128


class _Plan(NamedTuple):
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


def _plan(images: int, height: int, width: int, channels: int) -> _Plan:
    large = images * height * width * channels >= _LARGE
    near = min(2, width) if large else 1
    lanes = pl.cdiv(width, near) * channels
    blocks = pl.cdiv(lanes, _LANES)
    columns = blocks * images
    rows = next(
        (n for n in _ROWS if columns * pl.cdiv(height, n) >= _PROGRAMS), _ROWS[-1]
    )
    grid = blocks, pl.cdiv(height, rows), images
    return _Plan(near, 2 if large else 1, lanes, rows, grid)


class _Sides(NamedTuple):
    """Sizes of images and of the maps of their windows.

    Attributes:
      height: rows of an image.
      width: pixels of a row.
      channels: numbers of a pixel, which lie side by side.
      rows_out: rows of windows.
      width_out: windows of a row.
    """

    height: int
    width: int
    channels: int
    rows_out: int
    width_out: int


def means_and_gradients(
    window_map: WindowMap,
    images: tuple[Float[Array, "..."], Float[Array, "..."]],
    wanted: tuple[int, ...],
    *,
    weight: float = 1.0,
    interpret: bool = False,
) -> MeansAndGradients:
    """Mean of a map over its windows, per channel, and its gradients in the images.

    Args:
      window_map: what is computed of every window, without `var_x` and `var_y`.
      images: x and y, `[*batch, height, width, channels]` in float32.
      wanted: of which images the gradient is wanted, 0 for x and 1 for y.
      weight: on the mean.
      interpret: whether JAX shall run the kernels itself, on whatever device.

    Returns:
      Means `[*batch, channels]`, and a gradient like an image for each that is wanted.

    Example:
      >>> x = jnp.ones((4, 6, 1))
      >>> mean_x = WindowMap(lambda moments: moments.mean_x, ((0.5, 0.5),) * 2, 1.0)
      >>> means, _ = means_and_gradients(mean_x, (x, x), (), interpret=True)
      >>> means.tolist()
      [1.0]
    """
    *batch, height, width, channels = images[0].shape
    rows_out, width_out = (
        side - len(taps) + 1 for side, taps in zip((height, width), window_map.taps)
    )
    sides = _Sides(height, width, channels, rows_out, width_out)
    windows = rows_out * width_out
    pair = [image.reshape(-1, height, width * channels) for image in images]
    call = functools.partial(
        pl.pallas_call,
        compiler_params=triton.CompilerParams(num_warps=_LANES // 32),
        interpret=interpret,
    )
    sums, *partials = _walk_of_windows(call, window_map, pair, wanted, sides)
    gradients = []
    if wanted:
        gradients = _walk_of_pixels(
            call, window_map, pair, partials, wanted, sides, weight / windows
        )
    sums = sums.reshape(len(pair[0]), -1, channels).sum(1)
    sums = weight * over_count(sums, windows)
    return (
        sums.reshape(*batch, channels),
        tuple(gradient.reshape(images[0].shape) for gradient in gradients),
    )


def _walk_of_windows(
    call: Callable[..., Any],
    window_map: WindowMap,
    images: Sequence[Float[Array, "n h wc"]],
    wanted: tuple[int, ...],
    sides: _Sides,
) -> Sequence[Array]:
    """Sums of a map, and its derivatives by means of s, d, s² and d².

    s = x + y and d = x - y are cheaper than x and y: of means of them and their squares
    both the sum of the variances and that of the difference are made.
    """
    channels = sides.channels
    down, along = window_map.taps
    plan = _plan(len(images[0]), sides.rows_out, sides.width_out, channels)
    near, lanes = plan.near, plan.lanes

    def kernel(x: Any, y: Any, sums: Any, *partials: Any) -> None:
        block, chunk, n = (pl.program_id(axis) for axis in range(3))
        lane = block * _LANES + jnp.arange(_LANES)
        own = lane // channels * near
        # The last ones are moved into the map, and overlap their neighbours.
        pixel = jnp.minimum(own, sides.width_out - near)
        column = pixel * channels + lane % channels
        # Idle threads write nowhere, nor over what others have written.
        target = jnp.where(lane < lanes, column, sides.width * channels)
        centres = _centre(x, n, sides), _centre(y, n, sides)

        def of_row(row: Array) -> Arrays:
            row = jnp.minimum(row, sides.height - 1)
            s, d = [], []
            for view in range(len(along) + near - 1):
                a = x[n, row, column + view * channels] - centres[0]
                b = y[n, row, column + view * channels] - centres[1]
                s.append(a + b)
                d.append(a - b)
            fields = s, d, [v * v for v in s], [v * v for v in d]
            return tuple(v for field in fields for v in _along(field, along))

        def step(row: Array, owned: Array, means: Arrays, total: Array) -> Array:
            for k in range(near):
                seen = owned & (lane < lanes) & (pixel + k >= own)
                values, pull = jax.vjp(
                    functools.partial(_value, window_map, centres), *means[k::near]
                )
                total += jnp.where(seen, values, 0.0)
                if not wanted:
                    continue
                by_s, by_d, *by_squares = pull(jnp.ones_like(values))
                slopes = {
                    (0,): [by_s + by_d],
                    (1,): [by_s - by_d],
                    (0, 1): [by_s, by_d],
                }[wanted]
                for partial, part in zip(partials, slopes + by_squares, strict=True):
                    triton.store(
                        partial.at[n, row, target + k * channels], part, mask=seen
                    )
            return total

        total = _walk(
            of_row,
            step,
            down,
            first=chunk * plan.rows,
            plan=plan,
            height=sides.rows_out,
            total=jnp.zeros(_LANES, jnp.float32),
        )
        triton.store(sums.at[n, chunk, lane], total, mask=lane < lanes)

    sums = jax.ShapeDtypeStruct((len(images[0]), plan.grid[1], lanes), jnp.float32)
    partial = jax.ShapeDtypeStruct(
        (len(images[0]), sides.rows_out, sides.width_out * channels), jnp.float32
    )
    return call(
        kernel,
        out_shape=[sums] + [partial] * (0, 3, 4)[len(wanted)],
        grid=plan.grid,
        name="walk_of_windows",
    )(*images)


def _walk_of_pixels(
    call: Callable[..., Any],
    window_map: WindowMap,
    images: Sequence[Float[Array, "n h wc"]],
    partials: Sequence[Float[Array, "n h_out wc_out"]],
    wanted: tuple[int, ...],
    sides: _Sides,
    scale: float,
) -> Sequence[Float[Array, "n h wc"]]:
    """Gradients in images, of the derivatives by the means of all windows of a pixel.

    Those of means are filtered with the window, turned around.
    """
    channels = sides.channels
    down, along = (taps[::-1] for taps in window_map.taps)
    plan = _plan(len(images[0]), sides.height, sides.width, channels)
    near = plan.near

    def kernel(x: Any, y: Any, *refs: Any) -> None:
        partials, gradients = refs[: -len(wanted)], refs[-len(wanted) :]
        block, chunk, n = (pl.program_id(axis) for axis in range(3))
        lane = block * _LANES + jnp.arange(_LANES)
        pixel, channel = lane // channels * near, lane % channels
        centres = _centre(x, n, sides), _centre(y, n, sides)

        def of_row(row: Array) -> Arrays:
            row -= len(down) - 1
            inside = (row >= 0) & (row < sides.rows_out)
            row = jnp.clip(row, 0, sides.rows_out - 1)
            fields = [[] for _ in partials]
            for view in range(len(along) + near - 1):
                window = pixel + view - (len(along) - 1)
                seen = inside & (window >= 0) & (window < sides.width_out)
                at = n, row, window * channels + channel
                for field, partial in zip(fields, partials):
                    field.append(triton.load(partial.at[at], mask=seen, other=0.0))
            return tuple(v for field in fields for v in _along(field, along))

        def step(row: Array, owned: Array, sums: Arrays, nothing: Array) -> Array:
            for k in range(near):
                seen = owned & (pixel + k < sides.width)
                at = n, row, (pixel + k) * channels + channel
                a, b = (
                    triton.load(image.at[at], mask=seen, other=0.0) - centre
                    for image, centre in zip((x, y), centres)
                )
                *slopes, by_ss, by_dd = sums[k::near]
                if len(wanted) == 2:
                    slopes = [slopes[0] + slopes[1], slopes[0] - slopes[1]]
                of_s, of_d = 2 * (a + b) * by_ss, 2 * (a - b) * by_dd
                for gradient, slope, index in zip(gradients, slopes, wanted):
                    part = of_s + (of_d if index == 0 else -of_d)
                    triton.store(gradient.at[at], scale * (slope + part), mask=seen)
            return nothing

        _walk(
            of_row,
            step,
            down,
            first=chunk * plan.rows,
            plan=plan,
            height=sides.height,
            total=jnp.zeros((), jnp.float32),
        )

    gradient = jax.ShapeDtypeStruct(images[0].shape, jnp.float32)
    return call(
        kernel,
        out_shape=[gradient] * len(wanted),
        grid=plan.grid,
        name="walk_of_pixels",
    )(*images, *partials)


def _walk(
    of_row: Callable[[Array], Arrays],
    step: Callable[[Array, Array, Arrays, Array], Array],
    taps: Sequence[float],
    *,
    first: Array,
    plan: _Plan,
    height: int,
    total: Array,
) -> Array:
    """Goes down rows, and takes a step with weighted sums of the last ones.

    A step is told the row of its sums, and whether these are complete and this
    program's: the first are not, nor what lies below its rows or the image.
    """
    margin = len(taps) - 1
    end = jnp.minimum(first + plan.rows, height)

    def few_rows(index: Array, carry: tuple[list[Arrays], Array]):
        begun, total = carry
        for u in range(plan.unrolled):
            last = first + index * plan.unrolled + u
            sums, begun = _with_row(begun, of_row(last), taps)
            row = last - margin
            owned = (row >= first) & (row < end)
            total = step(jnp.clip(row, 0, height - 1), owned, sums, total)
        return begun, total

    of_first = jax.eval_shape(of_row, first)
    begun = [tuple(jnp.zeros(a.shape, a.dtype) for a in of_first)] * margin
    count = pl.cdiv(plan.rows + margin, plan.unrolled)
    return jax.lax.fori_loop(0, count, few_rows, (begun, total))[1]


def _with_row(
    begun: Sequence[Arrays], row: Arrays, taps: Sequence[float]
) -> tuple[Arrays, list[Arrays]]:
    """Sums that a row completes, and those that it continues or begins.

    A row goes into all sums that it is part of at once. Weighted sums of the last rows
    would have to move every row on from register to register; here the multiplication
    and addition that continue a sum move it, too.

    Args:
      begun: sums that lack 1, 2, ... rows.
      row: the next.
      taps: weights of the rows of a sum.

    Returns:
      Whole sums, and the new `begun`.
    """
    if len(set(taps)) == 1:
        weighted = tuple(taps[0] * value for value in row)
        parts = [weighted] * len(taps)
    else:
        parts = [tuple(tap * value for value in row) for tap in reversed(taps)]
    *continued, new = parts
    sums = [tuple(map(jnp.add, old, part)) for old, part in zip(begun, continued)]
    whole, *rest = [*sums, new]
    return whole, rest


def _along(views: Sequence[Array], taps: Sequence[float]) -> list[Array]:
    """Weighted sums of the views of each of several neighbours."""
    count = len(views) - len(taps) + 1
    return [_weighted(views[k : k + len(taps)], taps) for k in range(count)]


def _weighted(values: Sequence[Array], taps: Sequence[float]) -> Array:
    """A weighted sum in which equal weights share a product."""
    parts = []
    for weight in dict.fromkeys(taps):
        alike = [v for v, tap in zip(values, taps, strict=True) if tap == weight]
        parts.append(weight * functools.reduce(jnp.add, alike))
    return functools.reduce(jnp.add, parts)


def _centre(image: Any, n: Array, sides: _Sides) -> Float[Array, ""]:
    """A number near the pixels of an image, the same for all programs.

    Variances that are differences of squares lose fewer digits without it.
    """
    sample = jnp.arange(_SAMPLES)
    row = sample * sides.height // _SAMPLES
    # A factor without a common divisor scatters the columns, each of them once.
    column = sample * 53 % _SAMPLES * (sides.width * sides.channels) // _SAMPLES
    return image[n, row, column].sum() / _SAMPLES


def _value(
    window_map: WindowMap,
    centres: tuple[Array, Array],
    s: Array,
    d: Array,
    ss: Array,
    dd: Array,
) -> Array:
    """A map, of local means of s = x + y, d = x - y and their squares."""
    var_s, var_d = ss - s * s, dd - d * d
    difference = window_map.factor * var_d
    total = window_map.factor * (var_s + var_d) / 2
    moments = Moments(
        mean_x=(s + d) / 2 + centres[0],
        mean_y=(s - d) / 2 + centres[1],
        var_x=jnp.full_like(s, jnp.nan),
        var_y=jnp.full_like(s, jnp.nan),
        cov_xy=(total - difference) / 2,
        var_difference=difference,
        var_total=total,
    )
    return window_map.formula(moments)
