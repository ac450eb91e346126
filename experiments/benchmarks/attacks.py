"""Attacks on a trained classifier, beside foolbox."""

import functools
import importlib
import importlib.util
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from etils import epath

from configs.abobakr2018 import table1
from experiments.benchmarks.timing import Report, turns
from ssimjax.attacks import fgsm, is_fooled, pgd
from ssimjax.tasks import Run, load, train
from ssimjax.tasks.learner import as_floats

_IMAGES, _EPSILON, _STEPS = 1000, 8 / 255, 50
_L2_EPSILON = 0.5
# Step over ε, as `pgd` has it.
_PACE = 2.5 / _STEPS
_SLOWLY = "foolbox, network not compiled (one timing)"


def measure(*, repeats: int, workdir: epath.PathLike | None = None) -> Report:
    """Images per second of each library, and what each attack leaves right.

    The attacks of both have the same size, steps and step size.

    Args:
      repeats: timings of each.
      workdir: folder of a trained classifier. If None, the convolutional network of
        Fig. 4 is trained, on patches of photographs, until most test patches are right.

    Returns:
      A row per attack.
    """
    run = _trained() if workdir is None else load(workdir)
    model = run.task.model(run.states()[0])
    chosen = run.dataset.test.spread(_IMAGES)
    pixels, labels = as_floats(jnp.asarray(chosen.images)), jnp.asarray(chosen.labels)
    key = jax.random.key(0)
    linf = functools.partial(
        pgd, key, model, labels=labels, epsilon=_EPSILON, steps=_STEPS
    )
    ours: dict[str, dict[str, Callable[..., Any]]] = {
        "FGSM": {"ssimjax": lambda x: fgsm(model, x, labels, epsilon=_EPSILON)},
        "PGD-50": {
            "ssimjax": lambda x: linf(x),
            "ssimjax, every step": lambda x: linf(x, early_stop=False),
        },
        "PGD-50, L2": {"ssimjax": lambda x: linf(x, epsilon=_L2_EPSILON, norm="l2")},
    }
    # A network that is compiled is the best that a user of foolbox can do; without,
    # as in its documentation, every operation is dispatched alone.
    theirs = _foolbox(jax.jit(model), labels)
    slowly = _foolbox(model, labels)
    # One more run of each attack would take minutes: this compiles what all share.
    for library in (theirs, slowly):
        if library:
            library["FGSM"](pixels)
    rows, lines, chart = [], [], {}
    for name, attacks in ours.items():
        runs: dict[str, Callable[[], Any]] = {
            library: functools.partial(jax.jit(attack).lower(pixels).compile(), pixels)
            for library, attack in attacks.items()
        }
        if theirs:
            runs["foolbox"] = functools.partial(theirs[name], pixels)
        found: dict[str, Any] = {}

        def attacked(library: str, runs: Any = runs, found: Any = found) -> None:
            found[library] = jax.block_until_ready(runs[library]())

        seconds = turns(
            {n: functools.partial(attacked, n) for n in runs},
            repeats=repeats,
            warm=True,
        )
        right = {
            library: float(1 - is_fooled(model(images), labels).mean())
            for library, images in found.items()
        }
        if theirs and name == "PGD-50":
            start = time.perf_counter()
            images = jax.block_until_ready(slowly[name](pixels))
            seconds[_SLOWLY] = time.perf_counter() - start
            right[_SLOWLY] = float(1 - is_fooled(model(images), labels).mean())
        rates = {library: len(pixels) / value for library, value in seconds.items()}
        row = {"attack": name, "images_per_second": rates, "accuracy": right}
        if theirs:
            row["ratio"] = rates["ssimjax"] / rates["foolbox"]
        rows.append(row)
        lines.extend(
            {
                "attack": name,
                "library": library,
                "images/s": f"{rate:,.0f}",
                "leaves": f"{100 * right[library]:.1f} %",
                "times as fast as foolbox": f"{rate / rates['foolbox']:.1f}"
                if theirs
                else "-",
            }
            for library, rate in rates.items()
        )
        chart[name] = rates
    clean = float(1 - is_fooled(model(pixels), labels).mean())
    notes = [
        f"Images per second; without attack {100 * clean:.1f} % are right. PGD stops "
        "for each image when it is misclassified, but for 'every step'. foolbox takes "
        "its steps one by one, on a compiled network but where it says otherwise, and "
        "checks its result with the network."
    ]
    size = "x".join(map(str, pixels.shape[1:]))
    title = f"attacks on {len(pixels)} images of {size} ({run.dataset.description})"
    return Report(title, rows, lines, notes, chart, "images/s")


def _trained() -> Run:
    config = table1.get_config("conv")
    config.data.source, config.data.color = "photographs", True
    config.data.train_count, config.data.test_count = 2000, _IMAGES
    config.training.epochs, config.training.eval_every = 8.0, 10_000
    return train(config)


def _foolbox(model: Any, labels: jax.Array) -> dict[str, Callable[[jax.Array], Any]]:
    """The same attacks by foolbox; none where it is not installed."""
    if importlib.util.find_spec("foolbox") is None:
        return {}
    foolbox: Any = importlib.import_module("foolbox")
    wrapped, attacks = foolbox.JAXModel(model, bounds=(0, 1)), foolbox.attacks
    linf = attacks.LinfPGD(steps=_STEPS, rel_stepsize=_PACE)
    l2 = attacks.L2PGD(steps=_STEPS, rel_stepsize=_PACE)
    chosen = {
        "FGSM": (attacks.LinfFastGradientAttack(random_start=False), _EPSILON),
        "PGD-50": (linf, _EPSILON),
        "PGD-50, L2": (l2, _L2_EPSILON),
    }
    return {
        name: lambda x, a=attack, e=epsilon: a(wrapped, x, labels, epsilons=e)[1]
        for name, (attack, epsilon) in chosen.items()
    }
