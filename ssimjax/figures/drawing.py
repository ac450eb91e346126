"""What all pictures share: their style, their file, tiles."""

import contextlib
import itertools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from etils import epath

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Of Okabe and Ito, which most people tell apart.
COLORS = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7"),
    *("#e69f00", "#56b4e9", "#000000", "#f0e442"),
)
_STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 8,
}


def colored(groups: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, Any]]]:
    """Every group and its name, with a colour; from the ninth on they come again."""
    return zip(itertools.cycle(COLORS), groups.items())


def tile(tiles: np.ndarray, columns: int) -> np.ndarray:
    """One picture of many, `[n, h, w, c]`, with white lines between them."""
    rows = -(-len(tiles) // columns)
    missing = rows * columns - len(tiles)
    framed = np.pad(tiles, ((0, missing), (0, 1), (0, 1), (0, 0)), constant_values=1.0)
    framed[len(tiles) :] = 1.0
    _, height, width, channels = framed.shape
    grid = framed.reshape(rows, columns, height, width, channels)
    grid = grid.transpose(0, 2, 1, 3, 4)
    return grid.reshape(rows * height, columns * width, channels)[:-1, :-1]


@contextlib.contextmanager
def drawing(path: epath.PathLike, width: float, height: float) -> "Iterator[Figure]":
    """A figure of so many inches, saved as a PNG file at the end."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained", dpi=160)
        yield figure
        with epath.Path(path).open("wb") as file:
            figure.savefig(file, format="png")
