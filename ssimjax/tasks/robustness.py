"""Accuracy of trained classifiers under attack, noise and compression."""

import functools
import sys
import textwrap
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Float, PRNGKeyArray

from ssimjax import corruptions
from ssimjax.attacks import (
    by_name,
    gradient_health,
    is_fooled,
    norm_of,
    transfer,
)
from ssimjax.data import Arrays, eval_batches
from ssimjax.tasks.run import Run
from ssimjax.training import Row, data_mesh, named_key, root_key, with_spread

# The per-example worst of all attacks of a table.
WORST = "worst case"
# Examples in the queue of an iterative attack, on a device that has it to itself.
_QUEUE = 1000
_SINGLE_STEP = ("noise", "fgsm")


def attack_accuracy(
    run: Run,
    *,
    epsilons: Sequence[float],
    attacks: Mapping[str, Mapping[str, Any]] | None = None,
    splits: Sequence[str] = ("train", "test"),
    examples: int | None = None,
    surrogate: Run | None = None,
    divisor: float = 1.0,
    seed: int = 0,
) -> list[Row]:
    """Top-1 and top-5 accuracy under attack, over a grid of ε.

    Args:
      run: a trained classifier.
      epsilons: sizes of the attacks in their norm, for pixels in [0, 1]; 0 is no
        attack.
      attacks: options of `attacks.by_name` by the attack's name, all of one norm; FGSM
        if None. "transfer" attacks the surrogate.
      splits: "train", "test" or both.
      examples: how many examples of each split, spread evenly; all if None.
      surrogate: another classifier of the same images, for "transfer". Of several
        seeds, seed i of one is attacked through seed i of the other.
      divisor: of the logits that the attack sees, but not of those that are scored.
      seed: of the attack.

    Returns:
      A row per split, attack and epsilon: `split`, `attack`, `norm` ("linf" or "l2"),
      `epsilon`, `top1`, `top5`
      (fractions; of several seeds the mean, with `top1_sd`, `top1_each` and so on),
      `examples`. Of several attacks, also `worst case`: an example counts as right if
      it withstands all of them. What an attack did not aim at is left out: an iterative
      one gives `top1`, or with the option `top_k=5` `top5`.

    Raises:
      FloatingPointError: if a logit is not finite. A broken model is not robust.
      ValueError: if an epsilon is negative, a split or an attack unknown, attacks are
        of two norms or need more classes than there are, `examples` is below 1, or a
        surrogate is missing, of other classes or of another number of seeds.

    References:
      Abobakr et al. 2018, SSIMLayer, Eq. 20 and Fig. 9.
    """
    unknown = set(splits) - {"train", "test"}
    if unknown:
        raise ValueError(f"splits must be 'train' or 'test', got {sorted(unknown)}")
    if not epsilons or min(epsilons) < 0:
        raise ValueError(f"epsilons must be one or more numbers >= 0, got {epsilons}")
    if examples is not None and examples < 1:
        raise ValueError(f"examples must be >= 1, got {examples}")
    attacks = {"fgsm": {}} if attacks is None else attacks
    aims = {name: _aims(name, options) for name, options in attacks.items()}
    norms = {
        # Transfer is PGD.
        name: norm_of("pgd" if name == "transfer" else name, **options)
        for name, options in attacks.items()
    }
    if len(set(norms.values())) > 1:
        each = ", ".join(f"{name} {norm}" for name, norm in norms.items())
        raise ValueError(f"attacks must be of one norm, as epsilons are, got {each}")
    if "transfer" in attacks and surrogate is None:
        raise ValueError("surrogate must be a trained network for 'transfer', got None")
    hits_of = _scorer(run)
    states = run.states()
    others = states
    if surrogate is not None and "transfer" in attacks:
        others = surrogate.states()
        if surrogate.dataset.classes != run.dataset.classes:
            known, other = (
                f"{len(classes)} ({textwrap.shorten(', '.join(classes), 200)})"
                for classes in (run.dataset.classes, surrogate.dataset.classes)
            )
            raise ValueError(
                f"surrogate must know the classes of the attacked network, {known}, "
                f"got one of {other}"
            )
    if len(others) not in (1, len(states)):
        raise ValueError(
            f"surrogate must have one seed or as many as the attacked network, "
            f"{len(states)}, got {len(others)}"
        )
    hits_under = {
        name: _hits_under(run, surrogate, name, options, divisor, states[0], others[0])
        for name, options in attacks.items()
    }
    rows = []
    for split in splits:
        arrays = getattr(run.dataset, split).spread(examples)
        for epsilon in epsilons:
            found: dict[str, Any] = {}
            clean = None
            if epsilon == 0:  # No image can move, however long an attack tries.
                clean = np.stack([hits_of(state, arrays) for state in states])
            for name, hits in hits_under.items():
                key = named_key(root_key(seed), name)
                found[name] = clean
                if clean is None:
                    found[name] = np.stack(
                        [
                            hits(key, state, others[i % len(others)], arrays, epsilon)
                            for i, state in enumerate(states)
                        ]
                    )
                broken = np.isnan(found[name]).mean()
                if broken:
                    raise FloatingPointError(
                        f"logits are not finite for {broken:.2%} of the {split} "
                        f"examples at epsilon {epsilon} under {name}"
                    )
            if len(found) > 1:
                found[WORST] = np.min(list(found.values()), 0)
                aims[WORST] = set.intersection(*(aims[name] for name in attacks))
            rows.extend(
                {"split": split, "attack": name, "norm": min(norms.values())}
                | {"epsilon": epsilon}
                | accuracies(hits, aims[name])
                | {"examples": len(arrays)}
                for name, hits in found.items()
            )
    return rows


def corruption_accuracy(
    run: Run,
    *,
    names: Sequence[str] = corruptions.NAMES,
    examples: int | None = None,
    seed: int = 0,
) -> list[Row]:
    """Top-1 and top-5 accuracy on corrupted test images, over five severities.

    Args:
      run: a trained classifier.
      names: of `corruptions`.
      examples: how many test examples, spread evenly; all if None.
      seed: of the noise.

    Returns:
      A row per corruption and severity, 0 for clean images: `corruption`, `severity`,
      and accuracies as in `attack_accuracy`.

    Raises:
      FloatingPointError: if a logit is not finite.
      ValueError: if a corruption is unknown.

    References:
      Abobakr et al. 2018, SSIMLayer, Fig. 1.
      Hendrycks and Dietterich 2019, Benchmarking neural network robustness.
    """
    arrays = run.dataset.test.spread(examples)
    images = run.task.prepare(jnp.asarray(arrays.images))
    hits_of, states = _scorer(run), run.states()
    clean = np.stack([hits_of(state, arrays) for state in states])
    rows = []
    for name in names:
        for severity in range(6):
            hits = clean
            if severity:
                key = named_key(root_key(seed), f"{name} {severity}")
                corrupted = corruptions.corrupt(key, images, name, severity=severity)
                moved = Arrays(np.asarray(corrupted), arrays.labels)
                hits = np.stack([hits_of(state, moved) for state in states])
            if np.isnan(hits).any():
                raise FloatingPointError(
                    f"logits are not finite under {name} of severity {severity}"
                )
            rows.append(
                {"corruption": name, "severity": severity}
                | accuracies(hits)
                | {"examples": len(arrays)}
            )
    return rows


def gradient_shares(run: Run, *, examples: int | None = None) -> Row:
    """How many input gradients are of no use to an attack, on test images.

    Args:
      run: a trained classifier; of several seeds, the mean is taken.
      examples: how many test examples, spread evenly; all if None.

    Returns:
      `zero`, `zero_images`, `nonfinite` and `norm`, as in `attacks.GradientHealth`.
    """
    arrays = run.dataset.test.spread(examples)
    images = run.task.prepare(jnp.asarray(arrays.images))

    @jax.jit
    def health(state: Any) -> dict[str, Array]:
        return gradient_health(run.task.model(state), images, arrays.labels)._asdict()

    each = [jax.device_get(health(state)) for state in run.states()]
    return {name: float(np.mean([one[name] for one in each])) for name in each[0]}


def _hits_under(
    run: Run,
    surrogate: Run | None,
    name: str,
    options: Mapping[str, Any],
    divisor: float,
    state: Any,
    other: Any,
):
    """A function that attacks all examples and says which are still right.

    What it cannot do for such states is an error now, before other attacks have run.
    """
    mesh = data_mesh()
    shared = mesh.size > 1
    # Where a batch is shared, examples cannot move to whoever has room.
    width = examples_at_once(run, mesh)
    slots = sys.maxsize if shared else width
    if name == "transfer":
        attack = functools.partial(transfer, slots=slots, **options)
    else:
        attack = by_name(name, slots=slots, **options)
    target = run.task if surrogate is None or name != "transfer" else surrogate.task

    @jax.jit
    def hits(
        key: PRNGKeyArray, state: Any, other: Any, batch: Any, epsilon: Array
    ) -> Array:
        model = target.model(other if name == "transfer" else state)
        images, labels = run.task.prepare(batch["image"]), batch["label"]

        def logits_fn(x: Array) -> Array:
            return model(x) / divisor

        found = attack(key, logits_fn, images, labels, epsilon=epsilon)
        return score(run.task.model(state), found, labels)

    examples = run.dataset.test.images
    one = {
        "image": jax.ShapeDtypeStruct((1, *examples.shape[1:]), examples.dtype),
        "label": jax.ShapeDtypeStruct((1,), np.int32),
    }
    jax.eval_shape(hits, root_key(0), state, other, one, jnp.float32(0))

    def all_hits(
        key: PRNGKeyArray, state: Any, other: Any, arrays: Arrays, epsilon: float
    ) -> np.ndarray:
        size = width if shared or name in _SINGLE_STEP else _QUEUE
        size = size if shared else min(size, len(arrays))

        def of_batch(number: int, batch: Any) -> Array:
            own = jax.random.fold_in(key, number)
            return hits(own, state, other, batch, jnp.float32(epsilon))

        return in_all_batches(of_batch, arrays, batch_size=size, mesh=mesh)

    return all_hits


def _scorer(run: Run) -> Callable[[Any, Arrays], np.ndarray]:
    """A function of a state and examples: `score` of all of them, batch by batch."""
    mesh = data_mesh()
    width = examples_at_once(run, mesh)

    @jax.jit
    def hits(state: Any, batch: Any) -> Array:
        images = run.task.prepare(batch["image"])
        return score(run.task.model(state), images, batch["label"])

    def all_hits(state: Any, arrays: Arrays) -> np.ndarray:
        def of_batch(number: int, batch: Any) -> Array:
            return hits(state, batch)

        return in_all_batches(of_batch, arrays, batch_size=width, mesh=mesh)

    return all_hits


def examples_at_once(run: Run, mesh: Mesh) -> int:
    """The size of a batch; what attacks draw at random in a batch depends on it.

    Args:
      run: a trained classifier.
      mesh: of the devices, perhaps other ones than it was trained on.

    Returns:
      The config's `training.eval_batch_size`, or the next that the devices can share.
    """
    devices = mesh.shape["data"]
    return -(-run.config.training.eval_batch_size // devices) * devices


def in_all_batches(
    hits: Callable[[int, Any], Array],
    arrays: Arrays,
    *,
    batch_size: int,
    mesh: Mesh,
) -> np.ndarray:
    """What is found for every example, batch by batch.

    Args:
      hits: of the number of a batch and the batch, `[..., batch_size]`.
      arrays: examples.
      batch_size: of a batch, which the devices share.
      mesh: of the devices.

    Returns:
      What was found, `[..., examples]`.
    """
    sharding = NamedSharding(mesh, P("data"))
    batches = eval_batches(arrays, batch_size=batch_size, sharding=sharding)
    parts = [
        np.asarray(hits(number, batch))[..., np.asarray(batch["mask"])]
        for number, batch in enumerate(batches)
    ]
    return np.concatenate(parts, -1)


def score(model: Any, images: Array, labels: Any) -> Float[Array, "2 b"]:
    """Which images a classifier gets right.

    Args:
      model: the classifier, from images to logits.
      images: as it takes them.
      labels: true classes.

    Returns:
      Whether each is right at the first and within five guesses, as 0 and 1, or NaN
      where a logit is not finite.
    """
    logits, labels = model(images), jnp.asarray(labels)
    guesses = min(5, logits.shape[-1])
    right = jnp.stack(
        [~is_fooled(logits, labels, top_k=k) for k in (1, guesses)]
    ).astype(jnp.float32)
    return jnp.where(jnp.isfinite(logits).all(-1)[None], right, jnp.nan)


def _aims(name: str, options: Mapping[str, Any]) -> set[str]:
    """The accuracies that an attack tries to lower."""
    guesses = options.get("top_k", 1)
    if guesses not in (1, 5):
        raise ValueError(f"top_k of an evaluation must be 1 or 5, got {guesses}")
    return {"top1", "top5"} if name in _SINGLE_STEP else {f"top{guesses}"}


def accuracies(hits: np.ndarray, kept: Collection[str] = ("top1", "top5")) -> Row:
    """Accuracies for a table.

    Args:
      hits: of `score`, `[seeds, 2, examples]`.
      kept: "top1", "top5" or both.

    Returns:
      Means over the examples, and of several seeds what `with_spread` adds.
    """
    both = dict(zip(("top1", "top5"), hits.mean(-1, dtype=np.float64).T))
    return with_spread({name: both[name] for name in both if name in kept})
