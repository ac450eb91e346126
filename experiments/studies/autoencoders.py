"""What the pages of all autoencoders show."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from experiments.studies.settings import Settings
from ssimjax import figures
from ssimjax.tables import with_deviation
from ssimjax.tasks import Run, reconstructions

SHOWN = 8
# Digits after the decimal point, in the order of the columns.
_SCORES = {"ssim": 3, "mse": 4, "ms_ssim": 3, "lw_ssim": 3, "mae": 4, "psnr": 2}


def score_cells(row: Mapping[str, Any]) -> dict[str, str]:
    """The cells of one network in a table.

    Args:
      row: of `reconstruction_scores`.

    Returns:
      Scores by name; `colour` is the saturation, and both it and `chroma` are left out
      for gray images.
    """
    cells = {name: with_deviation(row, name, digits=d) for name, d in _SCORES.items()}
    if row["chroma"] == 0:
        return cells
    return cells | {
        "colour": with_deviation(row, "saturation", digits=4),
        "chroma error": with_deviation(row, "chroma", digits=4),
    }


def compared(name: str, runs: Mapping[str, Run], settings: Settings) -> list[str]:
    """Draws held-out images, what each network makes of them, and the curves.

    Args:
      name: what the files' names begin with.
      runs: of the first seed of each, by loss, of one data set.
      settings: where the pictures go.

    Returns:
      Markdown that shows the pictures.
    """
    run = next(iter(runs.values()))
    originals = run.dataset.test.spread(SHOWN).images
    rows = {"original": originals / 255.0 if originals.dtype == np.uint8 else originals}
    rows |= {loss: reconstructions(run, originals) for loss, run in runs.items()}
    whole, detail = f"{name}.png", f"{name}-detail.png"
    figures.comparison(rows, settings.pictures / whole)
    side = max(8, originals.shape[1] // 3)
    figures.comparison(rows, settings.pictures / detail, detail=side)
    curves = f"{name}-curves.png"
    figures.score_curves(
        {loss: run.history for loss, run in runs.items()},
        settings.pictures / curves,
        scores={"ssim": "SSIM, test", "mse": "MSE, test"},
    )
    return [settings.picture(file) for file in (whole, detail, curves)]


def about(run: Run) -> str:
    """What was trained, on what, and for how long.

    Args:
      run: one of the networks of a table.

    Returns:
      Sentences.
    """
    config = run.config
    widths: Sequence[int] = config.model.widths
    return (
        f"{run.dataset.description}: {len(run.dataset.train):,} training and "
        f"{len(run.dataset.test):,} test images of "
        f"{'x'.join(map(str, run.dataset.test.images.shape[1:]))}. Encoder "
        f"{'-'.join(map(str, widths))}, code of {config.model.code}; "
        f"{config.training.epochs:g} epochs, batches of {config.training.batch_size}, "
        f"Adam at {config.optimizer.rate:g}, {config.optimizer.schedule}. "
        f"{jax.default_backend().upper()}, jax {jax.__version__}."
    )
