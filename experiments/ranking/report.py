"""An analysis of rankings as text."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.ranking.answers import Answers
from ssimjax.tables import markdown_table


def of_rankings(title: str, found: Mapping[str, Any]) -> str:
    """A section about one set of rankings.

    Args:
      title: whose they are.
      found: as `analysis.analyse` returns it.

    Returns:
      Markdown.
    """
    chance, friedman, total = found["chance"], found["friedman"], found["trials"]
    tests = f"Against chance, first places: {_p(chance['p'])} ({chance['test']})."
    if friedman is not None:
        tests += (
            f" Places: Friedman χ² = {friedman['statistic']:.2f}, {_p(friedman['p'])}."
        )
    if found["shared"]:
        tests += f" {found['shared']} of {total} first places are shared: nobody's."
    models = [
        {
            "model": row["model"],
            "first": f"{row['first']} of {total - found['shared']}",
            "share (%)": _percent(row["share"]),
            "95 % interval": _interval(row),
            "mean place": f"{row['mean_place']:.2f}",
        }
        for row in found["models"]
    ]
    pairs = [
        {
            "pair": f"{row['model']} over {row['other']}",
            "wins": row["wins"],
            "losses": row["losses"],
            "ties": row["ties"],
            "sign test, Holm": _p(row["p_holm"]),
        }
        for row in found["pairs"]
    ]
    return "\n\n".join(
        [f"## {title}", markdown_table(models), tests, markdown_table(pairs)]
    )


def of_agreement(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """A section about who agrees with people.

    Args:
      rows: as `analysis.agreement` returns them, by who agrees.

    Returns:
      Markdown.
    """
    table = [
        {
            "who": name,
            "same first (%)": _percent(row["first"]),
            "95 % interval": _interval(row),
            "out of": row["decided"],
            "pairs in the same order (%)": _percent(row["pairs"]),
        }
        for name, row in rows.items()
    ]
    return f"## Agreement with people\n\n{markdown_table(table)}"


def of_raters(answers: Answers) -> str:
    """A paragraph about who ranked what, and how carefully.

    Args:
      answers: of all raters.

    Returns:
      Markdown.
    """
    trials, raters = len(answers.images), len(np.unique(answers.raters))
    return (
        f"Study {answers.study}: {trials} rankings of {answers.asked} pictures by "
        f"{raters} {'people' if raters > 1 else 'person'}, "
        f"{np.median(answers.seconds):.1f} s each (median). "
        f"{answers.untouched} were confirmed as shown, without a move; in "
        f"{answers.shown_first} the copy shown first ended first "
        f"({trials / len(answers.models):.1f} expected by chance). Intervals and tests "
        "take the rankings as independent, which those of one person are not quite."
    )


def _p(value: float) -> str:
    return "p < 1e-6" if value < 1e-6 else f"p = {value:.2g}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def _interval(row: Mapping[str, Any]) -> str:
    if row["low"] is None:
        return "-"
    return f"{100 * row['low']:.1f} to {100 * row['high']:.1f}"
