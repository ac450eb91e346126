"""Evaluation: every example once, on any number of devices, of one seed or several."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from ssimjax.data import Arrays, Batch, eval_batches
from ssimjax.training.checkpoints import parse_best
from ssimjax.training.program import Metrics, over_seeds

Evaluate = Callable[[Any, Arrays], dict[str, Any]]


@runtime_checkable
class Evaluable(Protocol):
    """What can be evaluated on batches of `image`, `label` and `mask`."""

    def eval_step(self, state: Any, batch: Batch, /) -> Metrics:
        """Sums over the examples that `mask` admits, and their number as `count`."""
        ...


def evaluator(
    task: Evaluable, *, mesh: Mesh, batch_size: int, replicas: int | None = None
) -> Evaluate:
    """A function that evaluates states of a task, compiled once.

    Args:
      task: the task.
      mesh: the devices.
      batch_size: examples per evaluation step, over all devices.
      replicas: length of the leading axis of states that hold several seeds.

    Returns:
      A function of a state and examples: means of the task's sums over the examples,
      each of which counts exactly once. Numbers, or arrays `[replicas]`.
    """
    eval_step = task.eval_step
    if replicas is not None:
        eval_step = over_seeds(eval_step, mesh, (0, None))
    eval_step = jax.jit(eval_step, out_shardings=NamedSharding(mesh, P()))
    sharding = NamedSharding(mesh, P("data"))

    def evaluate(state: Any, arrays: Arrays) -> dict[str, Any]:
        sums: dict[str, Any] = {}
        waiting: deque[Metrics] = deque()

        def take() -> None:
            for name, value in jax.device_get(waiting.popleft()).items():
                sums[name] = sums.get(name, 0.0) + np.asarray(value, np.float64)

        # Some sums, as those of discrepancies of samples, are of a batch as a whole.
        batches = eval_batches(
            arrays, batch_size=batch_size, sharding=sharding, mixed=True
        )
        for batch in batches:
            waiting.append(eval_step(state, batch))
            if len(waiting) > 2:
                take()
        while waiting:
            take()
        count = sums.pop("count")
        means = {name: value / count for name, value in sums.items()}
        return means if replicas else {k: float(v) for k, v in means.items()}

    return evaluate


def check_evaluation(
    task: Evaluable,
    state: Any,
    arrays: Arrays,
    *,
    batch_size: int,
    keep_best: str | None,
) -> None:
    """Raises now what the first evaluation would raise after many steps.

    Args:
      task: the task.
      state: of the task, or the shapes of one.
      arrays: what will be evaluated; nothing is computed of it.
      batch_size: as in `evaluator`.
      keep_best: a rule that names a metric, or None.

    Raises:
      ValueError: if the rule names none of the task's metrics, or as `eval_step` for
        such images.
    """
    batch = {
        "image": jax.ShapeDtypeStruct(
            (batch_size, *arrays.images.shape[1:]), arrays.images.dtype
        ),
        "label": jax.ShapeDtypeStruct((batch_size,), np.int32),
        "mask": jax.ShapeDtypeStruct((batch_size,), np.bool_),
    }
    metrics = jax.eval_shape(task.eval_step, state, batch).keys() - {"count"}
    if keep_best is not None and (name := parse_best(keep_best)[1]) not in metrics:
        raise ValueError(
            f"keep_best must name one of {', '.join(sorted(metrics))}, got {name!r}"
        )


def with_spread(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics for JSON: of several seeds the mean, the standard deviation and each.

    Args:
      metrics: numbers, or arrays `[seeds]`, by name.

    Returns:
      `NAME`, and of several numbers also `NAME_sd` (of the sample, n - 1) and
      `NAME_each`.

    Example:
      >>> with_spread({"top1": np.array([0.25, 0.75])})["top1"]
      0.5
    """
    row: dict[str, Any] = {}
    for name, value in metrics.items():
        row[name] = float(np.mean(value))
        if np.size(value) > 1:
            row[f"{name}_sd"] = float(np.std(value, ddof=1))
            row[f"{name}_each"] = np.asarray(value, float).tolist()
    return row
