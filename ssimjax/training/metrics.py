"""What a run measures: rows in memory, as JSON lines and in TensorBoard."""

import json
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import numpy as np
import tensorboardX
from etils import epath

from ssimjax.training.workdir import write_whole

Row = dict[str, Any]


class History:
    """Rows of metrics, one per split and step; written as they come.

    Each row has `step`, `epoch` and `split`, then numbers. In a run's folder they are
    the lines of `metrics.jsonl` and the scalars `split/metric` of TensorBoard.

    Use as a context manager: leaving it closes the files.
    """

    def __init__(self, folder: epath.Path | None, *, start: int, write: bool = True):
        """Reads what an interrupted run has left behind.

        Args:
          folder: the run's folder; nothing is written if None.
          start: the step that the run continues from. Later rows are dropped: their
            steps will be taken again.
          write: whether this process writes.
        """
        self.rows: list[Row] = []
        self._path = self._lines = self._board = None
        if folder is None:
            return
        path = folder / "metrics.jsonl"
        self.rows = [row for row in read_rows(path) if row["step"] <= start]
        if not write:
            return
        write_whole(path, "".join(json.dumps(row) + "\n" for row in self.rows))
        self._path = path
        if "://" not in str(path):
            self._lines = path.open("a")
        self._board = tensorboardX.SummaryWriter(
            str(folder / "tensorboard"), purge_step=start + 1
        )

    def __enter__(self) -> "History":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._lines is not None:
            self._lines.close()
        if self._board is not None:
            self._board.close()

    def add(
        self, *, step: int, epoch: float, split: str, metrics: Mapping[str, Any]
    ) -> None:
        """Adds a row.

        Args:
          step: number of steps taken.
          epoch: passes over the training examples, a fraction.
          split: what was measured on, for example "test".
          metrics: names and numbers; lists are left out of TensorBoard.
        """
        row = {"step": step, "epoch": round(epoch, 4), "split": split, **metrics}
        self.rows.append(row)
        if self._lines is not None:
            self._lines.write(json.dumps(row) + "\n")
            self._lines.flush()
        elif self._path is not None:
            # Objects of a store cannot grow.
            write_whole(self._path, "".join(json.dumps(r) + "\n" for r in self.rows))
        if self._board is not None:
            for name, value in metrics.items():
                if not isinstance(value, list):
                    self._board.add_scalar(f"{split}/{name}", value, step)

    def add_scalar(self, step: int, name: str, value: float) -> None:
        """Adds a number to TensorBoard alone, for it differs from run to run.

        Args:
          step: number of steps taken.
          name: of the number.
          value: the number.
        """
        if self._board is not None:
            self._board.add_scalar(name, value, step)

    def add_histograms(self, step: int, values: Mapping[str, np.ndarray]) -> None:
        """Adds a histogram per array to TensorBoard.

        Args:
          step: number of steps taken.
          values: arrays by name.
        """
        if self._board is not None:
            for name, array in values.items():
                self._board.add_histogram(name, array.ravel(), step)

    def add_images(self, step: int, images: Mapping[str, np.ndarray]) -> None:
        """Adds images to TensorBoard.

        Args:
          step: number of steps taken.
          images: by name, `[h, w, c]` in [0, 1] or uint8.
        """
        if self._board is not None:
            for name, image in images.items():
                self._board.add_image(name, image, step, dataformats="HWC")


def read_rows(path: epath.PathLike) -> list[Row]:
    """The rows of a metrics file; a last line cut short by a kill is left out.

    Args:
      path: a run's `metrics.jsonl`.

    Returns:
      The rows, oldest first; none if there is no file yet.
    """
    rows, file = [], epath.Path(path)
    for line in file.read_text().splitlines() if file.exists() else ():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows
