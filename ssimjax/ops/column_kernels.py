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

from ssimjax.ops import column_walks
from ssimjax.ops.column_walks import LANES, AddProduct, triton
from ssimjax.ops.map_means import Arrays, MeansAndGradients, WindowMap
from ssimjax.ops.moments import Moments
from ssimjax.ops.pooling import over_count

# Pixels whose mean stands for that of an image.
_SAMPLES = 128


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
        compiler_params=triton.CompilerParams(num_warps=LANES // 32),
        interpret=interpret,
    )
    add_product = (
        column_walks.add_product if interpret else column_walks.add_product_on_cuda
    )
    sums, *partials = _walk_of_windows(
        call, add_product, window_map, pair, wanted, sides
    )
    gradients = []
    if wanted:
        scale = weight / windows
        gradients = _walk_of_pixels(
            call, add_product, window_map, pair, partials, wanted, sides, scale
        )
    sums = sums.reshape(len(pair[0]), -1, channels).sum(1)
    sums = weight * over_count(sums, windows)
    return (
        sums.reshape(*batch, channels),
        tuple(gradient.reshape(images[0].shape) for gradient in gradients),
    )


def _walk_of_windows(
    call: Callable[..., Any],
    add_product: AddProduct,
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
    plan = column_walks.plan(
        len(images[0]),
        sides.rows_out,
        sides.width_out,
        channels,
        margin=len(down) - 1,
        many_registers=len(wanted) > 0,
    )
    near, lanes = plan.near, plan.lanes

    def kernel(x: Any, y: Any, sums: Any, *partials: Any) -> None:
        block, chunk, n = (pl.program_id(axis) for axis in range(3))
        lane = block * LANES + jnp.arange(LANES)
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
            return tuple(
                v
                for field in fields
                for v in column_walks.along(field, along, add_product)
            )

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

        total = column_walks.walk(
            of_row,
            step,
            down,
            add_product,
            first=chunk * plan.rows,
            plan=plan,
            height=sides.rows_out,
            total=jnp.zeros(LANES, jnp.float32),
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
    add_product: AddProduct,
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
    plan = column_walks.plan(
        len(images[0]),
        sides.height,
        sides.width,
        channels,
        margin=len(down) - 1,
        many_registers=len(wanted) > 1,
    )
    near = plan.near

    def kernel(x: Any, y: Any, *refs: Any) -> None:
        partials, gradients = refs[: -len(wanted)], refs[-len(wanted) :]
        block, chunk, n = (pl.program_id(axis) for axis in range(3))
        lane = block * LANES + jnp.arange(LANES)
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
            return tuple(
                v
                for field in fields
                for v in column_walks.along(field, along, add_product)
            )

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

        column_walks.walk(
            of_row,
            step,
            down,
            add_product,
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
