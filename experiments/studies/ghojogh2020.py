"""Ghojogh et al. 2020, SSIM in generative models: which model gains what by it."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections

from configs.ghojogh2020 import (
    aae,
    autoencoder,
    classifier,
    code_gmmn,
    conditional_gan,
    conditional_gmmn,
    gan,
    gmmn,
    lsgan,
    vae,
)
from experiments.studies import settings as common
from experiments.studies.settings import gap_and_interval
from ssimjax import figures
from ssimjax.data import Dataset, open_dataset
from ssimjax.tables import markdown_table, with_deviation
from ssimjax.tasks import (
    Run,
    generation_scores,
    latent_interpolations,
    nearest_training_images,
    samples,
    set_scores,
    spread_images,
)
from ssimjax.tasks.run import TASKS
from ssimjax.tasks.sampling import Features

__all__ = ["TABLES", "Settings"]

# Columns of the tables: name of a score, and digits after the decimal point.
_SCORES = {
    "rbf mmd": 4,
    "ssim mmd": 4,
    "frechet": 1,
    "fid": 1,
    "kid": 4,
    "precision": 2,
    "recall": 2,
    "diversity": 2,
    "novelty": 2,
    "confidence": 2,
    "classes": 1,
    "label_accuracy": 2,
}
# What pairs of models are compared by.
_COMPARED = ("rbf mmd", "ssim mmd", "frechet", "fid", "recall")
_COUNT = 500
_SHOWN = 10
_BATCHES = (250, 500, 1000, 2000)


@dataclasses.dataclass(frozen=True)
class Settings(common.Settings):
    """How much is trained, and where it goes.

    Attributes:
      inception: features for FID and KID; None for tables without them.
    """

    inception: Features | None = None


_Configure = Callable[[Settings], ml_collections.ConfigDict]


def _table(
    title: str,
    models: Mapping[str, _Configure],
    pairs: Sequence[tuple[str, str]],
    settings: Settings,
    *,
    judged: bool = True,
) -> str:
    """A table of models, and of what SSIM does in pairs of them."""
    judge = _judge(settings) if judged else None
    lines, scores, drawn, devices = [], {}, [], set()
    run = None
    for name, configure in models.items():
        run = settings.train(name, configure(settings))
        if not lines:
            real = _cells(_real(run, judge, settings.inception))
            lines.append({"model": "test images", "steps": "-"} | real)
        scores[name] = generation_scores(
            run, judge=judge, inception=settings.inception, count=_COUNT
        )
        steps = f"{run.summary['steps']:,} of {run.config.training.batch_size}"
        lines.append({"model": name, "steps": steps} | _cells(scores[name]))
        drawn.append(_draw(name, run, settings))
        devices.add(run.summary["device"])
    assert run is not None
    shown = [c for c in lines[0] if any(line[c] != "-" for line in lines)]
    gaps = [_gaps(pair, scores) for pair in pairs]
    text = _LEGEND if judge is None else f"{_LEGEND} {_JUDGED}"
    text = text if settings.inception is None else f"{text} {_INCEPTION}"
    return "\n\n".join(
        [
            f"## {title}",
            markdown_table([{c: line[c] for c in shown} for line in lines]),
            text.format(
                count=_COUNT,
                real=min(_COUNT, len(run.dataset.test)),
                others=min(2 * _COUNT, len(run.dataset.test)) // 2,
                right=0 if judge is None else 100 * judge.summary["test"]["top1"],
            ),
            markdown_table(gaps),
            _ONE if settings.seeds == 1 else _SEVERAL,
            f"{run.dataset.description}: {len(run.dataset.train):,} training and "
            f"{len(run.dataset.test):,} test images of "
            f"{'x'.join(map(str, run.dataset.test.images.shape[1:]))}; seeds: "
            f"{settings.seeds}; steps: of how many images. Trained on "
            f"{' and '.join(sorted(devices))}, judged on "
            f"{jax.devices()[0].device_kind}, jax {jax.__version__}.",
            *drawn,
        ]
    )


_ONE = "Differences are of one network each: what another seed changes is not known."
_SEVERAL = (
    "Differences are of means over seeds, in parentheses with Welch's interval of 95 %."
)
_LEGEND = (
    "{count} samples of each network against {real} test images, ± the standard "
    "deviation over seeds. MMD²: unbiased, of pixels, under Gaussian and SSIM kernels. "
    "Diversity: mean 1 - SSIM of two samples, that of real images being 1. Novelty: "
    "median distance from the nearest training image, of at most 10,000, likewise. "
    "First line: {others} test images against as many others."
)
_JUDGED = (
    "Fréchet distance, precision and recall are of the features of a classifier "
    "trained here ({right:.1f} % of test images right), which also gives confidence, "
    "classes (those that 3 % of the samples or more are taken for) and label accuracy "
    "(share of samples that are taken for the class they were asked to be)."
)
_INCEPTION = (
    "FID and KID (unbiased, of all pairs) are of the features of Inception, under the "
    "weights that were given; FID of so few images is higher than of more."
)


def _judge(settings: Settings) -> Run:
    return _alone(settings).train("classifier", classifier.get_config())


def _alone(settings: Settings) -> Settings:
    """For one network, whatever the number of seeds, trained as its config says."""
    return dataclasses.replace(settings, seeds=1, epochs=None)


def _real(run: Run, judge: Run | None, inception: Features | None) -> dict[str, Any]:
    """Scores of test images against other test images: what can be had."""
    images = spread_images(run.dataset.test, 2 * _COUNT)
    train = spread_images(run.dataset.train, 10_000)
    pair = images[::2], images[1::2]
    found = set_scores(
        jax.random.key(0), *pair, train=train, judge=judge, inception=inception
    )
    return {name: float(value) for name, value in found.items()}


def _cells(row: Mapping[str, Any]) -> dict[str, str]:
    return {
        _header(name): with_deviation(row, name, digits=digits) if name in row else "-"
        for name, digits in _SCORES.items()
    }


def _header(score: str) -> str:
    return score.replace("mmd", "MMD²").replace("_", " ")


def _gaps(
    pair: tuple[str, str], scores: Mapping[str, Mapping[str, Any]]
) -> dict[str, str]:
    """What the first of two models has more of each score, with an interval."""
    first, second = (scores[name] for name in pair)
    cells = {"difference": " − ".join(f"`{name}`" for name in pair)}
    for score in _COMPARED:
        digits = _SCORES[score]
        if score not in first:
            continue
        if f"{score}_each" in first:
            each = first[f"{score}_each"], second[f"{score}_each"]
            gap, low, high = (f"{v:+.{digits}f}" for v in gap_and_interval(*each))
            cells[_header(score)] = f"{gap} ({low} to {high})"
        else:
            cells[_header(score)] = f"{first[score] - second[score]:+.{digits}f}"
    return cells


def _draw(name: str, run: Run, settings: Settings) -> str:
    """Samples, and images between two; the nearest training images in another file."""
    made = samples(run, 2 * _SHOWN)
    rows = {"samples": made[:_SHOWN], " ": made[_SHOWN:]}
    lines = latent_interpolations(run, rows=2, steps=_SHOWN)
    rows |= {"between two": lines[0], "  ": lines[1]}
    figures.image_rows(rows, settings.pictures / f"{name}.png")
    near = nearest_training_images(run, made[:_SHOWN])
    figures.image_rows(
        {"samples": made[:_SHOWN], "nearest training image": near},
        settings.pictures / f"{name}-nearest.png",
    )
    return f"`{name}`:\n\n" + settings.picture(f"{name}.png")


def _of(
    get_config: Callable[[str], ml_collections.ConfigDict], name: str
) -> _Configure:
    return lambda settings: get_config(name)


def _gmmn(settings: Settings) -> str:
    return _table(
        "Moment matching networks of images",
        {f"gmmn-{kernel}": _of(gmmn.get_config, kernel) for kernel in gmmn.KERNELS},
        [("gmmn-ssim", "gmmn-rbf"), ("gmmn-ssim_energy", "gmmn-energy")],
        settings,
    )


def _code_gmmn(settings: Settings) -> str:
    def of(loss: str) -> _Configure:
        def configure(settings: Settings) -> ml_collections.ConfigDict:
            name = f"autoencoder-{loss}"
            _alone(settings).train(name, autoencoder.get_config(loss))
            config = code_gmmn.get_config(loss)
            config.matching.autoencoder = str(settings.workdir / name)
            return config

        return configure

    return _table(
        "Moment matching networks of codes",
        {f"code_gmmn-{loss}": of(loss) for loss in ("mse", "ssim_distance")},
        [("code_gmmn-ssim_distance", "code_gmmn-mse")],
        settings,
    )


def _gan(settings: Settings) -> str:
    return _table(
        "Adversarial networks",
        {name: _of(gan.get_config, name) for name in gan.OBJECTIVES}
        | {name: _of(lsgan.get_config, name) for name in lsgan.OBJECTIVES},
        [
            *((name, "gan") for name in gan.OBJECTIVES if "ssim" in name),
            *((name, "lsgan") for name in lsgan.OBJECTIVES if "ssim" in name),
        ],
        settings,
    )


def _conditional(settings: Settings) -> str:
    objectives = ("gan", "gan_ssim_patches", "gan_ssim_energy")
    return _table(
        "Models that are told the class",
        {
            f"conditional_gmmn-{kernel}": _of(conditional_gmmn.get_config, kernel)
            for kernel in ("rbf", "ssim")
        }
        | {
            f"conditional_{name}": _of(conditional_gan.get_config, name)
            for name in objectives
        },
        [
            ("conditional_gmmn-ssim", "conditional_gmmn-rbf"),
            ("conditional_gan_ssim_patches", "conditional_gan"),
            ("conditional_gan_ssim_energy", "conditional_gan"),
        ],
        settings,
    )


def _autoencoders(settings: Settings) -> str:
    return _table(
        "Variational and adversarial autoencoders",
        {f"vae-{loss}": _of(vae.get_config, loss) for loss in vae.LOSSES}
        | {f"aae-{loss}": _of(aae.get_config, loss) for loss in vae.LOSSES},
        [
            ("vae-ssim_distance", "vae-mse"),
            ("vae-ssim_distance", "vae-bce"),
            ("aae-ssim_distance", "aae-mse"),
        ],
        settings,
    )


def _faces(settings: Settings) -> str:
    models = {
        "gmmn-rbf": gmmn.get_config("celeb_a-rbf"),
        "gmmn-ssim": gmmn.get_config("celeb_a-ssim"),
        "vae-mse": vae.get_config("celeb_a-mse"),
        "vae-ssim_distance": vae.get_config("celeb_a-ssim_distance"),
        "gan": gan.get_config("celeb_a-gan"),
        "gan_ssim_energy": gan.get_config("celeb_a-gan_ssim_energy"),
        "lsgan": lsgan.get_config("celeb_a-lsgan"),
        "lsgan_ssim_scaled": lsgan.get_config("celeb_a-lsgan_ssim_scaled"),
    }
    return _table(
        "Faces",
        {f"faces-{n}": lambda settings, c=config: c for n, config in models.items()},
        [
            ("faces-gmmn-ssim", "faces-gmmn-rbf"),
            ("faces-vae-ssim_distance", "faces-vae-mse"),
            ("faces-gan_ssim_energy", "faces-gan"),
            ("faces-lsgan_ssim_scaled", "faces-lsgan"),
        ],
        settings,
        judged=False,
    )


def _memory(settings: Settings) -> str:
    """What one step needs, as the compiler reports it."""
    lines = []
    for count in _BATCHES:
        cells = {"images": str(count)}
        for kernel in ("rbf", "ssim"):
            config = gmmn.get_config(kernel)
            settings.change(config)
            dataset = open_dataset(config.data, cache_dir=settings.workdir)
            task = TASKS[config.task](config, dataset)
            needed = _step_bytes(task, dataset, count)
            cells[f"{kernel} (MB)"] = f"{needed / 1e6:.0f}"
            cells[f"{kernel} (n x n matrices)"] = f"{needed / (4 * count**2):.0f}"
        lines.append(cells)
    return "\n\n".join(
        [
            "## Memory of a step of a moment matching network",
            "Temporary memory of a compiled step, which computes three kernel matrices "
            "and their gradient, those of SSIM in chunks of windows of at most 256 MB: "
            "in bytes, and in matrices of n x n numbers, which is constant where "
            "nothing but such matrices counts.",
            markdown_table(lines),
            f"{jax.default_backend().upper()}, jax {jax.__version__}.",
        ]
    )


def _step_bytes(task: Any, dataset: Dataset, count: int) -> int:
    key = jax.random.key(0)
    shape = (count, *dataset.train.images.shape[1:])
    batch = {
        "image": jax.ShapeDtypeStruct(shape, jnp.uint8),
        "label": jax.ShapeDtypeStruct((count,), jnp.int32),
    }
    state = jax.eval_shape(task.init, key)
    compiled = jax.jit(task.train_step).lower(key, state, batch).compile()
    memory = compiled.memory_analysis()
    assert memory is not None
    return memory.temp_size_in_bytes


TABLES: dict[str, Callable[[Settings], str]] = {
    "gmmn": _gmmn,
    "code_gmmn": _code_gmmn,
    "gan": _gan,
    "conditional": _conditional,
    "autoencoders": _autoencoders,
    "faces": _faces,
    "memory": _memory,
}
