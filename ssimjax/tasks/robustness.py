"""Accuracy of a trained classifier under attack."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ssimjax.attacks import fgsm
from ssimjax.data import Arrays, Batch
from ssimjax.tasks.classification import Classification, State, as_floats
from ssimjax.tasks.run import Run
from ssimjax.training import Row, data_mesh, evaluator, with_spread


def fgsm_accuracy(
    run: Run,
    *,
    epsilons: Sequence[float],
    splits: Sequence[str] = ("train", "test"),
    examples: int | None = None,
) -> list[Row]:
    """Top-1 and top-5 accuracy under FGSM, over a grid of ε.

    Args:
      run: a trained classifier.
      epsilons: L∞ sizes of the attack, for pixels in [0, 1]; 0 is no attack.
      splits: "train", "test" or both.
      examples: how many examples of each split, spread evenly; all if None.

    Returns:
      A row per split and epsilon: `split`, `epsilon`, `top1`, `top5` (fractions; of
      several seeds the mean, with `top1_sd`, `top1_each` and so on), `examples`.

    Raises:
      FloatingPointError: if a logit is not finite. A broken model is not robust.
      ValueError: if an epsilon is negative, a split unknown or `examples` below 1.

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
    evaluate = evaluator(
        _UnderAttack(run.task),
        mesh=data_mesh(),
        batch_size=run.config.training.eval_batch_size,
    )
    states = run.states()
    rows = []
    for split in splits:
        arrays = _spread(getattr(run.dataset, split), examples)
        for epsilon in epsilons:
            each = [evaluate((s, jnp.float32(epsilon)), arrays) for s in states]
            broken = max(metrics["nonfinite"] for metrics in each)
            if broken:
                raise FloatingPointError(
                    f"logits are not finite for {broken:.2%} of the {split} examples "
                    f"at epsilon {epsilon}"
                )
            accuracies = {
                name: np.array([metrics[name] for metrics in each])
                for name in ("top1", "top5")
            }
            if len(states) == 1:
                accuracies = {name: values[0] for name, values in accuracies.items()}
            rows.append(
                {"split": split, "epsilon": epsilon}
                | with_spread(accuracies)
                | {"examples": len(arrays)}
            )
    return rows


class _UnderAttack:
    """Evaluates a task on attacked images; its state ends with epsilon."""

    def __init__(self, task: Classification):
        self._task = task

    def eval_step(self, state: tuple[State, Array], batch: Batch) -> dict[str, Array]:
        weights, epsilon = state
        images = fgsm(
            self._task.model(weights),
            as_floats(batch["image"]),
            batch["label"],
            epsilon=epsilon,
        )
        return self._task.eval_step(weights, {**batch, "image": images})


def _spread(arrays: Arrays, examples: int | None) -> Arrays:
    if examples is None or examples >= len(arrays):
        return arrays
    chosen = np.linspace(0, len(arrays) - 1, examples).astype(int)
    return Arrays(arrays.images[chosen], arrays.labels[chosen])
