"""Checkpoints of a training state, by Orbax."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import orbax.checkpoint as ocp
from etils import epath

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
        read_only: bool = False,
    ):
        """Opens the folder, creating it if necessary.

        Args:
          folder: where the checkpoints are.
          keep: how many of the newest are kept, >= 1.
          keep_every: those of multiples of so many steps are kept, too.
          keep_best: "max NAME" or "min NAME" keeps, too, the one whose metric of that
            name is the largest or the smallest.
          read_only: whether to change nothing, for a run may be writing.
        """
        self._read_only = read_only
        policies: list[Any] = [ocp.checkpoint_managers.LatestN(keep)]
        if keep_every is not None:
            policies.append(ocp.checkpoint_managers.EveryNSteps(keep_every))
        self._metric: str | None = None
        if keep_best is not None:
            direction, name = parse_best(keep_best)
            self._metric = name
            policies.append(
                ocp.checkpoint_managers.BestN(
                    get_metric_fn=lambda metrics: metrics[name],
                    reverse=direction == "min",
                    n=1,
                    keep_checkpoints_without_metrics=False,
                )
            )
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
        judged = None
        if self._metric is not None and metrics is not None:
            if self._metric not in metrics:
                raise ValueError(
                    f"keep_best names {self._metric!r}, but the metrics are "
                    f"{', '.join(metrics)}"
                )
            judged = {self._metric: float(metrics[self._metric])}
        try:
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardSave(state), notes=ocp.args.JsonSave(notes)
                ),
                metrics=judged,
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
            report(f"checkpoint {path} is broken and not used: {_in_short(error)}")
            if is_main() and not self._read_only:
                aside = self._folder / f"broken-{step}"
                if aside.exists():
                    aside.rmtree()
                path.rename(aside)
        if errors and not self._read_only:
            barrier("broken checkpoints are set aside")
            self._manager.reload()


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
