"""Abobakr, Hossny and Nahavandi 2018, SSIMLayer: every table and figure."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import ml_collections

from configs.abobakr2018 import fig6, fig7, table1, table2
from experiments.studies import settings as common
from ssimjax import figures
from ssimjax.tables import accuracy_table, corruption_table, markdown_table, percent
from ssimjax.tasks import (
    Run,
    attack_accuracy,
    corruption_accuracy,
    examine,
    filter_statistics,
    pruning_accuracy,
)
from ssimjax.training import Row

# In per cent. Train and validation; of Fig. 9, top-1 and top-5 at ε = 0.007.
PUBLISHED = {
    "table1": {"ssim": (96.5, 78.0), "conv": (84.9, 73.8)},
    "fig6": {"ssim": (None, 77.26), "conv": (None, 70.8)},
    "fig7": {"with_relu": (None, 77.82), "without_relu": (None, 76.04)},
    "fig9": {"ssim": (38.35, 92.5), "conv": (23.03, 77.56)},
    "table2": {"ssim": (73.35, 70.0), "conv": (57.51, 60.40)},
}
_FIG9_EPSILON = 0.007
_SHARES = (0.0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875)


@dataclasses.dataclass(frozen=True)
class Settings(common.Settings):
    """How much is trained and attacked, and where it goes.

    Attributes:
      examples: attacked examples of each split; ten times as many where one look at
        each is enough.
      attacks: options by attack, without transfer, which is always run.
      epsilons: sizes of the attacks, for pixels in [0, 1].
    """

    examples: int
    attacks: Mapping[str, Mapping[str, Any]]
    epsilons: Sequence[float]

    @property
    def many(self) -> int:
        """Examples for FGSM and for noise, which look at each once."""
        return 10 * self.examples


def _table1(settings: Settings) -> str:
    runs = _pair("table1", table1.get_config, settings)
    title = "Table 1 and Fig. 5: an SSIM layer as the last feature layer"
    return _comparison(title, "table1", runs, settings)


def _fig6(settings: Settings) -> str:
    runs = _pair("fig6", fig6.get_config, settings)
    title = "Fig. 6: an SSIM layer that sees the image"
    drawn = []
    layers = {"ssim": "ssim", "conv": "first-layer"}
    for name, run in runs.items():
        filters = run.task.kernels(run.states()[0])[layers[name]]
        file = f"fig6-{name}-kernels.png"
        figures.kernels(
            filters, settings.pictures / file, title=f"{name}, 7x7 kernels, by norm"
        )
        drawn.append(settings.picture(file))
    filters = {name: filter_statistics(run) for name, run in runs.items()}
    figures.histograms(
        {
            quantity: {name: of[quantity] for name, of in filters.items()}
            for quantity in ("norm", "variance")
        },
        settings.pictures / "fig6-filters.png",
    )
    below = {n: 100 * float((of["norm"] < 1).mean()) for n, of in filters.items()}
    pruned = {name: pruning_accuracy(run, shares=_SHARES) for name, run in runs.items()}
    figures.pruning(pruned, settings.pictures / "fig6-pruning.png")
    lines = []
    for name, rows in pruned.items():
        for order in dict.fromkeys(row["order"] for row in rows):
            cells = {
                f"{100 * row['removed']:.3g} %": percent(row, "top1")
                for row in rows
                if row["order"] == order
            }
            lines.append({"network": name, "removed first": order} | cells)
    return "\n\n".join(
        [
            _comparison(title, "fig6", runs, settings),
            *drawn,
            "Filters with a norm below 1: "
            + ", ".join(f"{n} {share:.0f} %" for n, share in below.items())
            + ". The paper reports many among the SSIM filters, and suggests pruning. "
            "Test accuracy without a share of the filters of the first layer:",
            markdown_table(lines),
            settings.picture("fig6-filters.png"),
            settings.picture("fig6-pruning.png"),
        ]
    )


def _fig7(settings: Settings) -> str:
    runs = {
        "with_relu": settings.train("table1-ssim", table1.get_config("ssim")),
        "without_relu": settings.train(
            "fig7-without-relu", fig7.get_config("without_relu")
        ),
    }
    title = "Fig. 7 and 8: a ReLU after the layer"
    return _comparison(title, "fig7", runs, settings)


def _fig9(settings: Settings) -> str:
    runs = _pair("table1", table1.get_config, settings)
    epsilons = sorted({*settings.epsilons, _FIG9_EPSILON})
    attacked = {
        name: attack_accuracy(
            run, epsilons=epsilons, examples=settings.many, attacks={"fgsm": {}}
        )
        for name, run in runs.items()
    }
    lines = []
    for name, rows in attacked.items():
        row = next(
            r for r in rows if r["split"] == "test" and r["epsilon"] == _FIG9_EPSILON
        )
        top1, top5 = PUBLISHED["fig9"][name]
        lines.append(
            {
                "network": name,
                "published, top-1 / top-5": f"{top1} / {top5}",
                "measured": f"{percent(row, 'top1')} / {percent(row, 'top5')}",
            }
        )
    _draw_attack(attacked, runs, settings, "fig9.png")
    strong, sentences = _strong_attacks(runs, settings)
    _draw_attack(strong, runs, settings, "fig9-attacks.png")
    return "\n\n".join(
        [
            "## Fig. 9: under attack",
            f"FGSM at ε = {_FIG9_EPSILON}, {_count(runs, settings.many)} test images:",
            markdown_table(lines),
            settings.picture("fig9.png"),
            "FGSM alone proves nothing. Top-1 accuracy (%) of the same networks "
            f"({_count(runs, settings.examples)} test images; {_options(settings)}; "
            "transfer by PGD on the convolutional network of the same seed; top-5 "
            "accuracy where an attack does not aim at the first guess; pixels in "
            "[0, 1]):",
            _attack_table(strong),
            *sentences,
            settings.picture("fig9-attacks.png"),
        ]
    )


def _noise(settings: Settings) -> str:
    runs = _pair("table1", table1.get_config, settings)
    corrupted = {
        name: corruption_accuracy(run, examples=settings.many)
        for name, run in runs.items()
    }
    figures.accuracy_against_severity(corrupted, settings.pictures / "noise.png")
    rows = [{"network": n} | row for n, t in corrupted.items() for row in t]
    return "\n\n".join(
        [
            "## Fig. 1: noise and compression",
            "The paper shows pictures only. Top-1 accuracy (%) on "
            f"{_count(runs, settings.many)} test images at the severities of "
            "CIFAR-10-C; 0 is clean:",
            corruption_table(rows),
            settings.picture("noise.png"),
        ]
    )


def _table2(settings: Settings) -> str:
    runs = _pair("table2", table2.get_config, settings)
    title = (
        "Table 2: ten ImageNet classes (CIFAR-10's there, Imagenette's here) at 32x32"
    )
    return _comparison(title, "table2", runs, settings)


def _fig10(settings: Settings) -> str:
    runs = _pair("table2", table2.get_config, settings)
    attacked = {
        name: attack_accuracy(
            run,
            epsilons=settings.epsilons,
            examples=settings.examples,
            attacks={"fgsm": {}, "pgd": settings.attacks["pgd"]},
            splits=["test"],
        )
        for name, run in runs.items()
    }
    _draw_attack(attacked, runs, settings, "fig10.png")
    return "\n\n".join(
        [
            "## Fig. 10: the networks of Table 2 under attack",
            "Top-1 / top-5 accuracy (%), "
            f"{_count(runs, settings.examples)} test images; "
            f"{_options(settings, only=('pgd',))}:",
            _attack_table(attacked),
            settings.picture("fig10.png"),
        ]
    )


TABLES: dict[str, Callable[[Settings], str]] = {
    "table1": _table1,
    "fig6": _fig6,
    "fig7": _fig7,
    "fig9": _fig9,
    "table2": _table2,
    "fig10": _fig10,
    "noise": _noise,
}


def _pair(
    name: str,
    get_config: Callable[[str], ml_collections.ConfigDict],
    settings: Settings,
) -> dict[str, Run]:
    return {
        network: settings.train(f"{name}-{network}", get_config(network))
        for network in ("ssim", "conv")
    }


def _comparison(
    title: str, name: str, runs: Mapping[str, Run], settings: Settings
) -> str:
    """A heading, published and measured accuracy, what was trained, and its curves."""
    file = f"{name}.png"
    histories = {network: run.history for network, run in runs.items()}
    figures.training_curves(histories, settings.pictures / file)
    return "\n\n".join(
        [
            f"## {title}",
            _accuracies(runs, PUBLISHED[name]),
            _about(runs),
            settings.picture(file),
        ]
    )


def _accuracies(
    runs: Mapping[str, Run], published: Mapping[str, tuple[float | None, float]]
) -> str:
    """Published and measured accuracy side by side."""
    lines = []
    for name, run in runs.items():
        train, test = published[name]
        lines.append(
            {
                "network": name,
                "published, train / val.": f"{train or '-'} / {test}",
                "measured, train / test": " / ".join(
                    percent(run.summary[split], "top1") for split in ("train", "test")
                ),
                "each seed, test": ", ".join(
                    f"{100 * value:.1f}"
                    for value in run.summary["test"].get(
                        "top1_each", [run.summary["test"]["top1"]]
                    )
                ),
            }
        )
    table = markdown_table(lines)
    first, second = runs.values()
    each = [run.summary["test"].get("top1_each") for run in (first, second)]
    if each[0] is None:
        return table
    points = [[100 * value for value in values] for values in each]
    text = common.difference(list(runs), *points, unit="points on the test split")
    return f"{table}\n\n{text}"


def _about(runs: Mapping[str, Run]) -> str:
    """What was trained, on what, for how long, and how fast."""
    run = next(iter(runs.values()))
    training, optimizer = run.config.training, run.config.optimizer
    rates = ", ".join(
        f"{name} {one.summary['images_per_second']:.0f}" for name, one in runs.items()
    )
    return (
        f"{run.dataset.description}: {len(run.dataset.train):,} training and "
        f"{len(run.dataset.test):,} test images. {training.epochs:g} epochs "
        f"(published: up to 500), batches of {training.batch_size}, SGD at "
        f"{optimizer.rate:g}, {optimizer.schedule}. {jax.default_backend().upper()}, "
        f"jax {jax.__version__}; images per second: {rates}."
    )


def _strong_attacks(
    runs: Mapping[str, Run], settings: Settings
) -> tuple[dict[str, list[dict[str, Any]]], list[str]]:
    """All attacks on all networks, and what they say about each."""
    tables, sentences = {}, []
    steps = settings.attacks["pgd"].get("steps", 50)
    for name, run in runs.items():
        attacks = dict(settings.attacks)
        if name != "conv":  # Through itself, it would be a gradient attack.
            attacks["transfer"] = {"steps": steps}
        tables[name] = attack_accuracy(
            run,
            attacks=attacks,
            surrogate=runs["conv"],
            epsilons=settings.epsilons,
            splits=["test"],
            examples=settings.examples,
        )
        found = examine(run, tables[name], attacks=attacks, examples=settings.examples)
        sentences.append(
            "\n".join([f"`{name}`:", "", *(f"- {sentence}" for sentence in found)])
        )
    return tables, sentences


def _attack_table(tables: Mapping[str, Sequence[dict[str, Any]]]) -> str:
    rows = [{"network": n} | row for n, table in tables.items() for row in table]
    return accuracy_table(rows)


def _options(settings: Settings, only: Sequence[str] | None = None) -> str:
    parts = []
    for name, options in settings.attacks.items():
        if options and (only is None or name in only):
            given = ", ".join(f"{value} {key}" for key, value in options.items())
            parts.append(f"{name} {given}")
    return "; ".join(parts)


def _classes(runs: Mapping[str, Run]) -> int:
    return len(next(iter(runs.values())).dataset.classes)


def _count(runs: Mapping[str, Run], examples: int) -> int:
    return min(examples, len(next(iter(runs.values())).dataset.test))


def _draw_attack(
    tables: Mapping[str, Sequence[Row]],
    runs: Mapping[str, Run],
    settings: Settings,
    file: str,
) -> None:
    figures.accuracy_against_epsilon(
        tables, settings.pictures / file, chance=1 / _classes(runs)
    )
