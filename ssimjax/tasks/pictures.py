"""Which pictures a classification run leaves in its folder."""

from collections.abc import Mapping, Sequence

from etils import epath

from ssimjax import figures
from ssimjax.tasks.run import Run
from ssimjax.training import Row


def draw_training(runs: Mapping[str, Run], folder: epath.PathLike) -> list[epath.Path]:
    """Draws the training curves of all runs in one picture, and the kernels of each.

    Of several seeds, the kernels are those of the first.

    Args:
      runs: trained classifiers, by the name to print.
      folder: where the pictures go.

    Returns:
      The PNG files: `training-curves.png`, and `NAME-first-layer-kernels.png` and
      `NAME-ssim-kernels.png` where a network has such layers.
    """
    folder = epath.Path(folder)
    curves = folder / "training-curves.png"
    figures.training_curves({n: run.history for n, run in runs.items()}, curves)
    paths = [curves]
    for name, run in runs.items():
        for layer, filters in run.task.kernels(run.states()[0]).items():
            path = folder / f"{name}-{layer}-kernels.png"
            height, width, channels, count = filters.shape
            figures.kernels(
                filters,
                path,
                title=f"{name} network, {layer} kernels: {height}x{width}x{channels}, "
                f"the largest of {count} by norm",
            )
            paths.append(path)
    return paths


def draw_attack(
    tables: Mapping[str, Sequence[Row]], folder: epath.PathLike, *, classes: int
) -> epath.Path:
    """Draws accuracy against epsilon, all networks in one picture.

    Args:
      tables: rows of `attack_accuracy`, by the name to print.
      folder: where the picture goes.
      classes: number of classes, for the level of chance.

    Returns:
      The PNG file, `accuracy-against-epsilon.png`.
    """
    path = epath.Path(folder) / "accuracy-against-epsilon.png"
    figures.accuracy_against_epsilon(tables, path, chance=1 / classes)
    return path


def draw_corruptions(
    tables: Mapping[str, Sequence[Row]], folder: epath.PathLike
) -> epath.Path:
    """Draws accuracy against the severity of each corruption, for all networks.

    Args:
      tables: rows of `corruption_accuracy`, by the name to print.
      folder: where the picture goes.

    Returns:
      The PNG file, `accuracy-against-severity.png`.
    """
    path = epath.Path(folder) / "accuracy-against-severity.png"
    figures.accuracy_against_severity(tables, path)
    return path
