"""Snell et al. 2017, learning with MS-SSIM: autoencoders, and probes of their codes."""

from collections.abc import Callable
from typing import Any

import numpy as np

from configs.snell2017 import stl10, yale_b
from experiments.studies.autoencoders import about, compared, score_cells
from experiments.studies.settings import Settings
from ssimjax.data import TFDS
from ssimjax.tables import markdown_table, with_deviation
from ssimjax.tasks import Run, codes, probe, reconstruction_scores

__all__ = ["PUBLISHED", "TABLES", "Settings"]

# Class error in per cent, mean squared errors in squared degrees.
PUBLISHED = {
    "yale_b": {
        "mse": (5.60, 277.46, 51.46),
        "mae": (5.60, 325.19, 50.23),
        "ms_ssim": (3.53, 234.32, 35.60),
    }
}
_ANGLES = ("azimuth", "elevation")


def _stl10(settings: Settings) -> str:
    runs = _runs("stl10", stl10.get_config, settings)
    lines = [
        {"loss": loss} | score_cells(reconstruction_scores(run))
        for loss, run in runs.items()
    ]
    return "\n\n".join(
        [
            "## Fig. 1 and 2: autoencoders on each loss",
            "People ranked the reconstructions of the MS-SSIM network first in 709 of "
            "1000 trials. Here, by measures:",
            markdown_table(lines),
            "Means over held-out images, ± the standard deviation over "
            f"{settings.seeds} seeds.",
            about(runs["mse"]),
            *compared("stl10", runs, settings),
        ]
    )


def _yale_b(settings: Settings) -> str:
    runs = _runs("yale_b", yale_b.get_config, settings)
    data = runs["mse"].config.data
    targets = {}
    if data.source == "tfds":
        source = TFDS(
            data.name, data.train_split, data_dir=data.data_dir, label=data.label
        )
        targets = {name: source.numbers(name) for name in _ANGLES}
    lines = []
    for loss, run in runs.items():
        train = run.dataset.train
        # Every seed of the network is probed on splits of its own.
        every = [
            probe(
                codes(run, train.images, seed=seed),
                train.labels,
                targets=targets,
                seed=seed,
            )
            for seed in range(settings.seeds)
        ]
        row = {
            name: np.concatenate([each[f"{name}_each"] for each in every])
            for name in ("error", *(f"{target} mse" for target in targets))
        }
        published = PUBLISHED["yale_b"].get(loss, ("-",) * 3)
        cells: dict[str, Any] = {
            "loss": loss,
            "published": ", ".join(map(str, published)),
            "class error (%)": _spread(100 * row["error"]),
        }
        for target in targets:
            cells[f"{target} MSE"] = _spread(row[f"{target} mse"])
        lines.append(cells | score_cells(reconstruction_scores(run)))
    return "\n\n".join(
        [
            "## Table 1: what the codes know",
            "Support vector machines with Gaussian kernels on the codes; published: "
            "class error in per cent, azimuth and elevation MSE in squared degrees. "
            "Means over 5 splits of 80 to 20 for each of "
            f"{settings.seeds} seeds, ± the standard deviation over splits and seeds. "
            "C and scaling are chosen inside the training parts. Autoencoders see all "
            "images, and no label.",
            markdown_table(lines),
            about(runs["mse"]),
            *compared("yale_b", runs, settings),
        ]
    )


TABLES: dict[str, Callable[[Settings], str]] = {"stl10": _stl10, "yale_b": _yale_b}


def _runs(
    name: str, get_config: Callable[[str], Any], settings: Settings
) -> dict[str, Run]:
    return {
        loss: settings.train(f"{name}-{loss}", get_config(loss))
        for loss in stl10.LOSSES
    }


def _spread(values: np.ndarray) -> str:
    row = {"value": values.mean(), "value_sd": values.std(ddof=1)}
    return with_deviation(row, "value", digits=2)
