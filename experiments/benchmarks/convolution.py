"""The convolution of the models here, and its gradients, beside JAX's."""

import functools
import statistics
from typing import Any

import jax

from experiments.benchmarks.timing import Report, medians
from ssimjax.ops.convolution import correlate

# (batch, side, channels in, filters, kernel): first layers, inner ones and last ones.
_SHAPES = (
    (32, 32, 3, 32, 5),
    (100, 28, 1, 32, 5),
    (32, 16, 32, 32, 5),
    (128, 16, 64, 64, 3),
    (32, 64, 16, 3, 5),
    (16, 96, 32, 1, 5),
)


def measure(*, repeats: int) -> Report:
    """The value, the gradient in the maps, and that in the filters.

    Args:
      repeats: timings of each rival.

    Returns:
      A row per shape: milliseconds, and how many times as long JAX's takes.
    """
    highest = jax.lax.Precision.HIGHEST

    def jaxs(x, filters, margins):
        return jax.lax.conv_general_dilated(
            x,
            filters,
            (1, 1),
            margins,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            precision=highest,
        )

    def ours(x, filters, margins):
        return correlate(x, filters, padding=margins, precision=highest)

    def parts(convolve) -> dict[str, Any]:
        def in_maps(x, filters, cotangent):
            return jax.vjp(lambda x: convolve(x, filters), x)[1](cotangent)

        def in_filters(x, filters, cotangent):
            return jax.vjp(lambda f: convolve(x, f), filters)[1](cotangent)

        return {
            "value": lambda x, filters, _: convolve(x, filters),
            "in maps": in_maps,
            "in filters": in_filters,
        }

    rows = []
    for batch, side, c_in, c_out, kernel in _SHAPES:
        keys = jax.random.split(jax.random.key(0), 3)
        inputs = (
            jax.random.uniform(keys[0], (batch, side, side, c_in)),
            jax.random.normal(keys[1], (kernel, kernel, c_in, c_out)),
            jax.random.normal(keys[2], (batch, side, side, c_out)),
        )
        margins = ((kernel // 2, kernel // 2),) * 2
        by_name = {
            name: parts(functools.partial(f, margins=margins))
            for name, f in (("jax", jaxs), ("ours", ours))
        }
        milliseconds = {}
        for part in by_name["jax"]:
            rivals = {name: functions[part] for name, functions in by_name.items()}
            seconds = medians(rivals, inputs, repeats=repeats)
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
