"""Every loss with its gradient in the prediction, beside one SSIM."""

import functools
import statistics
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from experiments.benchmarks.peers import SHAPES
from experiments.benchmarks.timing import Report, medians
from ssimjax import losses
from ssimjax.ops import LW_SSIM_WINDOWS

_LARGEST = LW_SSIM_WINDOWS[-1]
_NAMES = ("mse", "mae", "bce", "ssim", "ms_ssim", "ms_ssim_per_pixel", "ssim_distance")
_YARDSTICK, _LEVELS = "ssim of 11x11", "lw_ssim of 3x3 ... 11x11"


def measure(*, repeats: int) -> Report:
    """Milliseconds of each loss, and their ratios to SSIM under a uniform window.

    Args:
      repeats: timings of each loss.

    Returns:
      A row per shape.
    """
    rows, lines = [], []
    for shape in SHAPES:
        scales = (1.0,) * (5 if min(shape[1:3]) >= 176 else 3)
        options: dict[str, dict[str, Any]] = {"ms_ssim": {"weights": scales}}
        chosen = {
            name: losses.by_name(name, data_range=1.0, **options.get(name, {}))
            for name in _NAMES
        }
        chosen[_YARDSTICK] = functools.partial(
            losses.ssim, data_range=1.0, window=_LARGEST
        )
        chosen[_LEVELS] = losses.by_name("lw_ssim", data_range=1.0)

        def with_gradient(loss: Callable[..., Any]) -> Callable[..., Any]:
            return jax.value_and_grad(lambda x, y: loss(x, y).mean())

        inputs = jax.random.uniform(jax.random.key(0), (2, *shape), jnp.float32)
        seconds = medians(
            {name: with_gradient(loss) for name, loss in chosen.items()},
            list(inputs),
            repeats=repeats,
        )
        images = "x".join(map(str, shape))
        rows.append({"shape": images, "seconds": seconds})
        lines.append(
            {"images": images, **{n: f"{1e3 * s:.1f}" for n, s in seconds.items()}}
        )
    ratios = [row["seconds"][_LEVELS] / row["seconds"][_YARDSTICK] for row in rows]
    notes = [
        "lw_ssim of four levels costs "
        + ", ".join(f"{ratio:.2f}" for ratio in ratios)
        + " times one SSIM of the largest window, "
        f"{statistics.geometric_mean(ratios):.2f} in the geometric mean."
    ]
    return Report(
        f"losses, value and gradient in milliseconds (medians of {repeats})",
        rows,
        lines,
        notes,
        {row["shape"]: {n: 1e3 * s for n, s in row["seconds"].items()} for row in rows},
    )
