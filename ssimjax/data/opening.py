"""From the `data` section of a config to examples."""

import ml_collections
from etils import epath

from ssimjax.data.arrays import Dataset
from ssimjax.data.cache import cached
from ssimjax.data.image_files import file_patches
from ssimjax.data.photographs import photograph_patches
from ssimjax.data.sources import TFDS, Folder, Squares, decode

SOURCES = ("photographs", "tfds", "folder", "patches")


def open_dataset(
    config: ml_collections.ConfigDict, *, cache_dir: epath.PathLike | None = None
) -> Dataset:
    """Opens and decodes the data set that a config names.

    Args:
      config: the section `data`: `source` is "photographs", "tfds", "folder" or
        "patches", and decides which of the other keys are read. `cache_dir`, if not
        None, is where decoded examples are kept.
      cache_dir: where they are kept otherwise; nowhere but in memory if None. A folder
        on an object store counts as None, for it cannot be mapped.

    Returns:
      Train and test examples, in memory or mapped from the cache.

    Raises:
      OSError: if the cache cannot be written.
      FileNotFoundError: if the data are not there; the message says how to get them.
      ValueError: if `source` or a split is unknown, `seed` is negative, or train and
        test do not match.
    """
    if config.source in ("photographs", "patches") and config.seed < 0:
        raise ValueError(f"data.seed must be >= 0, got {config.seed}")
    if config.source == "photographs":
        return photograph_patches(
            size=config.size,
            train_count=config.train_count,
            test_count=config.test_count,
            color=config.color,
            seed=config.seed,
        )
    splits = (config.train_split, config.test_split)
    if config.source == "patches":
        return _patches(config, splits)
    if config.source == "tfds":
        sources = [
            TFDS(config.name, s, data_dir=config.data_dir, label=config.label or None)
            for s in splits
        ]
    elif config.source == "folder":
        sources = [Folder(_folder(config) / s) for s in splits]
    else:
        raise ValueError(f"data.source must be one of {SOURCES}, got {config.source!r}")
    train, test = sources
    if train.classes != test.classes:
        raise ValueError(
            f"train and test must have the same classes, got {train.classes} and "
            f"{test.classes}"
        )
    if config.side is not None:
        sources = [
            Squares(source, config.side, crop=config.crop, gray=config.gray)
            for source in sources
        ]
    elif config.crop != 1 or config.gray:
        raise ValueError("data.side must say how large images become, got None")
    folder = cache_dir if config.cache_dir is None else config.cache_dir
    local = folder is not None and "://" not in str(folder)
    train_arrays, test_arrays = (
        cached(source, str(folder)) if local else decode(source) for source in sources
    )
    return checked_dataset(
        Dataset(train_arrays, test_arrays, train.classes, train.description)
    )


def _patches(config: ml_collections.ConfigDict, splits: tuple[str, str]) -> Dataset:
    root = _folder(config)
    train, test = (
        file_patches(
            root / split,
            size=config.size,
            count=count,
            seed=config.seed,
            color=config.color,
        )
        for split, count in zip(splits, (config.train_count, config.test_count))
    )
    return Dataset(
        train=train,
        test=test,
        classes=("image",),
        description=f"{config.size}x{config.size} patches of images in "
        f"{root / splits[0]}, tested on those in {splits[1]}",
    )


def _folder(config: ml_collections.ConfigDict) -> epath.Path:
    if config.data_dir is None:
        raise ValueError("data.data_dir must name the folder of images, got None")
    return epath.Path(config.data_dir)


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
    if train.images.dtype != test.images.dtype:
        raise ValueError(
            "train and test images must have one dtype, got "
            f"{train.images.dtype} and {test.images.dtype}"
        )
    highest = int(max(train.labels.max(), test.labels.max()))
    if highest >= len(dataset.classes):
        raise ValueError(
            f"classes names {len(dataset.classes)} labels, but a label is {highest}"
        )
    return dataset
