"""What rankings say: first places, tests against chance, pairs, agreement.

Rankings are `[trials, models]`: the place of each model in each trial, from 1, the
best; models that share places have the mean of them.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

# Above so many possible outcomes the test of first places is no longer exact.
_MOST_OUTCOMES = 1_000_000


def places(values: np.ndarray) -> np.ndarray:
    """Rankings by a number of which less is better.

    Args:
      values: `[trials, models]`.

    Returns:
      The places, of equal numbers the mean of theirs.

    Raises:
      ValueError: if a number is not finite.

    Example:
      >>> places(np.array([[0.3, 0.1, 0.2], [0.5, 0.5, 0.9]]))
      array([[3. , 1. , 2. ],
             [1.5, 1.5, 3. ]])
    """
    # Only here: it takes a second to import.
    from scipy import stats

    if not np.isfinite(values).all():
        raise ValueError(f"values must be finite, got {values[~np.isfinite(values)]}")
    return stats.rankdata(values, axis=-1)


def analyse(rankings: np.ndarray, models: Sequence[str]) -> dict[str, Any]:
    """First places, mean places, and tests against chance.

    All intervals and tests take the trials as independent. They are not quite: the
    trials of one rater share the rater's taste, and those of one image the image. With
    one rater they speak about this rater on such images, and no more; with several, the
    intervals are too narrow for "people in general", the more so the fewer they are.

    Args:
      rankings: `[trials, models]`, as above.
      models: their names.

    Returns:
      `trials`; `shared`, how many of them have no single first place, which count for
      nobody; `models`, for each a row of `model`, `first`, `share` and its Wilson 95 %
      interval `low`, `high` (None if all first places are shared), `mean_place`;
      `chance`, the test that all are first equally often: `test`, "exact multinomial"
      or for many outcomes "chi-square", and `p`; `friedman`, the test that places do
      not depend on the model: `statistic`, `p`, None for two models; `pairs`, the best
      first, each `model`, `other`, `wins` and `losses` of `model`, `ties`, `p` of the
      two-sided sign test, which leaves out ties, and `p_holm`, corrected for the number
      of pairs.

    Raises:
      ValueError: if there is no trial or are not two or more models.
    """
    from scipy import stats

    rankings = np.asarray(rankings, float)
    if rankings.ndim != 2 or not len(rankings) or rankings.shape[1] != len(models):
        raise ValueError(
            f"rankings must be [trials, {len(models)}] with at least one trial, got "
            f"shape {rankings.shape}"
        )
    if len(models) < 2:
        raise ValueError(f"models must be two or more, got {list(models)}")
    first = rankings == 1
    counts = [int(count) for count in first.sum(0)]
    total = sum(counts)
    rows = []
    for name, count, mean in zip(models, counts, rankings.mean(0)):
        row: dict[str, Any] = {"model": name, "first": count}
        low = high = None
        if total:
            low, high = wilson(count, total)
        row |= {"share": count / total if total else None, "low": low, "high": high}
        rows.append(row | {"mean_place": float(mean)})
    friedman = None
    if len(models) > 2:
        constant = (rankings == rankings[:, :1]).all()
        # Where nothing differs, scipy divides by zero.
        found = (0.0, 1.0) if constant else stats.friedmanchisquare(*rankings.T)
        friedman = {"statistic": float(found[0]), "p": float(found[1])}
    return {
        "trials": len(rankings),
        "shared": len(rankings) - total,
        "models": sorted(rows, key=lambda row: row["mean_place"]),
        "chance": chance(counts),
        "friedman": friedman,
        "pairs": _pairs(rankings, models),
    }


def wilson(count: int, total: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share.

    Args:
      count: how many.
      total: of how many, at least one.

    Returns:
      Lower and upper end.

    Example:
      >>> print("{:.3f} {:.3f}".format(*wilson(709, 1000)))
      0.680 0.736
    """
    from scipy import stats

    interval = stats.binomtest(count, total).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def chance(counts: Sequence[int]) -> dict[str, Any]:
    """Tests whether all models are first equally often.

    Args:
      counts: first places of each.

    Returns:
      `test`, and `p`: of the exact multinomial test, the probability of all outcomes
      that are at most as likely as the one seen; where these are too many, of the
      chi-square test.

    Example:
      >>> round(chance([5, 0])["p"], 6)
      0.0625
    """
    from scipy import special, stats

    total, kinds = sum(counts), len(counts)
    if math.comb(total + kinds - 1, kinds - 1) > _MOST_OUTCOMES:
        return {"test": "chi-square", "p": float(stats.chisquare(counts).pvalue)}

    def logarithm(outcome: Any) -> Any:
        return -special.gammaln(np.asarray(outcome) + 1)

    # All outcomes: what one model takes, of what those before it have left.
    left, logs = np.array([total]), np.zeros(1)
    for _ in range(kinds - 1):
        ways = left + 1
        taken = np.arange(ways.sum()) - np.repeat(np.cumsum(ways) - ways, ways)
        logs = np.repeat(logs, ways) + logarithm(taken)
        left = np.repeat(left, ways) - taken
    logs = logs + logarithm(left)
    seen = logarithm(counts).sum()
    # As likely as the one seen, but for rounding.
    rare = logs[logs <= seen + 1e-9]
    p = special.logsumexp(rare) + special.gammaln(total + 1) - total * math.log(kinds)
    return {"test": "exact multinomial", "p": min(1.0, math.exp(p))}


def agreement(some: np.ndarray, others: np.ndarray) -> dict[str, Any]:
    """How far two rankings of the same trials agree.

    Args:
      some: `[trials, models]`, as above.
      others: alike.

    Returns:
      `trials`; `first`, the share of those in which both have the same single first
      place, with Wilson's 95 % interval `low`, `high`, out of `decided` trials in which
      both have one; `pairs`, the share of pairs of models in the same order, out of
      those that neither ties (1/2 by chance). None where nothing is left.

    Raises:
      ValueError: if the shapes differ.
    """
    if some.shape != others.shape:
        raise ValueError(
            f"some and others must have one shape, got {some.shape} and {others.shape}"
        )
    decided = (some == 1).any(1) & (others == 1).any(1)
    same = int(((some == 1) & (others == 1)).any(1)[decided].sum())
    result: dict[str, Any] = {"trials": len(some), "decided": int(decided.sum())}
    share = low = high = None
    if decided.any():
        share = same / int(decided.sum())
        low, high = wilson(same, int(decided.sum()))
    result |= {"first": share, "low": low, "high": high}
    signs = [
        np.sign(r[:, i] - r[:, j])
        for r in (some, others)
        for i, j in itertools.combinations(range(some.shape[1]), 2)
    ]
    half = len(signs) // 2
    products = np.stack(signs[:half]) * np.stack(signs[half:])
    compared = int((products != 0).sum())
    pairs = int((products > 0).sum()) / compared if compared else None
    return result | {"pairs": pairs}


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrects p-values for their number by Holm's method.

    Args:
      p_values: as they came.

    Returns:
      The corrected ones, in the same order.

    Example:
      >>> holm([0.03, 0.01, 0.04])
      [0.06, 0.03, 0.06]
    """
    corrected = [0.0] * len(p_values)
    worst = 0.0
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    for rank, i in enumerate(order):
        worst = max(worst, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = worst
    return corrected


def _pairs(rankings: np.ndarray, models: Sequence[str]) -> list[Mapping[str, Any]]:
    from scipy import stats

    order = np.argsort(rankings.mean(0), kind="stable")
    rows: list[dict[str, Any]] = []
    for i, j in itertools.combinations(order, 2):
        wins = int((rankings[:, i] < rankings[:, j]).sum())
        losses = int((rankings[:, i] > rankings[:, j]).sum())
        decided = wins + losses
        rows.append(
            {
                "model": models[i],
                "other": models[j],
                "wins": wins,
                "losses": losses,
                "ties": len(rankings) - decided,
                "p": float(stats.binomtest(wins, decided).pvalue) if decided else 1.0,
            }
        )
    corrected = holm([row["p"] for row in rows])
    return [row | {"p_holm": p} for row, p in zip(rows, corrected)]
