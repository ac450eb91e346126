"""Lu 2019, level-weighted SSIM as the loss of autoencoders: Table 1 and Fig. 1."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Array

from configs.lu2019 import table1
from experiments.studies.autoencoders import SHOWN, about, compared, score_cells
from experiments.studies.settings import Settings, difference
from ssimjax import figures
from ssimjax.tables import markdown_table, with_deviation
from ssimjax.tasks import (
    Run,
    interpolations,
    reconstruction_scores,
    sample_distances,
)

__all__ = ["PUBLISHED", "TABLES", "Settings"]

# SSIM and MSE on CelebA, 64x64.
PUBLISHED = {
    "table1": {
        "ae": {
            "mse": (0.80, 0.0042),
            "ssim": (0.86, 0.0057),
            "lw_ssim": (0.89, 0.0054),
        },
        "vae": {
            "mse": (0.53, 0.0235),
            "ssim": (0.60, 0.0244),
            "lw_ssim": (0.59, 0.0206),
        },
        "mmd_ae": {
            "mse": (0.81, 0.0034),
            "ssim": (0.86, 0.0062),
            "lw_ssim": (0.88, 0.0033),
        },
    }
}
# What the weight of each regulariser is searched in, alike for every loss.
_BALANCES = {"kl": (1e-5, 1e-4, 1e-3, 1e-2), "mmd": (1e-3, 1e-2, 1e-1, 1.0)}


def _table1(settings: Settings) -> str:
    lines, sentences, pictures = [], [], []
    run = None
    for model in table1.MODELS:
        runs = _runs(model, settings)
        scores = {loss: reconstruction_scores(run) for loss, run in runs.items()}
        for loss, row in scores.items():
            published = PUBLISHED["table1"][model][loss]
            lines.append(
                {
                    "model": model,
                    "loss": loss,
                    "published SSIM, MSE": f"{published[0]:.2f}, {published[1]:.4f}",
                }
                | score_cells(row)
            )
        sentences.append(_claims(model, scores))
        pictures.extend(compared(f"table1-{model}", runs, settings))
        run = runs["mse"]
    assert run is not None
    return "\n\n".join(
        [
            "## Table 1: reconstruction by each loss",
            markdown_table(lines),
            f"Means over held-out images, {settings.spread}. Colour: mean difference "
            "of the largest and the smallest channel, less that of the originals; "
            "negative where colour is lost. Chroma error: mean distance of Cb and Cr, "
            "for pixels in [0, 1].",
            "\n".join(f"- {sentence}" for sentence in sentences),
            about(run),
            *pictures,
        ]
    )


def _balance(settings: Settings) -> str:
    lines, sentences = [], []
    run = None
    for model, regulariser in table1.MODELS.items():
        for loss in table1.LOSSES if regulariser in _BALANCES else ():
            distances = {}
            for weight in _BALANCES[regulariser]:
                config = table1.get_config(f"{model}-{loss}")
                config.regulariser.weight = weight
                run = settings.train(f"balance-{model}-{loss}-{weight:g}", config)
                scores = reconstruction_scores(run)
                far = sample_distances(run, count=500)
                distances[weight] = far["rbf mmd"]
                lines.append(
                    {
                        "model": model,
                        "loss": loss,
                        "weight": f"{weight:g}",
                        "ssim": with_deviation(scores, "ssim", digits=3),
                        "mse": with_deviation(scores, "mse", digits=4),
                        "samples, RBF MMD²": with_deviation(far, "rbf mmd", digits=4),
                        "samples, SSIM MMD²": with_deviation(far, "ssim mmd", digits=4),
                    }
                )
            best = min(distances, key=lambda weight: distances[weight])
            sentences.append(f"- `{model}` on `{loss}`: nearest samples at {best:g}.")
    assert run is not None
    return "\n\n".join(
        [
            "## The balance of loss and regulariser",
            "One weight per loss, from the same grid: that whose samples from the "
            "prior are nearest to held-out images by the MMD of pixels under a "
            "Gaussian kernel.",
            markdown_table(lines),
            "\n".join(sentences),
            about(run),
        ]
    )


def _samples(settings: Settings) -> str:
    lines, drawn = [], []
    for model in ("vae", "mmd_ae"):
        rows: dict[str, np.ndarray] = {}
        for loss, run in _runs(model, settings).items():
            far = sample_distances(run, features={"8x8 pixels": _coarse})
            lines.append(
                {"model": model, "loss": loss}
                | {
                    name: with_deviation(far, name, digits=4)
                    for name in far
                    if not name.endswith(("_sd", "_each"))
                }
            )
            state = run.states()[0]
            samples = run.task.sample(jax.random.key(0), state, SHOWN)
            rows[f"{loss}, samples"] = np.asarray(samples)
            test = run.dataset.test.images
            line = interpolations(run, test[:1], test[1:2], steps=SHOWN)
            rows[f"{loss}, between"] = line[0]
        file = f"samples-{model}.png"
        figures.image_rows(rows, settings.pictures / file)
        drawn.append(settings.picture(file))
    return "\n\n".join(
        [
            "## Samples from the prior",
            "Distance of 500 samples to at most as many held-out images: unbiased MMD² "
            "of pixels under Gaussian and SSIM kernels; Fréchet and kernel distance of "
            "images shrunk to 8x8 pixels.",
            markdown_table(lines),
            *drawn,
        ]
    )


def _levels(settings: Settings) -> str:
    """Window sizes, level weights, and what each of the two changes to SSIM does."""
    run, scores = None, {}
    for name, change in _LEVELS.items():
        config = table1.get_config("ae-lw_ssim")
        if change:
            del config.loss
            config.loss = change
        run = settings.train(f"levels-{name}", config)
        scores[name] = reconstruction_scores(run)
    assert run is not None
    default, *others = _LEVELS
    sentences = [_differences((name, default), scores) for name in others]
    return "\n\n".join(
        [
            "## Window sizes and level weights",
            "LWSSIM changes two things: l + cs instead of l · cs, and the mean over "
            "windows of several sizes. The paper prints neither sizes nor weights. "
            "Each change alone, and other sizes and weights, in the deterministic "
            "autoencoder:",
            markdown_table(
                [{"loss": name} | score_cells(row) for name, row in scores.items()]
            ),
            "\n".join(f"- {sentence}" for sentence in sentences if sentence),
            about(run),
        ]
    )


TABLES: dict[str, Callable[[Settings], str]] = {
    "table1": _table1,
    "balance": _balance,
    "samples": _samples,
    "levels": _levels,
}


def _uniform(*sizes: int) -> list[dict[str, Any]]:
    return [{"uniform": {"size": size}} for size in sizes]


def _products(*sizes: int) -> dict[str, Any]:
    """SSIM under windows of several sizes, without the additive form."""
    return {
        "name": "mixture",
        "terms": [
            {"name": "ssim", "weight": 1 / len(sizes), "window": window}
            for window in _uniform(*sizes)
        ],
    }


_LEVELS: Mapping[str, dict[str, Any]] = {
    "l + cs, sizes 3 5 7 11": {},
    "l · cs, sizes 3 5 7 11": _products(3, 5, 7, 11),
    "l + cs, size 11": {"name": "lw_ssim", "windows": _uniform(11)},
    "l · cs, size 11": _products(11),
    "l + cs, size 3": {"name": "lw_ssim", "windows": _uniform(3)},
    "l + cs, sizes 7 11 15 19": {"name": "lw_ssim", "windows": _uniform(7, 11, 15, 19)},
    "l + cs, sizes 3 5 7 11, λ 4 2 1 0.5": {
        "name": "lw_ssim",
        "windows": _uniform(3, 5, 7, 11),
        "weights": [4.0, 2.0, 1.0, 0.5],
    },
}


def _runs(model: str, settings: Settings) -> dict[str, Run]:
    return {
        loss: settings.train(f"{model}-{loss}", table1.get_config(f"{model}-{loss}"))
        for loss in table1.LOSSES
    }


def _claims(model: str, scores: Mapping[str, Mapping[str, Any]]) -> str:
    """Which loss wins by SSIM and by MSE, and by how much, if there are seeds."""
    best = max(scores, key=lambda loss: scores[loss]["ssim"])
    least = min(scores, key=lambda loss: scores[loss]["mse"])
    found = [_differences(("lw_ssim", other), scores) for other in ("mse", "ssim")]
    text = f"`{model}`: highest SSIM by `{best}`, lowest MSE by `{least}`."
    return " ".join([text, *found]).rstrip()


def _differences(
    names: tuple[str, str], scores: Mapping[str, Mapping[str, Any]]
) -> str:
    """How far one loss is from another in SSIM and MSE; nothing for one seed."""
    sentences = []
    for score, digits in (("ssim", 3), ("mse", 4)):
        if f"{score}_each" in scores[names[0]]:
            each = [scores[name][f"{score}_each"] for name in names]
            unit = f"in {score.upper()}"
            sentences.append(difference(names, *each, unit=unit, digits=digits))
    return " ".join(sentences)


def _coarse(images: Array) -> Array:
    shape = (images.shape[0], 8, 8, images.shape[3])
    return jax.image.resize(images, shape, "linear", antialias=True)
