"""Checkpoints of a training state, by Orbax."""

from typing import Any

import jax
import orbax.checkpoint as ocp
from etils import epath


class Checkpoints:
    """The checkpoints of one run, written in the background, each whole or not there.

    Use as a context manager: leaving it waits for the last save.
    """

    def __init__(self, folder: epath.PathLike, *, keep: int):
        """Opens the folder, creating it if necessary.

        Args:
          folder: where the checkpoints are.
          keep: how many of the newest are kept, >= 1.
        """
        self._manager = ocp.CheckpointManager(
            epath.Path(folder).resolve(),
            options=ocp.CheckpointManagerOptions(
                max_to_keep=keep, cleanup_tmp_directories=True
            ),
        )

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *error: Any) -> None:
        self._manager.wait_until_finished()
        self._manager.close()

    @property
    def latest(self) -> int | None:
        """Step of the newest complete checkpoint, None if there is none."""
        return self._manager.latest_step()

    def save(self, step: int, state: Any) -> None:
        """Starts to write the state after `step` steps; once per step.

        Args:
          step: number of steps taken.
          state: a tree of arrays.
        """
        if step != self.latest:
            self._manager.save(step, args=ocp.args.StandardSave(state))

    def restore(self, step: int, like: Any) -> Any:
        """Reads a state.

        Args:
          step: number of steps taken when it was saved.
          like: a tree of arrays with the structure, shapes and shardings wanted.

        Returns:
          The state.
        """
        abstract = jax.tree.map(ocp.tree.to_shape_dtype_struct, like)
        return self._manager.restore(step, args=ocp.args.StandardRestore(abstract))
