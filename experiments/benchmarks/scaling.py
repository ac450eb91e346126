"""SSIM from the smallest to the largest images, and from few to many."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.timing import Report, calls_in_a_row, repeated, turns
from ssimjax.ops import ssim

_SIDES = (64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096)
_BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_TASKS = ("value", "gradient")
# One timing, of so many calls as that takes.
_SECONDS = 0.005


def measure(*, repeats: int) -> Report:
    """Nanoseconds per pixel, and how far each size is from the trend of all.

    Args:
      repeats: timings of each size.

    Returns:
      A row per size.
    """
    series = {
        "one grey image": [(1, side, side, 1) for side in _SIDES],
        "64x64x3, more of them": [(batch, 64, 64, 3) for batch in _BATCHES],
    }
    rows, notes = [], []
    for name, shapes in series.items():
        found = _costs(name, shapes, repeats)
        for task in _TASKS:
            sizes = np.array([row["pixels"] for row in found], float)
            seconds = np.array([row[f"{task}_seconds"] for row in found])
            off = seconds / _trend(sizes, seconds)
            for row, ratio in zip(found, off):
                row[f"{task}_over_trend"] = float(ratio)
            notes.append(f"{name}, {task}: at most {off.max():.2f} times the trend.")
        rows.extend(found)
    lines = [
        {
            "images": row["shape"],
            "value (ms)": f"{1e3 * row['value_seconds']:.2f}",
            "ns per pixel": f"{1e9 * row['value_seconds'] / row['pixels']:.1f}",
            "of the trend": f"{row['value_over_trend']:.2f}",
            "with gradient (ms)": f"{1e3 * row['gradient_seconds']:.2f}",
            "ns per pixel ": f"{1e9 * row['gradient_seconds'] / row['pixels']:.1f}",
            "of the trend ": f"{row['gradient_over_trend']:.2f}",
        }
        for row in rows
    ]
    notes.append("The trend is a + b · pixels, fitted to the relative errors.")
    chart = {
        row["shape"]: {
            task: 1e9 * row[f"{task}_seconds"] / row["pixels"] for task in _TASKS
        }
        for row in rows
    }
    return Report(
        f"ssim at all sizes (medians of {repeats})",
        rows,
        lines,
        notes,
        chart,
        "ns/pixel",
    )


def _costs(
    series: str, shapes: list[tuple[int, ...]], repeats: int
) -> list[dict[str, Any]]:
    """All sizes by turns.

    A trend of some in a busy second and others in a calm one would show cliffs where
    none are.
    """

    def mean(x, y):
        return ssim(x, y, data_range=1.0).mean()

    rivals = {}
    for shape in shapes:
        pair = jax.random.uniform(jax.random.key(0), (2, *shape), jnp.float32)
        for task, function in zip(_TASKS, (mean, jax.value_and_grad(mean))):
            rivals[_key(shape, task)] = functools.partial(jax.jit(function), *pair)
    calls = {key: _calls(rival) for key, rival in rivals.items()}

    def run(key: str) -> None:
        for _ in range(calls[key]):
            jax.block_until_ready(repeated(rivals[key], calls_in_a_row()))

    runs = {key: functools.partial(run, key) for key in rivals}
    seconds = {
        key: value / (calls[key] * calls_in_a_row())
        for key, value in turns(runs, repeats=repeats, warm=True).items()
    }
    return [
        {
            "series": series,
            "shape": _name(shape),
            "pixels": int(np.prod(shape)),
            **{f"{task}_seconds": seconds[_key(shape, task)] for task in _TASKS},
        }
        for shape in shapes
    ]


def _name(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _key(shape: tuple[int, ...], task: str) -> str:
    return f"{_name(shape)} {task}"


def _calls(rival: Callable[[], Any]) -> int:
    """How many calls one timing is of: small images would find the caches of others."""
    once = {"": lambda: jax.block_until_ready(rival())}
    return max(1, round(_SECONDS / turns(once, repeats=5)[""]))


def _trend(sizes: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Offset and slope, by least squares of the relative errors."""
    design = np.stack([1 / seconds, sizes / seconds], 1)
    offset, slope = np.linalg.lstsq(design, np.ones(len(sizes)), rcond=None)[0]
    return offset + slope * sizes
