"""The Gram matrix of SSIM, beside pairs of another library under vmap."""

import functools
import importlib
import importlib.util
from typing import Any

import jax

from experiments.benchmarks.timing import Report, medians
from ssimjax.ops import gaussian_window, ssim_kernel

_COUNT, _SIDE = 500, 64
# The other would take hours for all pairs; so many of its rows are measured.
_ROWS, _COLUMNS = 2, 50


def measure(*, repeats: int) -> Report:
    """Seconds of value and gradient for all pairs of 500 images.

    Args:
      repeats: timings of each; three at most, for each takes many seconds.

    Returns:
      One row.
    """
    images = jax.random.uniform(jax.random.key(0), (_COUNT, _SIDE, _SIDE, 3))
    repeats = min(repeats, 3)

    def ours(x):
        return ssim_kernel(
            x,
            x,
            data_range=1.0,
            form="product",
            window=gaussian_window(11),
            sample_covariance=False,
        ).mean()

    seconds = medians({"ssimjax": jax.value_and_grad(ours)}, [images], repeats=repeats)[
        "ssimjax"
    ]
    memory = jax.jit(jax.value_and_grad(ours)).lower(images).compile().memory_analysis()
    row: dict[str, Any] = {
        "images": f"{_COUNT}x{_SIDE}x{_SIDE}x3",
        "seconds": seconds,
        "temporary_bytes": memory.temp_size_in_bytes if memory else None,
    }
    line = {
        "images": row["images"],
        "ssimjax (s)": f"{seconds:.1f}",
        "memory (MB)": f"{(row['temporary_bytes'] or 0) / 1e6:.0f}",
    }
    if importlib.util.find_spec("dm_pix") is not None:
        dm_pix: Any = importlib.import_module("dm_pix")
        pair = functools.partial(dm_pix.ssim, max_val=1.0)

        def theirs(x, y):
            return jax.vmap(lambda a: jax.vmap(lambda b: pair(a, b))(y))(x).mean()

        some = medians(
            {"dm-pix": jax.value_and_grad(theirs, (0, 1))},
            [images[:_ROWS], images[:_COLUMNS]],
            repeats=repeats,
        )["dm-pix"]
        row["dm_pix_seconds"] = some * _COUNT**2 / (_ROWS * _COLUMNS)
        row["ratio"] = row["dm_pix_seconds"] / seconds
        line["dm-pix, a double loop under vmap (s)"] = f"{row['dm_pix_seconds']:.0f}"
        line["times as fast"] = f"{row['ratio']:.0f}"
    title = "Gram matrix of SSIM, value and gradient"
    notes = [f"dm-pix: measured on {_ROWS} x {_COLUMNS} pairs, scaled to all."]
    chart = {row["images"]: {"ssimjax": seconds}}
    if "ratio" in row:
        chart[row["images"]]["dm-pix"] = row["dm_pix_seconds"]
    return Report(title, [row], [line], notes, chart, "seconds")
