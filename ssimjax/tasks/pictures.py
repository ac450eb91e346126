"""Which pictures a run leaves in its folder."""

from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from etils import epath

from ssimjax import figures
from ssimjax.tasks.adversarial import Adversarial
from ssimjax.tasks.autoencoding import reconstructions
from ssimjax.tasks.learner import as_floats
from ssimjax.tasks.moment_matching import MomentMatching
from ssimjax.tasks.reconstruction import Reconstruction
from ssimjax.tasks.run import Run
from ssimjax.tasks.super_resolution import SuperResolution, degraded, luma
from ssimjax.training import Row, root_key


def draw_training(runs: Mapping[str, Run], folder: epath.PathLike) -> list[epath.Path]:
    """Draws the training curves of all runs in one picture, and what they learned.

    Of several seeds, what is drawn is from the first.

    Args:
      runs: trained by one task, by the name to print.
      folder: where the pictures go.

    Returns:
      The PNG files: `training-curves.png`; of classifiers also
      `NAME-first-layer-kernels.png` and `NAME-ssim-kernels.png` where a network has
      such layers; of autoencoders `reconstructions.png`, and `NAME-samples.png` where
      there is a prior; of super-resolution `enlarged.png` and
      `NAME-first-layer-kernels.png`; of other generative models `NAME-samples.png`.
    """
    folder = epath.Path(folder)
    curves = folder / "training-curves.png"
    task = next(iter(runs.values())).task
    if isinstance(task, Reconstruction):
        return _draw_autoencoders(runs, folder, curves)
    histories = {name: run.history for name, run in runs.items()}
    if isinstance(task, Adversarial | MomentMatching):
        scores = {"pixel_mmd": "MMD² of pixels, test"}
        figures.score_curves(histories, curves, scores=scores)
        return [curves] + [
            _draw_samples(run, folder / f"{name}-samples.png")
            for name, run in runs.items()
        ]
    paths = [curves]
    if isinstance(task, SuperResolution):
        scores = {"psnr": "PSNR (dB), test", "ssim": "SSIM, test"}
        figures.score_curves(histories, curves, scores=scores)
        paths.append(draw_enlarged(runs, folder / "enlarged.png", count=8))
    else:
        figures.training_curves(histories, curves)
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


def draw_enlarged(
    runs: Mapping[str, Run], path: epath.PathLike, *, count: int
) -> epath.Path:
    """Draws test patches, what is left of them, and what networks make of that.

    Args:
      runs: of super-resolution, by the name to print.
      path: where the picture goes.
      count: patches.

    Returns:
      The PNG file.
    """
    path = epath.Path(path)
    first = next(iter(runs.values()))
    true = luma(as_floats(jnp.asarray(first.dataset.test.spread(count).images)))
    enlarged = degraded(true, first.task.factor)
    rows = {"original": true, "bicubic": enlarged}
    for name, run in runs.items():
        rows[name] = run.task.sharpen(run.states()[0], enlarged)
    figures.comparison({n: np.asarray(images) for n, images in rows.items()}, path)
    return path


def _draw_autoencoders(
    runs: Mapping[str, Run], folder: epath.Path, curves: epath.Path
) -> list[epath.Path]:
    scores = {"ssim": "SSIM, test", "mse": "MSE, test"}
    figures.score_curves(
        {name: run.history for name, run in runs.items()}, curves, scores=scores
    )
    chosen = next(iter(runs.values())).dataset.test.spread(8).images
    rows = {"original": np.asarray(as_floats(jnp.asarray(chosen)))}
    rows |= {name: reconstructions(run, chosen) for name, run in runs.items()}
    path = folder / "reconstructions.png"
    figures.comparison(rows, path)
    paths = [curves, path]
    for name, run in runs.items():
        if run.task.has_prior:
            paths.append(_draw_samples(run, folder / f"{name}-samples.png"))
    return paths


def _draw_samples(run: Run, path: epath.Path) -> epath.Path:
    """Samples of the first network; of a conditional one, a row of each class."""
    key, state, prior = root_key(0), run.states()[0], run.task.prior
    if not prior.classes:
        samples = np.asarray(run.task.sample(key, state, 32))
        figures.image_grid(samples, path, columns=8)
        return path
    labels = jnp.repeat(jnp.arange(prior.classes), 8)
    samples = np.asarray(run.task.sample(key, state, len(labels), labels=labels))
    rows = dict(zip(run.dataset.classes, np.split(samples, prior.classes)))
    figures.image_rows(rows, path)
    return path


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
