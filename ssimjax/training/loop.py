"""The loop. It knows no task and no model: a task comes in as a value."""

import contextlib
import json
import math
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from etils import epath
from jax.sharding import Mesh
from jaxtyping import Array, PRNGKeyArray
from tqdm import tqdm

from ssimjax.data import Arrays, Batch, Dataset, eval_batches, train_batch
from ssimjax.training.checkpoints import Checkpoints
from ssimjax.training.keys import named_key
from ssimjax.training.mesh import check_batch_size, data_mesh, replicate, shard_batch
from ssimjax.training.metrics import History, Row

Metrics = Mapping[str, Array]


@runtime_checkable
class Evaluable(Protocol):
    """What can be evaluated on batches of `image`, `label` and `mask`."""

    def eval_step(self, state: Any, batch: Batch, /) -> Metrics:
        """Sums over the examples that `mask` admits, and their number as `count`."""
        ...


@runtime_checkable
class Task(Evaluable, Protocol):
    """What a study does with a batch. Methods are pure and run under `jax.jit`.

    A batch holds `image`, `label` and, for evaluation, `mask`. A state is any tree of
    arrays.
    """

    def init(self, key: PRNGKeyArray, /) -> Any:
        """The state before the first step."""
        ...

    def train_step(
        self, key: PRNGKeyArray, state: Any, batch: Batch, /
    ) -> tuple[Any, Metrics]:
        """The state after one step, and means over the batch, `loss` among them."""
        ...


class Fitted(NamedTuple):
    """What training leaves behind.

    Attributes:
      state: the task's state after the last step.
      history: rows of metrics, oldest first.
      summary: final metrics and costs.
    """

    state: Any
    history: list[Row]
    summary: dict[str, Any]


def fit(
    task: Task,
    dataset: Dataset,
    *,
    seed: int,
    epochs: float,
    batch_size: int,
    eval_batch_size: int,
    log_every: int,
    eval_every: int,
    checkpoint_every: int,
    keep_checkpoints: int = 2,
    workdir: epath.Path | None = None,
) -> Fitted:
    """Trains a task, or continues where a killed run has left its last checkpoint.

    Step k of a run sees the batch and the key of step k, whatever happened before:
    both are functions of the seed and k.

    Args:
      task: what to train.
      dataset: what to train on, and to evaluate on.
      seed: of everything random.
      epochs: passes over the training examples; may be a fraction.
      batch_size: examples per step, over all devices.
      eval_batch_size: examples per evaluation step, over all devices.
      log_every: steps between rows of training metrics.
      eval_every: steps between evaluations on the test split.
      checkpoint_every: steps between checkpoints.
      keep_checkpoints: how many of the newest checkpoints are kept.
      workdir: the run's folder; nothing is written if None.

    Returns:
      The trained state, its history and its summary.

    Raises:
      ValueError: if a batch size is not a multiple of the number of devices, or a
        number of steps is not positive.
      FloatingPointError: if the loss is not finite.
    """
    for name, value in {
        "epochs": epochs,
        "log_every": log_every,
        "eval_every": eval_every,
        "checkpoint_every": checkpoint_every,
        "keep_checkpoints": keep_checkpoints,
    }.items():
        if not value > 0:
            raise ValueError(f"{name} must be > 0, got {value}")
    mesh = data_mesh()
    check_batch_size("batch_size", batch_size, mesh)
    check_batch_size("eval_batch_size", eval_batch_size, mesh)
    length = len(dataset.train)
    steps = total_steps(length, epochs=epochs, batch_size=batch_size)
    root = jax.random.key(seed)
    train_key = named_key(root, "train")

    def step_with_key(state: Any, batch: Batch, step: Array) -> tuple[Any, Metrics]:
        return task.train_step(jax.random.fold_in(train_key, step), state, batch)

    train_step = jax.jit(step_with_key, donate_argnums=0)
    evaluate = evaluator(task, mesh=mesh, batch_size=eval_batch_size)
    state = replicate(jax.jit(task.init)(named_key(root, "init")), mesh)

    with (
        contextlib.nullcontext()
        if workdir is None
        else Checkpoints(workdir / "checkpoints", keep=keep_checkpoints)
    ) as checkpoints:
        start = 0
        if checkpoints is not None and checkpoints.latest is not None:
            start = checkpoints.latest
            state = checkpoints.restore(start, state)
        clock = _Clock()
        with (
            History(workdir, start=start) as history,
            tqdm(
                total=steps * batch_size,
                initial=start * batch_size,
                unit="image",
                unit_scale=True,
                disable=None,  # Quiet where the output is no terminal.
            ) as bar,
        ):
            recent: list[Metrics] = []
            clock.resume()
            for step in range(start, steps):
                batch = train_batch(
                    dataset.train, step=step, batch_size=batch_size, seed=seed
                )
                state, metrics = train_step(
                    state, shard_batch(batch, mesh), jnp.asarray(step)
                )
                recent.append(metrics)
                if step == start:
                    clock.compiled(metrics)
                else:
                    clock.steps += 1
                done = step + 1
                epoch = done * batch_size / length
                if done % log_every == 0 or done == steps:
                    means = _means(recent)
                    clock.pause()
                    if not math.isfinite(means["loss"]):
                        saved = checkpoints and checkpoints.latest
                        raise FloatingPointError(
                            f"loss is {means['loss']} within the {len(recent)} steps "
                            f"before step {done}; last checkpoint: step {saved}"
                        )
                    recent = []
                    history.add(step=done, epoch=epoch, split="train", metrics=means)
                    bar.set_postfix({k: f"{v:.3f}" for k, v in means.items()})
                    clock.resume()
                bar.update(batch_size)
                if done % eval_every == 0 or done == steps:
                    jax.block_until_ready(state)
                    clock.pause()
                    history.add(
                        step=done,
                        epoch=epoch,
                        split="test",
                        metrics=evaluate(state, dataset.test),
                    )
                    clock.resume()
                if checkpoints is not None and done % checkpoint_every == 0:
                    checkpoints.save(done, state)
            if checkpoints is not None:
                checkpoints.save(steps, state)
            summary = {
                "steps": steps,
                "continued_from": start,
                "train": evaluate(state, dataset.train),
                "test": evaluate(state, dataset.test),
                "images_per_second": clock.rate(batch_size),
                "compile_seconds": clock.compile_seconds,
                "device": f"{mesh.devices.size} x {mesh.devices.flat[0].device_kind}",
            }
            rows = history.rows
    if workdir is not None:
        (workdir / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    return Fitted(state, rows, summary)


def total_steps(length: int, *, epochs: float, batch_size: int) -> int:
    """Steps that make a number of epochs.

    Args:
      length: number of training examples.
      epochs: passes over them; may be a fraction.
      batch_size: examples per step.

    Returns:
      The number of steps, at least 1.

    Example:
      >>> total_steps(100, epochs=1.5, batch_size=10)
      15
    """
    return max(1, math.ceil(epochs * length / batch_size))


def evaluator(
    task: Evaluable, *, mesh: Mesh, batch_size: int
) -> Callable[[Any, Arrays], dict[str, float]]:
    """A function that evaluates states of a task, compiled once.

    Args:
      task: the task.
      mesh: the devices.
      batch_size: examples per evaluation step, over all devices.

    Returns:
      A function of a state and examples: means of the task's sums over the examples,
      each of which counts exactly once.
    """
    eval_step = jax.jit(task.eval_step)

    def evaluate(state: Any, arrays: Arrays) -> dict[str, float]:
        sums: dict[str, float] = {}
        for batch in eval_batches(arrays, batch_size=batch_size):
            for name, value in eval_step(state, shard_batch(batch, mesh)).items():
                sums[name] = sums.get(name, 0.0) + float(value)
        count = sums.pop("count")
        return {name: value / count for name, value in sums.items()}

    return evaluate


def _means(recent: list[Metrics]) -> dict[str, float]:
    values = jax.device_get(recent)
    return {k: float(sum(v[k] for v in values) / len(values)) for k in values[0]}


class _Clock:
    """Seconds of training alone: no compilation, no evaluation."""

    def __init__(self):
        self.compile_seconds = 0.0
        self.steps = 0
        self._seconds = 0.0
        self._since = 0.0

    def resume(self) -> None:
        self._since = time.perf_counter()

    def pause(self) -> None:
        self._seconds += time.perf_counter() - self._since

    def compiled(self, result: Any) -> None:
        """Ends the first step, which compiles and does not count."""
        jax.block_until_ready(result)
        self.compile_seconds = time.perf_counter() - self._since
        self.resume()

    def rate(self, batch_size: int) -> float | None:
        """Images per second; None where no step after the first was taken."""
        return self.steps * batch_size / self._seconds if self.steps else None
