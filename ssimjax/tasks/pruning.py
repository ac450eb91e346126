"""The filters of the feature layer: how large they are, and which are needed."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array

from ssimjax.tasks.robustness import (
    accuracies,
    examples_at_once,
    in_all_batches,
    score,
)
from ssimjax.tasks.run import Run
from ssimjax.training import Row, data_mesh, named_key, root_key

Order = Literal["smallest norm", "random"]


def filter_statistics(run: Run) -> dict[str, np.ndarray]:
    """Norms and variances of the filters of the feature layer.

    Args:
      run: a trained classifier.

    Returns:
      `norm`, ‖w‖₂, and `variance`, of the elements of a filter (n - 1), each
      `[seeds, filters]`.

    References:
      Abobakr et al. 2018, SSIMLayer, Section 3.2, where many norms below 1 suggest
      pruning.
    """
    filters = np.stack([_filters(run, state) for state in run.states()])
    flat = filters.reshape(len(filters), -1, filters.shape[-1]).astype(np.float64)
    return {"norm": np.linalg.norm(flat, axis=1), "variance": flat.var(1, ddof=1)}


def pruning_accuracy(
    run: Run,
    *,
    shares: Sequence[float],
    orders: Sequence[Order] = ("smallest norm", "random"),
    examples: int | None = None,
    seed: int = 0,
) -> list[Row]:
    """Test accuracy without a share of the feature layer's filters.

    A filter that is removed outputs 0. Nothing is trained afterwards.

    Args:
      run: a trained classifier.
      shares: of the filters that are removed, in [0, 1].
      orders: which go first: those of the smallest norm, or any.
      examples: how many test examples, spread evenly; all if None.
      seed: of the random order.

    Returns:
      A row per order and share: `order`, `removed`, the accuracies `top1` and `top5` of
      all seeds' networks as in `attack_accuracy`.

    Raises:
      FloatingPointError: if a logit is not finite.
      ValueError: if a share is not in [0, 1] or an order unknown.
    """
    if not shares or not 0 <= min(shares) <= max(shares) <= 1:
        raise ValueError(f"shares must be numbers in [0, 1], got {shares}")
    if unknown := set(orders) - set(get_args(Order)):
        raise ValueError(f"orders must be of {get_args(Order)}, got {sorted(unknown)}")
    arrays = run.dataset.test.spread(examples)
    mesh = data_mesh()

    @jax.jit
    def hits(state: Any, keep: Array, batch: Any) -> Array:
        model = run.task.model(state)
        model.features = _Pruned(model.features, keep)
        return score(model, run.task.prepare(batch["image"]), batch["label"])

    def all_hits(state: Any, keep: np.ndarray) -> np.ndarray:
        def of_batch(number: int, batch: Any) -> Array:
            return hits(state, jnp.asarray(keep), batch)

        return in_all_batches(
            of_batch, arrays, batch_size=examples_at_once(run, mesh), mesh=mesh
        )

    rows = []
    for order in orders:
        ranks = []
        for number, state in enumerate(run.states()):
            filters = _filters(run, state)
            norms = np.linalg.norm(filters.reshape(-1, filters.shape[-1]), axis=0)
            if order == "random":
                key = named_key(root_key(seed), f"pruning {number}")
                norms = np.asarray(jax.random.uniform(key, norms.shape))
            ranks.append(np.argsort(np.argsort(norms)))
        for share in shares:
            removed = round(share * len(ranks[0]))
            each = np.stack(
                [
                    all_hits(state, (rank >= removed).astype(np.float32))
                    for state, rank in zip(run.states(), ranks)
                ]
            )
            if np.isnan(each).any():
                raise FloatingPointError(
                    f"logits are not finite without {removed} of the filters"
                )
            rows.append(
                {"order": order, "removed": removed / len(ranks[0])} | accuracies(each)
            )
    return rows


class _Pruned(nnx.Module):
    """A layer some of whose filters output 0."""

    def __init__(self, layer: Any, keep: Array):
        self.layer = layer
        self.keep = nnx.Variable(keep)

    def __call__(self, x: Array) -> Array:
        return self.layer(x) * self.keep[...][None, None, None]


def _filters(run: Run, state: Any) -> np.ndarray:
    """Filters `[kh, kw, c_in, c_out]` of the feature layer."""
    layer = run.task.model(state).features
    weights = layer.kernel if isinstance(layer, nnx.Conv) else layer.filters
    return np.asarray(weights[...])
