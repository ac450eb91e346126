"""The convolution of the models here, and its gradients, beside JAX's."""

import statistics
from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import Array, Float

from experiments.benchmarks.timing import Report, medians
from ssimjax.nn.convolution import convolve

# (batch, side, channels in, filters, kernel): first layers, inner ones and last ones.
_SHAPES = (
    (32, 32, 3, 32, 5),
    (100, 28, 1, 32, 5),
    (32, 16, 32, 32, 5),
    (128, 16, 64, 64, 3),
    (32, 64, 16, 3, 5),
    (16, 96, 32, 1, 5),
)


def plain(
    x: Float[Array, "b h w c_in"], filters: Float[Array, "kh kw c_in c_out"]
) -> Float[Array, "b h w c_out"]:
    """JAX's convolution."""
    return jax.lax.conv_general_dilated(
        x,
        filters,
        (1, 1),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision=jax.lax.Precision.HIGHEST,
    )


def ours(
    x: Float[Array, "b h w c_in"], filters: Float[Array, "kh kw c_in c_out"]
) -> Float[Array, "b h w c_out"]:
    """That of the models here."""
    return convolve(x, filters, (1, 1), "SAME", precision=jax.lax.Precision.HIGHEST)


def inputs(
    batch: int, side: int, c_in: int, c_out: int, kernel: int
) -> tuple[Array, Array, Array]:
    """Maps, filters and a cotangent of the result."""
    keys = jax.random.split(jax.random.key(0), 3)
    return (
        jax.random.uniform(keys[0], (batch, side, side, c_in)),
        jax.random.normal(keys[1], (kernel, kernel, c_in, c_out)),
        jax.random.normal(keys[2], (batch, side, side, c_out)),
    )


def measure(*, repeats: int) -> Report:
    """The value, the gradient in the maps, and that in the filters.

    Args:
      repeats: timings of each rival.

    Returns:
      A row per shape: milliseconds, and how many times as long JAX's takes.
    """

    def parts(convolve: Callable[[Array, Array], Array]) -> dict[str, Any]:
        def in_maps(x, filters, cotangent):
            return jax.vjp(lambda x: convolve(x, filters), x)[1](cotangent)

        def in_filters(x, filters, cotangent):
            return jax.vjp(lambda f: convolve(x, f), filters)[1](cotangent)

        return {
            "value": lambda x, filters, _: convolve(x, filters),
            "in maps": in_maps,
            "in filters": in_filters,
        }

    by_name = {"jax": parts(plain), "ours": parts(ours)}
    rows = []
    for batch, side, c_in, c_out, kernel in _SHAPES:
        arrays = inputs(batch, side, c_in, c_out, kernel)
        milliseconds = {}
        for part in by_name["jax"]:
            rivals = {name: functions[part] for name, functions in by_name.items()}
            seconds = medians(rivals, arrays, repeats=repeats)
            milliseconds[part] = {n: 1e3 * value for n, value in seconds.items()}
        shape = f"{batch}x{side}x{side}, {c_in}->{c_out}, {kernel}x{kernel}"
        rows.append({"shape": shape, "milliseconds": milliseconds})

    def cell(milliseconds: dict[str, float]) -> str:
        theirs, own = milliseconds["jax"], milliseconds["ours"]
        return f"{theirs:.2f} / {own:.2f} = {theirs / own:.1f}"

    lines = [
        {"convolution": row["shape"]}
        | {f"{part} (ms)": cell(m) for part, m in row["milliseconds"].items()}
        for row in rows
    ]
    ratios = [
        m["jax"] / m["ours"] for row in rows for m in row["milliseconds"].values()
    ]
    notes = [
        "In a cell: JAX's / ours = how many times as fast; "
        f"{statistics.geometric_mean(ratios):.2f} in the geometric mean, "
        f"{min(ratios):.2f} at worst."
    ]
    chart = {
        f"{part}, {row['shape']}": {"JAX's": m["jax"], "ours": m["ours"]}
        for row in rows
        for part, m in row["milliseconds"].items()
    }
    return Report("convolutions and their gradients", rows, lines, notes, chart)
