"""Which pictures a classification run leaves in its folder."""

from collections.abc import Mapping, Sequence

import numpy as np
from etils import epath
from flax import nnx

from ssimjax import figures
from ssimjax.nn import SSIMConv
from ssimjax.tasks.run import Run
from ssimjax.training import Row


def draw_training(runs: Mapping[str, Run], folder: epath.PathLike) -> list[epath.Path]:
    """Draws the training curves of all runs in one picture, and the kernels of each.

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
        for layer, filters in kernels(run).items():
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
      tables: rows of `fgsm_accuracy`, by the name to print.
      folder: where the picture goes.
      classes: number of classes, for the level of chance.

    Returns:
      The PNG file, `accuracy-against-epsilon.png`.
    """
    path = epath.Path(folder) / "accuracy-against-epsilon.png"
    figures.accuracy_against_epsilon(tables, path, chance=1 / classes)
    return path


def kernels(run: Run) -> dict[str, np.ndarray]:
    """The filters worth looking at.

    Args:
      run: a trained classifier.

    Returns:
      `first-layer`: the filters that see the image. `ssim`: those of the SSIM layer.
      Each `[kh, kw, c_in, c_out]`; a network without such a layer lacks the entry.
    """
    channels = run.dataset.train.images.shape[-1]
    found: dict[str, np.ndarray] = {}
    for _, module in nnx.iter_modules(run.task.model(run.state)):
        if isinstance(module, SSIMConv):
            found["ssim"] = np.asarray(module.filters[...])
        elif isinstance(module, nnx.Conv) and module.in_features == channels:
            found["first-layer"] = np.asarray(module.kernel[...])
    return found
