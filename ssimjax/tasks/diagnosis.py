"""Whether robustness is what it seems: signs of masked gradients."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from ssimjax.tasks.robustness import WORST, attack_accuracy, gradient_shares
from ssimjax.tasks.run import Run
from ssimjax.training import Row

# What weaker attacks may find beyond stronger ones by the luck of their starts.
_TOLERANCE = 0.01
# How much of what a single step leaves an iterative attack may take before it is said.
_GAP = 0.10
_WHITE_BOX = ("pgd", "pgd_margin", "pgd_l2", "apgd_ce", "apgd_dlr", "apgd_t")
# Attacks that should find less than those of many steps along the gradient.
_WEAKER = {
    "noise": "knows nothing of the network",
    "fgsm": "takes a single step",
    "square": "does not use the network's gradient",
    "transfer": "does not use the network's gradient",
}
# Repeated on smaller logits, whose softmax does not saturate.
_RESCALED, _DIVISOR = ("pgd", "pgd_l2", "apgd_ce"), 10.0


def examine(
    run: Run,
    rows: Sequence[Row],
    *,
    attacks: Mapping[str, Mapping[str, Any]],
    examples: int | None = None,
    seed: int = 0,
) -> list[str]:
    """Looks at a network's gradient and says what its accuracies reveal about it.

    Repeats the attacks on the cross-entropy with logits divided by ten, and looks at
    the input gradients.

    Args:
      run: a trained classifier.
      rows: of `attack_accuracy`, of the test split.
      attacks: those that the rows are of, with their options.
      examples: how many test examples, spread evenly; all if None.
      seed: of the attacks.

    Returns:
      Sentences, as `diagnose` writes them, after one about the gradients.

    Raises:
      FloatingPointError: if a logit is not finite.
    """
    guesses = next((o["top_k"] for o in attacks.values() if "top_k" in o), 1)
    repeated = {n: o for n, o in attacks.items() if n in _RESCALED}
    epsilons = sorted({row["epsilon"] for row in rows if row["epsilon"] > 0})
    scaled: list[Row] = []
    if repeated and epsilons:
        scaled = attack_accuracy(
            run,
            epsilons=epsilons,
            attacks=repeated,
            splits=("test",),
            examples=examples,
            divisor=_DIVISOR,
            seed=seed,
        )
    gradients = gradient_shares(run, examples=examples or 1000)
    return [
        f"Input gradients: {_percent(gradients['zero'])} of the pixels and "
        f"{_percent(gradients['zero_images'])} of the images 0, "
        f"{_percent(gradients['nonfinite'])} not finite.",
        *diagnose(
            rows,
            gradients=gradients,
            scaled=[row for row in scaled if row["attack"] in repeated],
            chance=min(1.0, guesses / len(run.dataset.classes)),
            metric=f"top{guesses}",
        ),
    ]


def diagnose(
    rows: Sequence[Row],
    *,
    gradients: Mapping[str, float],
    scaled: Sequence[Row] = (),
    chance: float,
    metric: str = "top1",
) -> list[str]:
    """Says what accuracies under attack reveal about the input gradient.

    Args:
      rows: of `attack_accuracy`, of one split.
      gradients: of `gradient_shares`.
      scaled: rows of the same attacks on logits that were divided by a number.
      chance: accuracy of a guess.
      metric: the accuracy that the attacks aimed at, "top1" or "top5".

    Returns:
      Sentences with their numbers. The last is the verdict.

    References:
      Athalye et al. 2018, Obfuscated gradients give a false sense of security,
      Section 3.1.
      Carlini et al. 2019, On evaluating adversarial robustness, Section 4.
    """
    accuracy = _by_attack(rows, metric)
    white = {n: v for n, v in accuracy.items() if n in _WHITE_BOX}
    found, masked = [], []

    for single, curve in accuracy.items():
        if single != "fgsm" or not white:
            continue
        gap, epsilon, name = max(
            (curve[e] - v[e], e, n) for n, v in white.items() for e in curve if e in v
        )
        if gap > _GAP:
            found.append(
                f"{name} breaks what FGSM does not: at ε = {_steps(epsilon)} FGSM "
                f"leaves {_percent(curve[epsilon])} and {name} "
                f"{_percent(white[name][epsilon])}."
            )
    for weaker, says in _WEAKER.items():
        for epsilon, value in accuracy.get(weaker, {}).items():
            best = min((v[epsilon] for v in white.values() if epsilon in v), default=0)
            if value < best - _TOLERANCE:
                masked.append(
                    f"{weaker} {says} and finds more: at ε = {_steps(epsilon)} it "
                    f"leaves {_percent(value)}, and the best iterative attack "
                    f"{_percent(best)}."
                )
    for name, curve in _by_attack(scaled, metric).items():
        for epsilon, value in curve.items():
            before = accuracy.get(name, {}).get(epsilon, 0)
            if value < before - _TOLERANCE:
                masked.append(
                    f"Smaller logits help {name}: at ε = {_steps(epsilon)} it leaves "
                    f"{_percent(value)} instead of {_percent(before)}; the loss "
                    "saturates."
                )
    for name, curve in accuracy.items():
        steps = sorted(curve)
        for lower, higher in itertools.pairwise(steps):
            if name in (*white, WORST) and curve[higher] > curve[lower] + _TOLERANCE:
                masked.append(
                    f"{name} finds less with more room: {_percent(curve[lower])} at ε "
                    f"= {_steps(lower)}, {_percent(curve[higher])} at {_steps(higher)}."
                )
    if white:
        last = max(max(curve) for curve in white.values())
        left = min(curve[last] for curve in white.values() if last in curve)
        everywhere = all(row["norm"] == "linf" for row in rows) and last >= 0.25
        if left > chance + _TOLERANCE and everywhere:
            masked.append(
                f"At ε = {_steps(last)}, where an image can become any other of low "
                f"contrast, {_percent(left)} are still right."
            )
    if gradients["nonfinite"] > 0:
        masked.append(
            f"{_percent(gradients['nonfinite'])} of the input gradients are not finite."
        )
    if gradients["zero_images"] > _TOLERANCE:
        masked.append(
            f"The gradient of {_percent(gradients['zero_images'])} of the images is 0 "
            "in every pixel."
        )
    if not white:
        verdict = "No iterative attack was run, so that nothing is known."
    elif masked:
        verdict = "Verdict: gradients are masked."
    else:
        verdict = "Verdict: no sign of masked gradients."
    return [*found, *masked, verdict]


def _by_attack(rows: Sequence[Row], metric: str) -> dict[str, dict[float, float]]:
    curves: dict[str, dict[float, float]] = {}
    for row in rows:
        curves.setdefault(row["attack"], {})[row["epsilon"]] = row[metric]
    return curves


def _steps(epsilon: float) -> str:
    return f"{255 * epsilon:.4g}/255"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
