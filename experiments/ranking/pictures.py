"""Originals, and what trained autoencoders make of them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from experiments import command_line
from ssimjax.data import spread_indices
from ssimjax.tasks import Run, load, reconstructions
from ssimjax.tasks.learner import as_floats


class Pictures(NamedTuple):
    """Originals and their reconstructions by several models.

    Attributes:
      originals: `[n, h, w, c]`, floats in [0, 1], c 1 or 3.
      reconstructions: of the same shape, by the model's name.
      indices: of the originals among the test images.
      description: of the data set.
    """

    originals: np.ndarray
    reconstructions: Mapping[str, np.ndarray]
    indices: Sequence[int]
    description: str


def load_runs(workdirs: Sequence[str]) -> dict[str, Run]:
    """Loads autoencoders, each named after its folder.

    Args:
      workdirs: folders of the runs.

    Returns:
      The runs by the last part of their folders, or the whole where that is not enough.

    Raises:
      FileNotFoundError: if a folder holds no run.
      ValueError: if a folder is named twice.
    """
    names = command_line.folder_names(workdirs)
    return {name: load(folder) for name, folder in zip(names, workdirs)}


def reconstruct(
    runs: Mapping[str, Run],
    *,
    images: int | None = None,
    indices: Sequence[int] | None = None,
) -> Pictures:
    """Reconstructs test images by several autoencoders.

    Args:
      runs: trained autoencoders of the same test images, two or more, by name.
      images: how many test images, spread evenly; all if None.
      indices: which test images, instead of `images`.

    Returns:
      The pictures.

    Raises:
      ValueError: if there are fewer than two runs, one is no autoencoder, their test
        images differ, or there are not that many or no such images.
    """
    if len(runs) < 2:
        raise ValueError(f"runs must be two or more autoencoders, got {list(runs)}")
    for name, run in runs.items():
        if run.config.task != "reconstruction":
            raise ValueError(
                "runs must be of the task 'reconstruction', got "
                f"{run.config.task!r} for {name}"
            )
    first = next(iter(runs))
    for name in runs:
        _check_same(first, runs[first], name, runs[name])
    dataset = runs[first].dataset
    total = len(dataset.test)
    if indices is None:
        count = total if images is None else images
        if not 1 <= count <= total:
            raise ValueError(f"images must be from 1 to {total}, got {count}")
        indices = [int(i) for i in spread_indices(total, count)]
    elif max(indices) >= total:
        raise ValueError(
            f"indices must be below the {total} test images, got {max(indices)}"
        )
    chosen = dataset.test.images[list(indices)]
    for name, run in runs.items():
        if not np.array_equal(run.dataset.test.images[list(indices)], chosen):
            raise ValueError(
                f"runs must have the same test images, but those of {first} and "
                f"{name} differ in their pixels"
            )
    originals = np.asarray(as_floats(jnp.asarray(chosen)))
    return Pictures(
        originals,
        {
            name: np.asarray(reconstructions(run, originals))
            for name, run in runs.items()
        },
        [int(i) for i in indices],
        dataset.description,
    )


def _check_same(first: str, one: Run, second: str, other: Run) -> None:
    descriptions = [run.dataset.description for run in (one, other)]
    shapes = [run.dataset.test.images.shape for run in (one, other)]
    if descriptions[0] != descriptions[1] or shapes[0] != shapes[1]:
        raise ValueError(
            f"runs must have the same test images, got {descriptions[0]!r}, "
            f"{shapes[0]}, for {first} and {descriptions[1]!r}, {shapes[1]}, for "
            f"{second}"
        )
