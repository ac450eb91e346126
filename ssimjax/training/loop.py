"""The loop. It knows no task and no model: a task comes in as a value."""

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from etils import epath
from tqdm import tqdm

from ssimjax.data import Batch, Dataset, gather, read_ahead
from ssimjax.training.checkpoints import Checkpoints
from ssimjax.training.clock import Clock
from ssimjax.training.evaluation import (
    Evaluate,
    check_evaluation,
    evaluator,
    with_spread,
)
from ssimjax.training.finite import nonfinite_leaves
from ssimjax.training.keys import root_key
from ssimjax.training.mesh import check_batch_size, data_mesh
from ssimjax.training.metrics import History, Row, read_rows
from ssimjax.training.options import Options
from ssimjax.training.preemption import Notice, Preempted
from ssimjax.training.processes import barrier, is_main
from ssimjax.training.profiling import Profile
from ssimjax.training.program import Program
from ssimjax.training.steps import calls, total_steps
from ssimjax.training.task import Pictured, Task
from ssimjax.training.workdir import alone_in, write_whole

Report = Callable[[str], None]


class Fitted(NamedTuple):
    """What training leaves behind.

    Attributes:
      state: the task's state after the last step, whole in every process; with several
        seeds, all arrays have a leading axis of them.
      history: rows of metrics, oldest first.
      summary: final metrics and costs.
    """

    state: Any
    history: list[Row]
    summary: dict[str, Any]


def fit(
    task: Task,
    dataset: Dataset,
    options: Options,
    *,
    seed: int,
    seeds: int = 1,
    mesh_shape: Sequence[int] | None = None,
    workdir: epath.Path | None = None,
    report: Report = lambda text: None,
) -> Fitted:
    """Trains a task, or continues where a killed run has left its last checkpoint.

    Step k of a run sees the batch and the key of step k, whatever happened before:
    both are functions of the seed and k. With several seeds, replica i is the run of
    seed + i, and all replicas are one program.

    Args:
      task: what to train.
      dataset: what to train on, and to evaluate on.
      options: how long, and what is kept.
      seed: of everything random.
      seeds: number of replicas, each initialised and shuffled by itself.
      mesh_shape: of `data_mesh`.
      workdir: the run's folder; nothing is written if None.
      report: called, in the main process, with sentences worth printing.

    Returns:
      The trained state, its history and its summary.

    Raises:
      ValueError: if a batch size does not fit the devices, the test images do not fit
        what evaluation computes, `keep_best` names no metric, or no checkpoint of the
        folder can be read.
      FloatingPointError: if a metric of a step is not finite, unless the options say to
        skip such steps, or if the state is not where it is saved and at the end.
      OSError: if the folder cannot be written.
      Preempted: after SIGTERM, with the state saved; also if all steps are taken.
    """
    if seeds < 1:
        raise ValueError(f"seeds must be >= 1, got {seeds}")
    mesh = data_mesh(replicas=seeds, shape=mesh_shape)
    check_batch_size("batch_size", options.batch_size, mesh)
    check_batch_size("eval_batch_size", options.eval_batch_size, mesh)
    say = report if is_main() else lambda text: None
    program = Program(
        task.init,
        task.train_step,
        seeds=range(seed, seed + seeds),
        mesh=mesh,
        skip_nonfinite=options.nonfinite == "skip",
    )
    evaluate = evaluator(
        task,
        mesh=mesh,
        batch_size=options.eval_batch_size,
        replicas=seeds if seeds > 1 else None,
    )
    check_evaluation(
        task,
        jax.eval_shape(task.init, root_key(seed)),
        dataset.test,
        batch_size=options.eval_batch_size,
        keep_best=options.keep_best,
    )
    with contextlib.ExitStack() as stack:
        # Until all is written: the last checkpoint is saved beside the last evaluation.
        notice = stack.enter_context(Notice())
        checkpoints = None
        if workdir is not None:
            stack.enter_context(alone_in(workdir))
            checkpoints = stack.enter_context(
                Checkpoints(
                    workdir / "checkpoints",
                    keep=options.keep_checkpoints,
                    keep_every=options.keep_every,
                    keep_best=options.keep_best,
                    rows=read_rows(workdir / "metrics.jsonl"),
                )
            )
        start, state, since_row = 0, program.initial_state(), None
        if checkpoints is not None:
            found = checkpoints.restore(state, report=say)
            start, state, since_row = found or (start, state, since_row)
        if start:
            say(f"Continuing after step {start}.")
        history = stack.enter_context(History(workdir, start=start, write=is_main()))
        run = _Run(
            task,
            dataset,
            options,
            program,
            evaluate,
            checkpoints,
            history,
            seeds=seeds,
            workdir=workdir,
        )
        state = run.train(state, start, since_row, notice)
        summary = {
            "steps": run.steps,
            "continued_from": start,
            "seeds": list(range(seed, seed + seeds)),
            "train": with_spread(evaluate(state, dataset.train)),
            "test": run.results or with_spread(evaluate(state, dataset.test)),
            "images_per_second": run.clock.rate,
            "compile_seconds": program.compile_seconds,
            "memory_bytes": program.memory_bytes,
            "device": f"{mesh.devices.size} x {mesh.devices.flat[0].device_kind}",
        }
        if checkpoints is not None:
            checkpoints.finish()
        if workdir is not None:
            if is_main():
                text = json.dumps(summary, indent=2) + "\n"
                write_whole(workdir / "summary.json", text)
            barrier("summary is written")
        state = program.replicated(state)
    # Whoever trains several networks shall not begin the next.
    if run.stopped or notice.received:
        raise Preempted(run.steps, workdir)
    return Fitted(state, history.rows, summary)


class _Run:
    """The steps of one run, and what is due between them."""

    def __init__(
        self,
        task: Task,
        dataset: Dataset,
        options: Options,
        program: Program,
        evaluate: Evaluate,
        checkpoints: Checkpoints | None,
        history: History,
        *,
        seeds: int,
        workdir: epath.Path | None,
    ):
        self._task, self._dataset, self._options = task, dataset, options
        self._program, self._evaluate = program, evaluate
        self._checkpoints, self._history = checkpoints, history
        self._seeds, self._workdir = seeds, workdir
        self._length = len(dataset.train)
        self.steps = total_steps(
            self._length, epochs=options.epochs, batch_size=options.batch_size
        )
        self.clock = Clock()
        # Of the last step, if this process took it.
        self.results: dict[str, Any] | None = None
        # Whether SIGTERM came too late to leave steps out.
        self.stopped = False

    def train(self, state: Any, start: int, since_row: Any, notice: Notice) -> Any:
        """All steps from `start` on; `since_row` are metrics of steps without a row."""
        options, clock = self._options, self.clock
        recent: list[Any] = []
        if since_row:
            recent.append({name: np.array(value) for name, value in since_row.items()})
        parts = list(calls(start, self.steps, options))
        with (
            Profile(options.profile_steps, self._workdir) as profile,
            tqdm(
                total=self.steps * self._images_per_step,
                initial=start * self._images_per_step,
                unit="image",
                unit_scale=True,
                # Quiet where the output is no terminal.
                disable=None if is_main() else True,
            ) as bar,
        ):
            loaded = read_ahead(self._load, parts)
            clock.resume()
            for tick, (part, batches) in enumerate(zip(parts, loaded)):
                profile.before(part)
                if self._program.is_compiled(len(part)):
                    state, metrics = self._program(state, batches, part.start)
                    clock.images += len(part) * self._images_per_step
                else:
                    clock.pause()
                    state, metrics = self._program(state, batches, part.start)
                    jax.block_until_ready(metrics)
                    clock.resume()
                recent.append(metrics)
                # The host runs no further ahead of the devices.
                jax.block_until_ready(recent[max(0, len(recent) - 3)])
                profile.after(part, metrics)
                bar.update(len(part) * self._images_per_step)

                done = part.stop
                stopping = notice.reached(tick)
                log, evaluate, save = (
                    done % every == 0 or done == self.steps
                    for every in (
                        options.log_every,
                        options.eval_every,
                        options.checkpoint_every,
                    )
                )
                evaluate |= save and options.keep_best is not None
                if not (log or evaluate or save or stopping):
                    continue
                values = self._checked(recent, done)
                clock.pause()
                if save or stopping:
                    self._check_state(state, done)
                if log:
                    row = with_spread(_means(values))
                    if options.nonfinite == "skip":
                        row["skipped"] = int((~values["finite"]).sum())
                    self._add_row("train", done, row)
                    if clock.rate is not None:
                        self._history.add_scalar(
                            done, "speed/images_per_second", clock.rate
                        )
                    bar.set_postfix(loss=f"{row['loss']:.3f}")
                    recent, values = [], {}
                results = None
                if evaluate:
                    results = with_spread(self._evaluate(state, self._dataset.test))
                    self._add_row("test", done, results)
                if done == self.steps:
                    self.results = results
                    self._visualise(state, done)
                if self._checkpoints is not None and (save or stopping):
                    notes = {name: value.tolist() for name, value in values.items()}
                    self._checkpoints.save(done, state, notes=notes, metrics=results)
                if stopping and done < self.steps:
                    if self._checkpoints is not None:
                        self._checkpoints.finish()
                    raise Preempted(done, self._workdir)
                self.stopped = stopping
                clock.resume()
            clock.pause()
        return state

    @property
    def _images_per_step(self) -> int:
        return self._options.batch_size * self._seeds

    def _load(self, part: range) -> Batch:
        """The batches of some steps, on the devices."""
        return gather(
            self._dataset.train,
            self._indices(part),
            sharding=self._program.batch_sharding,
        )

    def _indices(self, part: range) -> np.ndarray:
        return self._program.indices(
            part, batch_size=self._options.batch_size, length=self._length
        )

    def _add_row(self, split: str, done: int, metrics: Mapping[str, Any]) -> None:
        self._history.add(
            step=done,
            epoch=done * self._options.batch_size / self._length,
            split=split,
            metrics=metrics,
        )

    def _checked(self, recent: Sequence[Any], done: int) -> dict[str, np.ndarray]:
        """Metrics of the steps since the last row; raises at the first bad one."""
        values = jax.tree.map(
            lambda *parts: np.concatenate(parts), *jax.device_get(list(recent))
        )
        finite = values["finite"]
        if finite.all() or self._options.nonfinite == "skip":
            return values
        count = len(finite)
        row = int(np.argmin(finite.reshape(count, -1).all(1)))
        step = done - count + row
        bad = [k for k, v in values.items() if not np.isfinite(v[row]).all()]
        saved = self._checkpoints and self._checkpoints.latest
        where = self._dump(step)
        raise FloatingPointError(
            f"{' and '.join(f'{name} is {_shown(values[name][row])}' for name in bad)} "
            f"at step {step + 1}; last checkpoint: step {saved}"
            + (f"; the batch is in {where}" if where else "")
            + "; training.nonfinite='skip' leaves such steps out"
        )

    def _check_state(self, state: Any, done: int) -> None:
        """Raises if a step with finite metrics left numbers that are not."""
        if bad := nonfinite_leaves(state):
            raise FloatingPointError(
                f"{', '.join(bad[:5])}{' and others' * (len(bad) > 5)} of the state "
                f"after step {done} are not finite; last checkpoint: step "
                f"{self._checkpoints and self._checkpoints.latest}"
            )

    def _dump(self, step: int) -> epath.Path | None:
        """Writes the batch of a step."""
        if self._workdir is None or not is_main():
            return None
        indices = self._indices(range(step, step + 1))[0]
        path = self._workdir / f"batch-of-step-{step + 1}.npz"
        with path.open("wb") as file:
            np.savez(file, index=indices, **gather(self._dataset.train, indices))
        return path

    def _visualise(self, state: Any, done: int) -> None:
        """Histograms of parameters and the task's pictures, for TensorBoard."""
        here = all(
            leaf.is_fully_addressable or leaf.is_fully_replicated
            for leaf in jax.tree.leaves(state)
        )
        if not (self._options.visualise and is_main() and here):
            return
        # On the host: other processes are not here to compute with.
        state = jax.tree.map(np.asarray, state)
        leaves = jax.tree_util.tree_leaves_with_path(getattr(state, "params", state))
        self._history.add_histograms(
            done,
            {
                jax.tree_util.keystr(path, simple=True, separator="/"): leaf
                for path, leaf in leaves
            },
        )
        if isinstance(self._task, Pictured):
            first = (
                jax.tree.map(lambda leaf: leaf[0], state) if self._seeds > 1 else state
            )
            self._history.add_images(done, self._task.pictures(first))


def _means(values: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Means over the finite steps: numbers, or arrays `[seeds]`."""
    finite = values["finite"]
    count = finite.sum(0)
    return {
        name: np.where(finite, value, 0).sum(0, dtype=np.float64)
        / np.where(count, count, np.nan)
        for name, value in values.items()
        if name != "finite"
    }


def _shown(value: np.ndarray | np.generic) -> str:
    return ", ".join(str(number) for number in np.ravel(value))
