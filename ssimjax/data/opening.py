"""From the `data` section of a config to examples in memory."""

import pathlib

import ml_collections

from ssimjax.data.photographs import photograph_patches
from ssimjax.data.sources import TFDS, Dataset, Folder, decode

SOURCES = ("photographs", "tfds", "folder")


def open_dataset(config: ml_collections.ConfigDict) -> Dataset:
    """Opens and decodes the data set that a config names.

    Args:
      config: the section `data`: `source` is "photographs", "tfds" or "folder", and
        decides which of the other keys are read.

    Returns:
      Train and test examples in memory.

    Raises:
      FileNotFoundError: if the data are not there; the message says how to get them.
      ValueError: if `source` or a split is unknown, or train and test do not match.
    """
    if config.source == "photographs":
        return photograph_patches(
            size=config.size,
            train_count=config.train_count,
            test_count=config.test_count,
            color=config.color,
            seed=config.seed,
        )
    splits = (config.train_split, config.test_split)
    if config.source == "tfds":
        sources = [TFDS(config.name, s, data_dir=config.data_dir) for s in splits]
    elif config.source == "folder":
        if config.data_dir is None:
            raise ValueError("data.data_dir must name the folder of images, got None")
        sources = [Folder(pathlib.Path(config.data_dir) / s) for s in splits]
    else:
        raise ValueError(f"data.source must be one of {SOURCES}, got {config.source!r}")
    train, test = sources
    if train.classes != test.classes:
        raise ValueError(
            f"train and test must have the same classes, got {train.classes} and "
            f"{test.classes}"
        )
    return checked_dataset(
        Dataset(decode(train), decode(test), train.classes, train.description)
    )


def checked_dataset(dataset: Dataset) -> Dataset:
    """Checks that train and test fit together and that every label has a name.

    Args:
      dataset: train and test examples.

    Returns:
      The same data set.

    Raises:
      ValueError: if images differ in shape or dtype, or a label has no name.
    """
    train, test = dataset.train, dataset.test
    if train.images.shape[1:] != test.images.shape[1:]:
        raise ValueError(
            "train and test images must have one shape, got "
            f"{train.images.shape[1:]} and {test.images.shape[1:]}"
        )
    highest = int(max(train.labels.max(), test.labels.max()))
    if highest >= len(dataset.classes):
        raise ValueError(
            f"classes names {len(dataset.classes)} labels, but a label is {highest}"
        )
    return dataset
