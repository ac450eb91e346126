"""What the studies of all papers are told."""

import dataclasses
import math
import statistics
from collections.abc import Callable, Sequence

import ml_collections
from etils import epath

from ssimjax.tasks import Run, train


@dataclasses.dataclass(frozen=True)
class Settings:
    """How much is trained, and where it goes.

    Attributes:
      workdir: folder of the runs.
      pictures: folder of the pictures of the page.
      seeds: networks of each kind.
      epochs: instead of the config's; None for those.
      change: what else is changed in a config, such as where the data are.
    """

    workdir: epath.Path
    pictures: epath.Path
    seeds: int
    epochs: float | None
    change: Callable[[ml_collections.ConfigDict], None]

    def train(self, name: str, config: ml_collections.ConfigDict) -> Run:
        """The trained networks of a config, from their folder if they are there."""
        config.seeds = self.seeds
        if self.epochs is not None:
            config.training.epochs = self.epochs
        self.change(config)
        print(f"{name} ...", flush=True)
        return train(config, self.workdir / name)

    @property
    def spread(self) -> str:
        """What stands behind ± in a table, after "Means over images"."""
        if self.seeds == 1:
            return "of one network each"
        return f"± the standard deviation over {self.seeds} seeds"

    def picture(self, file: str) -> str:
        """Markdown that shows a picture of the page."""
        return f"![{file.removesuffix('.png')}]({self.pictures.name}/{file})"


def difference(
    names: Sequence[str],
    first: Sequence[float],
    second: Sequence[float],
    *,
    unit: str,
    digits: int = 1,
) -> str:
    """Mean difference of two networks over independent seeds, with Welch's interval.

    Args:
      names: of the two.
      first: a number per seed.
      second: likewise.
      unit: what the numbers are, for example "points on the test split".
      digits: after the decimal point.

    Returns:
      A sentence.
    """
    gap, low, high = (f"{v:+.{digits}f}" for v in gap_and_interval(first, second))
    return (
        f"{names[0]} − {names[1]}: {gap} {unit} (95 % interval {low} to {high}, Welch, "
        f"{len(first)} seeds each)."
    )


def gap_and_interval(
    first: Sequence[float], second: Sequence[float]
) -> tuple[float, float, float]:
    """Mean difference over independent seeds, and Welch's interval of 95 %.

    Args:
      first: a number per seed.
      second: likewise.

    Returns:
      The difference and the ends of the interval, which are infinite where no seed
      differs from another: nothing is known then of how far seeds may differ.
    """
    gap = statistics.mean(first) - statistics.mean(second)
    if len(set(first)) == len(set(second)) == 1:
        return gap, -math.inf, math.inf
    # Only here: it takes a second to import.
    from scipy import stats

    test = stats.ttest_ind(first, second, equal_var=False)
    low, high = test.confidence_interval(0.95)
    return gap, low, high
