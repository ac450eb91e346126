"""SSIM from the smallest to the largest images, and from few to many."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.timing import Report, medians
from ssimjax.ops import ssim

_SIDES = (64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096)
_BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


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
        found = [_cost(name, shape, repeats) for shape in shapes]
        for task in ("value", "gradient"):
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
            task: 1e9 * row[f"{task}_seconds"] / row["pixels"]
            for task in ("value", "gradient")
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


def _cost(name: str, shape: tuple[int, ...], repeats: int) -> dict[str, Any]:
    def mean(x, y):
        return ssim(x, y, data_range=1.0).mean()

    inputs = list(jax.random.uniform(jax.random.key(0), (2, *shape), jnp.float32))
    seconds = medians(
        {"value": mean, "gradient": jax.value_and_grad(mean)}, inputs, repeats=repeats
    )
    return {
        "series": name,
        "shape": "x".join(map(str, shape)),
        "pixels": int(np.prod(shape)),
        **{f"{task}_seconds": value for task, value in seconds.items()},
    }


def _trend(sizes: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Offset and slope, by least squares of the relative errors."""
    design = np.stack([1 / seconds, sizes / seconds], 1)
    offset, slope = np.linalg.lstsq(design, np.ones(len(sizes)), rcond=None)[0]
    return offset + slope * sizes
