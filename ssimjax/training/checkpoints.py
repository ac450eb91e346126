"""Checkpoints of a training state, by Orbax."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import orbax.checkpoint as ocp
from etils import epath

from ssimjax.training.metrics import Row
from ssimjax.training.processes import all_agree, barrier, is_main


class Checkpoints:
    """The checkpoints of one run, written in the background, each whole or not there.

    Use as a context manager: leaving it waits for the last save.
    """

    def __init__(
        self,
        folder: epath.PathLike,
        *,
        keep: int = 1,
        keep_every: int | None = None,
        keep_best: str | None = None,
        rows: Sequence[Row] = (),
        read_only: bool = False,
    ):
        """Opens the folder, creating it if necessary.

        Args:
          folder: where the checkpoints are.
          keep: how many of the newest are kept, >= 1.
          keep_every: those of multiples of so many steps are kept, too.
          keep_best: "max NAME" or "min NAME" keeps, too, the one whose metric of that
            name is the largest or the smallest.
          rows: of the run so far, which say what checkpoints that are there scored.
          read_only: whether to change nothing, for a run may be writing.
        """
        self._read_only = read_only
        policies: list[Any] = [ocp.checkpoint_managers.LatestN(keep)]
        if keep_every is not None:
            policies.append(ocp.checkpoint_managers.EveryNSteps(keep_every))
        self._best: _Best | None = None
        if keep_best is not None:
            self._best = _Best(keep_best, rows)
            policies.append(self._best)
        self._folder = epath.Path(folder).resolve()
        self._manager = ocp.CheckpointManager(
            self._folder,
            options=ocp.CheckpointManagerOptions(
                preservation_policy=ocp.checkpoint_managers.AnyPreservationPolicy(
                    policies
                ),
                cleanup_tmp_directories=not read_only,
                create=not read_only,
            ),
        )

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *error: Any) -> None:
        try:
            self._manager.wait_until_finished()
        finally:
            self._manager.close()

    @property
    def steps(self) -> list[int]:
        """Steps of the complete checkpoints, oldest first."""
        return sorted(self._manager.all_steps())

    @property
    def latest(self) -> int | None:
        """Step of the newest complete checkpoint, None if there is none."""
        return self._manager.latest_step()

    def save(
        self,
        step: int,
        state: Any,
        *,
        notes: Any = None,
        metrics: Mapping[str, Any] | None = None,
    ) -> None:
        """Starts to write the state after `step` steps; once per step.

        Args:
          step: number of steps taken.
          state: a tree of arrays.
          notes: anything JSON can hold that belongs to this step.
          metrics: of the evaluation at this step, if there was one.

        Raises:
          OSError: if this or the previous checkpoint could not be written.
        """
        if step == self.latest:
            return
        if self._best is not None and metrics is not None:
            self._best.add(step, metrics)
        try:
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardSave(state), notes=ocp.args.JsonSave(notes)
                ),
            )
        except Exception as error:  # Of many kinds, from threads that write.
            raise OSError(
                f"checkpoint {self._folder / str(step)} or the one before it could not "
                f"be written: {error}"
            ) from error

    def finish(self) -> None:
        """Waits until all is written.

        Raises:
          OSError: if it could not be.
        """
        try:
            self._manager.wait_until_finished()
        except Exception as error:
            raise OSError(
                f"the last checkpoint in {self._folder} could not be written: {error}"
            ) from error

    def restore(
        self,
        like: Any,
        *,
        only: int | None = None,
        report: Callable[[str], None],
    ) -> tuple[int, Any, Any] | None:
        """Reads the newest state that can be read, or that after so many steps.

        Those newer than it are broken: they are reported and, unless only reading, set
        aside as `broken-STEP`.

        Args:
          like: a tree of arrays with the structure, shapes and shardings wanted.
          only: which of `steps`, and no other; None for the newest.
          report: called with a sentence for every broken checkpoint.

        Returns:
          The number of steps taken, the state and the notes; None if there is no
          checkpoint.

        Raises:
          ValueError: if there are checkpoints, and none can be read, or that of `only`
            is not there or cannot be read.
        """
        abstract = jax.tree.map(ocp.tree.to_shape_dtype_struct, like)
        errors: dict[int, Exception] = {}
        wanted = self.steps if only is None else [only]
        if not set(wanted) <= set(self.steps):
            raise ValueError(
                f"checkpoint must be one of {', '.join(map(str, self.steps))} in "
                f"{self._folder}, got {only}"
            )
        for step in reversed(wanted):
            found: Any = None
            try:
                found = self._manager.restore(
                    step,
                    args=ocp.args.Composite(
                        state=ocp.args.StandardRestore(abstract),
                        notes=ocp.args.JsonRestore(),
                    ),
                )
            except Exception as error:  # Of many kinds: any file may be damaged.
                errors[step] = error
            if all_agree(step not in errors):
                self._set_aside(errors, report)
                return step, found["state"], found["notes"]
            errors.setdefault(step, RuntimeError("another process could not read it"))
        if errors:
            newest = max(errors)
            if only is not None:
                which = f"checkpoint {self._folder / str(newest)} cannot be read: "
            else:
                which = (
                    f"no checkpoint in {self._folder} can be read; the newest, "
                    f"{newest}, fails with: "
                )
            raise ValueError(which + _in_short(errors[newest]))
        return None

    def _set_aside(
        self, errors: Mapping[int, Exception], report: Callable[[str], None]
    ) -> None:
        for step, error in errors.items():
            path = self._folder / str(step)
            if self._read_only and not path.exists():
                continue  # The run that is writing has removed it.
            report(f"checkpoint {path} is broken and not used: {_in_short(error)}")
            if is_main() and not self._read_only:
                aside = self._folder / f"broken-{step}"
                if aside.exists():
                    aside.rmtree()
                path.rename(aside)
        if errors and not self._read_only:
            barrier("broken checkpoints are set aside")
            self._manager.reload()


class _Best(ocp.checkpoint_managers.PreservationPolicy):
    """Keeps the checkpoint of the best score.

    Orbax's own policy knows the scores of checkpoints that it has written itself alone:
    a run that continued would lose the best one.
    """

    def __init__(self, rule: str, rows: Sequence[Row]):
        direction, self._name = parse_best(rule)
        self._sign = 1 if direction == "max" else -1
        self._scores = scores(rows, self._name)

    def add(self, step: int, metrics: Mapping[str, Any]) -> None:
        self._scores |= scores(
            [{"split": "test", "step": step} | dict(metrics)], self._name
        )

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list:
        there = [info.step for info in checkpoints if info.step in self._scores]
        best = max(
            there, key=lambda step: self._sign * self._scores[step], default=None
        )
        return [info.step == best for info in checkpoints]


def scores(rows: Sequence[Row], name: str) -> dict[int, float]:
    """A metric of the test split by the step of its evaluation.

    Args:
      rows: of a run's metrics.
      name: of the metric.

    Returns:
      Finite numbers, oldest first.

    Example:
      >>> scores([{"split": "test", "step": 5, "top1": 0.5}], "top1")
      {5: 0.5}
    """
    return {
        row["step"]: float(row[name])
        for row in rows
        if row["split"] == "test" and name in row and math.isfinite(row[name])
    }


def parse_best(text: str) -> tuple[str, str]:
    """Direction and name of "max NAME" or "min NAME".

    Args:
      text: the rule.

    Returns:
      "max" or "min", and the metric's name.

    Raises:
      ValueError: if it is neither.

    Example:
      >>> parse_best("max top1")
      ('max', 'top1')
    """
    direction, _, name = text.partition(" ")
    if direction not in ("max", "min") or not name:
        raise ValueError(
            f"keep_best must be 'max METRIC' or 'min METRIC', got {text!r}"
        )
    return direction, name


def _in_short(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0][:300]}"
