"""What each loss adds to a training step of an autoencoder."""

from typing import Any

import jax
import numpy as np

from configs.lu2019 import table1
from experiments.benchmarks.steps import step_taker
from experiments.benchmarks.timing import Report, turns
from ssimjax.data import Arrays, Dataset
from ssimjax.tasks import reconstruction

_LOSSES = ("mse", "mae", "ssim", "lw_ssim", "ms_ssim_per_pixel")
_BATCH = 32


def measure(*, repeats: int) -> Report:
    """Milliseconds of a step on each loss, and its share beyond a step on the MSE.

    Args:
      repeats: steps that the medians are of.

    Returns:
      A row per width of the autoencoder: the published one where there is an
      accelerator, and one of an eighth of its filters.
    """
    rng = np.random.default_rng(0)
    arrays = Arrays(
        rng.integers(0, 256, (_BATCH, 64, 64, 3), np.uint8), np.zeros(_BATCH, int)
    )
    dataset = Dataset(arrays, arrays, ("image",), "noise")
    rows, lines = [], []
    for divisor in (8, 1) if jax.default_backend() != "cpu" else (8,):
        steps = {
            loss: step_taker(_task(loss, divisor, dataset), arrays) for loss in _LOSSES
        }
        seconds = turns(steps, repeats=repeats)
        shares = {n: 1 - seconds["mse"] / s for n, s in seconds.items() if n != "mse"}
        widths = "-".join(str(width // divisor) for width in (128, 256, 512, 1024))
        rows.append({"encoder": widths, "seconds": seconds, "shares": shares})
        cells = {
            name: f"{1e3 * value:.1f}"
            + (f" ({100 * shares[name]:.0f} %)" if name in shares else "")
            for name, value in seconds.items()
        }
        lines.append({"encoder": widths, **cells})
    return Report(
        f"training steps of autoencoders, {_BATCH} images of 64x64x3, in milliseconds "
        f"(medians of {repeats})",
        rows,
        lines,
        ["In parentheses: the share of the step beyond one on the MSE."],
        {r["encoder"]: {n: 1e3 * s for n, s in r["seconds"].items()} for r in rows},
    )


def _task(loss: str, divisor: int, dataset: Dataset) -> Any:
    config = table1.get_config("ae-mse")
    config.loss.name = loss
    config.model.widths = tuple(width // divisor for width in config.model.widths)
    return reconstruction.from_config(config, dataset)
