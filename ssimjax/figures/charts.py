"""Numbers as curves, histograms and bars."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath

from ssimjax.figures.drawing import colored, drawing

Rows = Sequence[Mapping[str, Any]]


def training_curves(histories: Mapping[str, Rows], path: epath.PathLike) -> None:
    """Accuracy and loss against epochs: dashed on the training split, solid on test.

    Args:
      histories: rows of metrics by the name of the network.
      path: the PNG file to write.
    """
    with drawing(path, 9.0, 3.4) as figure:
        panels = figure.subplots(1, 2)
        for color, (name, rows) in colored(histories):
            for split, style in (("train", "--"), ("test", "-")):
                chosen = [row for row in rows if row["split"] == split]
                epochs = [row["epoch"] for row in chosen]
                marker = "." if len(chosen) < 30 else ""
                width = 0.8 if split == "train" else 1.5
                shared = dict(color=color, ls=style, lw=width, marker=marker)
                top1 = [100 * row["top1"] for row in chosen]
                panels[0].plot(epochs, top1, label=f"{name}, {split}", **shared)
                panels[1].plot(epochs, [row["loss"] for row in chosen], **shared)
        panels[0].set(xlabel="epoch", ylabel="top-1 accuracy (%)")
        panels[1].set(xlabel="epoch", ylabel="cross-entropy")
        panels[0].legend(loc="lower right")


def score_curves(
    histories: Mapping[str, Rows], path: epath.PathLike, *, scores: Mapping[str, str]
) -> None:
    """Scores of test images against epochs, a panel each.

    Args:
      histories: rows of metrics by the name of the network.
      path: the PNG file to write.
      scores: what to print at the axis, by the name of a metric.
    """
    with drawing(path, 3.6 * len(scores), 3.2) as figure:
        panels = figure.subplots(1, len(scores), squeeze=False)[0]
        for panel, (metric, label) in zip(panels, scores.items()):
            for number, (name, rows) in enumerate(histories.items()):
                chosen = [row for row in rows if row["split"] == "test"]
                panel.plot(
                    [row["epoch"] for row in chosen],
                    [row[metric] for row in chosen],
                    color=f"C{number % 10}",
                    marker="." if len(chosen) < 30 else "",
                    label=name,
                )
            panel.set(xlabel="epoch", ylabel=label)
            # Of a single evaluation, ticks would be fractions that overlap.
            panel.locator_params(axis="x", nbins=5)
        panels[-1].legend(loc="center left", bbox_to_anchor=(1, 0.5))


def accuracy_against_epsilon(
    tables: Mapping[str, Rows], path: epath.PathLike, *, chance: float
) -> None:
    """Accuracy under attack, a panel per attack and split: solid top-1, dotted top-5.

    Args:
      tables: rows with `split`, `attack`, `norm`, `epsilon`, and `top1` or `top5` or
        both, by network.
      path: the PNG file to write.
      chance: accuracy of a guess, drawn as a line.
    """
    kinds = list(
        dict.fromkeys((r["attack"], r["split"]) for t in tables.values() for r in t)
    )
    several = len({attack for attack, _ in kinds}) > 1
    euclidean = any(r["norm"] == "l2" for t in tables.values() for r in t)
    norm = "L2" if euclidean else "L∞"
    columns = min(4, len(kinds)) if several else len(kinds)
    lines = -(-len(kinds) // columns)
    width = 2.9 if several else 4.5
    with drawing(path, width * columns, (2.6 if several else 3.4) * lines) as figure:
        panels = figure.subplots(lines, columns, sharey=True, squeeze=False)
        for panel, (attack, split) in zip(panels.flat, kinds):
            for color, (name, rows) in colored(tables):
                chosen = [
                    r for r in rows if (r["attack"], r["split"]) == (attack, split)
                ]
                _accuracy_lines(
                    panel, chosen, [255 * r["epsilon"] for r in chosen], name, color
                )
            steps = sorted({255 * r["epsilon"] for t in tables.values() for r in t})
            panel.axhline(100 * chance, color="0.6", linewidth=0.8, zorder=0)
            panel.annotate(
                "chance",
                (0, 100 * chance),
                xycoords=("axes fraction", "data"),
                xytext=(3, 2),
                textcoords="offset points",
                ha="left",
                color="0.4",
            )
            panel.set_xscale("symlog", linthresh=1, linscale=0.5)
            # Fractions of a step are drawn but have no room for a label of their own.
            whole = [step for step in steps if abs(step - round(step)) < 1e-6]
            panel.set_xticks(whole, [f"{step:.0f}" for step in whole])
            panel.set_xlim(-0.15, 1.15 * max(*steps, 1.0))
            panel.set_xticks([], minor=True)
            title = f"{attack}, {split}" if several else f"{split} split, {attack}"
            panel.set(title=title, xlabel=f"ε × 255 ({norm})", ylim=(-3, 103))
        for panel in panels[:, 0]:
            panel.set_ylabel("accuracy (%)")
        for panel in panels.flat[len(kinds) :]:
            panel.set_axis_off()
        if several:
            shown: dict[str, Any] = {}
            for panel in panels.flat:
                shown |= dict(zip(*reversed(panel.get_legend_handles_labels())))
            figure.legend(
                shown.values(), shown.keys(), loc="outside lower center", ncols=4
            )
        else:
            panels.flat[len(kinds) - 1].legend(loc="best")


def accuracy_against_severity(tables: Mapping[str, Rows], path: epath.PathLike) -> None:
    """Accuracy on corrupted images, a panel per corruption: solid top-1, dotted top-5.

    Args:
      tables: rows with `corruption`, `severity`, `top1` and `top5`, by network.
      path: the PNG file to write.
    """
    names = list(dict.fromkeys(r["corruption"] for t in tables.values() for r in t))
    columns = min(3, len(names))
    lines = -(-len(names) // columns)
    with drawing(path, 3.0 * columns, 2.5 * lines) as figure:
        panels = figure.subplots(lines, columns, sharey=True, squeeze=False)
        for panel, corruption in zip(panels.flat, names):
            for color, (name, rows) in colored(tables):
                chosen = [r for r in rows if r["corruption"] == corruption]
                _accuracy_lines(
                    panel, chosen, [float(r["severity"]) for r in chosen], name, color
                )
            panel.set(
                title=corruption.replace("_", " "), xlabel="severity", ylim=(-3, 103)
            )
        for panel in panels[:, 0]:
            panel.set_ylabel("accuracy (%)")
        for panel in panels.flat[len(names) :]:
            panel.set_axis_off()
        panels[0, 0].legend(loc="lower left")


def _accuracy_lines(
    panel: Any, rows: Rows, positions: Sequence[float], name: str, color: str
) -> None:
    for metric, style in (("top1", "-"), ("top5", ":")):
        if not rows or metric not in rows[0]:
            continue
        values = np.array([100 * row[metric] for row in rows])
        panel.plot(
            positions,
            values,
            color=color,
            linestyle=style,
            marker="o",
            markersize=3,
            label=f"{name}, top-{metric[3:]}",
        )
        if f"{metric}_sd" in rows[0]:
            spread = np.array([100 * row[f"{metric}_sd"] for row in rows])
            panel.fill_between(
                positions,
                values - spread,
                values + spread,
                color=color,
                alpha=0.15,
                lw=0,
            )


def pruning(tables: Mapping[str, Rows], path: epath.PathLike) -> None:
    """Accuracy against the share of filters removed.

    Args:
      tables: rows with `removed`, `order` and `top1`, by network.
      path: the PNG file to write.
    """
    with drawing(path, 4.8, 3.4) as figure:
        panel = figure.subplots()
        for color, (name, rows) in colored(tables):
            for order, style in zip(dict.fromkeys(r["order"] for r in rows), "-:"):
                chosen = [r for r in rows if r["order"] == order]
                panel.plot(
                    [100 * r["removed"] for r in chosen],
                    [100 * r["top1"] for r in chosen],
                    color=color,
                    linestyle=style,
                    marker="o",
                    markersize=3,
                    label=f"{name}, {order} first",
                )
        panel.set(
            xlabel="filters removed (%)", ylabel="top-1 accuracy (%)", ylim=(-3, 103)
        )
        panel.legend()


def histograms(
    panels: Mapping[str, Mapping[str, np.ndarray]], path: epath.PathLike
) -> None:
    """Distributions of a quantity in each network, a panel per quantity.

    Args:
      panels: values >= 0 by network, by the quantity's name, on a logarithmic axis,
        whose first bar holds all that are smaller than 1e-9.
      path: the PNG file to write.
    """
    with drawing(path, 3.6 * len(panels), 2.8) as figure:
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for panel, (quantity, groups) in zip(axes, panels.items()):
            everything = np.concatenate([np.ravel(v) for v in groups.values()])
            low, high = everything.min(), everything.max()
            edges = np.geomspace(max(low, 1e-9), max(high, 1e-8), 25)
            for color, (name, values) in colored(groups):
                values = np.clip(np.ravel(values), edges[0], edges[-1])
                panel.hist(values, edges, color=color, alpha=0.55, label=name)
            panel.set(xscale="log", xlabel=quantity, ylabel="filters")
        axes[0].legend()


def bars(
    panels: Mapping[str, tuple[str, Mapping[str, Mapping[str, float]]]],
    path: epath.PathLike,
) -> None:
    """Numbers of rivals side by side, on a logarithmic axis, a panel per subject.

    Args:
      panels: by title, the unit and the numbers > 0 by rival, by group.
      path: the PNG file to write.
    """
    heights = [
        1 + sum(len(rivals) + 1 for rivals in g.values()) for _, g in panels.values()
    ]
    with drawing(path, 8.0, 0.16 * sum(heights) + 0.6 * len(heights)) as figure:
        axes = figure.subplots(
            len(panels), 1, squeeze=False, height_ratios=[float(h) for h in heights]
        )[:, 0]
        for panel, (title, (unit, groups)) in zip(axes, panels.items()):
            names = list(dict.fromkeys(name for g in groups.values() for name in g))
            colors = {name: f"C{i % 10}" for i, name in enumerate(names)}
            position, ticks = 0.0, []
            for group in groups.values():
                ticks.append(position + (len(group) - 1) / 2)
                for name, value in group.items():
                    panel.barh(position, value, color=colors[name], label=name)
                    panel.annotate(
                        f" {value:,.0f}" if value >= 100 else f" {value:.3g}",
                        (value, position),
                        va="center",
                        size=6,
                    )
                    position += 1
                position += 1
            panel.set(xscale="log", title=title, xlabel=unit)
            panel.set_yticks(ticks, list(groups))
            panel.invert_yaxis()
            panel.margins(x=0.1, y=0.01)
            shown = dict(zip(*reversed(panel.get_legend_handles_labels())))
            panel.legend(
                shown.values(), shown.keys(), loc="upper left", bbox_to_anchor=(1, 1)
            )
