"""Snell et al. 2017, MS-SSIM as loss: autoencoders, their codes, super-resolution."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from etils import epath

from configs.snell2017 import stl10, super_resolution, yale_b
from experiments.studies.autoencoders import SHOWN, about, compared, score_cells
from experiments.studies.settings import Settings, difference
from ssimjax import figures
from ssimjax.data import TFDS
from ssimjax.tables import markdown_table, with_deviation
from ssimjax.tasks import (
    Run,
    codes,
    draw_enlarged,
    folder_scores,
    mean_scores,
    probe,
    reconstruction_scores,
)

__all__ = ["PUBLISHED", "TABLES", "Settings"]

# Class error in per cent, mean squared errors in squared degrees.
PUBLISHED = {
    "yale_b": {
        "mse": (5.60, 277.46, 51.46),
        "mae": (5.60, 325.19, 50.23),
        "ms_ssim": (3.53, 234.32, 35.60),
    },
    # PSNR in dB and SSIM at x4; BSDS200 are the same photographs as BSD200, as JPEG.
    "super_resolution": {
        "Set5": {
            "bicubic": (28.44, 0.8097),
            "mse": (30.52, 0.8621),
            "mae": (29.57, 0.8350),
            "ms_ssim": (30.35, 0.8681),
        },
        "Set14": {
            "bicubic": (26.01, 0.7018),
            "mse": (27.53, 0.7512),
            "mae": (26.82, 0.7310),
            "ms_ssim": (27.47, 0.7610),
        },
        "BSDS200": {
            "bicubic": (25.92, 0.6952),
            "mse": (26.87, 0.7378),
            "mae": (26.47, 0.7220),
            "ms_ssim": (26.84, 0.7484),
        },
    },
}
_PUBLISHED_LOSSES = ("mse", "mae", "ms_ssim")
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
            f"Means over held-out images, {settings.spread}.",
            about(runs["mse"]),
            *compared("stl10", runs, settings),
        ]
    )


def _tested(run: Run, seed: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Codes and labels that a probe is tested on, if not on a part of its own."""
    if run.config.data.source != "photographs":
        return None
    # Training patches of photographs overlap.
    test = run.dataset.test
    return codes(run, test.images, seed=seed), test.labels


def _yale_b(settings: Settings) -> str:
    runs = _runs("yale_b", yale_b.get_config, settings, losses=_PUBLISHED_LOSSES)
    data = runs["mse"].config.data
    targets = {}
    judged = "Means over 5 splits of 80 to 20"
    seen = "all images, which are those that they are measured on, and no label"
    if data.source == "photographs":
        judged = (
            "Measured on the test images, with 5 parts of 80 % of the training images"
        )
        seen = "the training images, and no label"
    if data.source == "tfds":
        source = TFDS(
            data.name, data.train_split, data_dir=data.data_dir, label=data.label
        )
        targets = {name: source.numbers(name) for name in _ANGLES}
    lines, means = [], {}
    for loss, run in runs.items():
        train = run.dataset.train
        # Every seed of the network is probed on splits of its own.
        every = [
            probe(
                codes(run, train.images, seed=seed),
                train.labels,
                targets=targets,
                tested=_tested(run, seed),
                seed=seed,
            )
            for seed in range(settings.seeds)
        ]
        row = {
            "class error (%)": 100 * _all(every, "error"),
            **{f"{target} MSE": _all(every, f"{target} mse") for target in targets},
        }
        # Of each seed; its splits are not independent of one another.
        means[loss] = {name: values.mean(1).tolist() for name, values in row.items()}
        published = PUBLISHED["yale_b"][loss]
        cells = {"loss": loss, "published": ", ".join(map(str, published))}
        cells |= {name: _spread(values) for name, values in row.items()}
        lines.append(cells | score_cells(reconstruction_scores(run)))
    return "\n\n".join(
        [
            "## Table 1: what the codes know",
            "Support vector machines with Gaussian kernels on the codes; published: "
            "class error in per cent, azimuth and elevation MSE in squared degrees. "
            f"{judged} for each of "
            f"{settings.seeds} seeds, ± the standard deviation over splits and seeds. "
            "C and scaling are chosen inside the training parts. Autoencoders see "
            f"{seen}.",
            markdown_table(lines),
            "\n".join(f"- {sentence}" for sentence in _probe_differences(means)),
            about(runs["mse"]),
            *compared("yale_b", runs, settings),
        ]
    )


def _probe_differences(means: Mapping[str, Mapping[str, Sequence[float]]]) -> list[str]:
    """MS-SSIM against the others, by the mean error of each seed."""
    sentences = []
    for names in (("ms_ssim", "mse"), ("ms_ssim", "mae")):
        for error in means["mse"]:
            first, second = (means[loss][error] for loss in names)
            if len(first) > 1:
                unit = f"in {error}"
                sentences.append(difference(names, first, second, unit=unit, digits=2))
    return sentences


def _super_resolution(settings: Settings) -> str:
    runs = _runs(
        "super_resolution",
        super_resolution.get_config,
        settings,
        losses=_PUBLISHED_LOSSES,
    )
    run = runs["mse"]
    lines, sentences = [], []
    for images, rows in _upscaling_scores(runs).items():
        published = PUBLISHED["super_resolution"].get(images, {})
        for method, row in rows.items():
            known = published.get(method)
            lines.append(
                {
                    "images": images,
                    "method": method,
                    "published": f"{known[0]:.2f}, {known[1]:.4f}" if known else "-",
                    "PSNR (dB)": with_deviation(row, "psnr", digits=2),
                    "SSIM": with_deviation(row, "ssim", digits=4),
                }
            )
        for score, digits in (("psnr", 2), ("ssim", 4)):
            if f"{score}_each" in rows["ms_ssim"]:
                names = ("ms_ssim", "mse")
                each = [rows[name][f"{score}_each"] for name in names]
                unit = f"{'dB' if score == 'psnr' else 'in SSIM'} on {images}"
                sentences.append(difference(names, *each, unit=unit, digits=digits))
    config = run.config
    # Where the folders lie is of no interest to readers of the page.
    description = run.dataset.description.replace(f"{config.data.data_dir}/", "")
    return "\n\n".join(
        [
            f"## Table 2: super-resolution at x{config.resolution.factor}",
            "Luma, Y of BT.601, against bicubic enlargement with antialiasing; "
            "published: PSNR in dB and SSIM.",
            markdown_table(lines),
            f"Means over images, {settings.spread}.",
            "\n".join(f"- {sentence}" for sentence in sentences),
            f"{description}: {len(run.dataset.train):,} squares of "
            f"{run.dataset.train.images.shape[1]} pixels, of which the loss sees "
            f"{config.resolution.patch}; {run.history[-1]['step']:,} steps of "
            f"{config.training.batch_size}, Adam at {config.optimizer.rate:g}. "
            f"{jax.default_backend().upper()}, jax {jax.__version__}.",
            *_upscaling_pictures(runs, settings),
        ]
    )


TABLES: dict[str, Callable[[Settings], str]] = {
    "stl10": _stl10,
    "yale_b": _yale_b,
    "super_resolution": _super_resolution,
}


def _upscaling_scores(
    runs: Mapping[str, Run],
) -> dict[str, dict[str, Mapping[str, Any]]]:
    """PSNR and SSIM by images and method."""
    data = next(iter(runs.values())).config.data
    if data.source != "patches":
        # No folders of whole images: squares of held-out ones.
        last = {loss: run.summary["test"] for loss, run in runs.items()}
        given = next(iter(last.values()))
        rows: dict[str, Mapping[str, Any]] = {
            "bicubic": {score: given[f"bicubic_{score}"] for score in ("psnr", "ssim")}
        }
        rows |= last
        return {"held-out squares": rows}
    factor = next(iter(runs.values())).task.factor
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for images in PUBLISHED["super_resolution"]:
        folder = epath.Path(data.data_dir) / images
        if folder.exists():
            means = mean_scores(folder_scores(folder, factor=factor, runs=runs))
            found[images] = {row["method"]: row for row in means}
    return found


def _upscaling_pictures(runs: Mapping[str, Run], settings: Settings) -> Sequence[str]:
    shown, curves = "super_resolution.png", "super_resolution-curves.png"
    draw_enlarged(runs, settings.pictures / shown, count=SHOWN)
    figures.score_curves(
        {loss: run.history for loss, run in runs.items()},
        settings.pictures / curves,
        scores={"psnr": "PSNR (dB), test", "ssim": "SSIM, test"},
    )
    return settings.picture(shown), settings.picture(curves)


def _runs(
    name: str,
    get_config: Callable[[str], Any],
    settings: Settings,
    *,
    losses: Sequence[str] = stl10.LOSSES,
) -> dict[str, Run]:
    return {loss: settings.train(f"{name}-{loss}", get_config(loss)) for loss in losses}


def _all(rows: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    """Errors of every seed and split, `[seeds, splits]`."""
    return np.array([row[f"{name}_each"] for row in rows])


def _spread(values: np.ndarray) -> str:
    row = {"value": values.mean(), "value_sd": values.std(ddof=1)}
    return with_deviation(row, "value", digits=2)
