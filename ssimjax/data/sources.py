"""Where examples come from: anything with a length and random access.

A source yields decoded examples one by one; `decode` turns it into `Arrays` once, and
everything downstream reads those.
"""

import concurrent.futures
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import PIL.Image
from etils import epath

from ssimjax.data.arrays import Arrays
from ssimjax.data.image_reading import SUFFIXES, read_image

# Of ITU-R 601-2, as Pillow's.
LUMA = np.array([0.299, 0.587, 0.114])


@runtime_checkable
class Source(Protocol):
    """Random access to labelled images.

    `source[i]` is a mapping with `image`, `[h, w, c]` in uint8 or in floats in [0, 1],
    and `label`, an integer. Other entries are ignored.
    """

    @property
    def fingerprint(self) -> str:
        """Text that changes whenever an example does."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Mapping[str, Any]: ...


class Folder:
    """A folder of class folders of image files; classes in alphabetical order.

    Attributes:
      classes: names of the class folders.
      description: the folder's path.
      fingerprint: paths, sizes and times of all files.
    """

    def __init__(self, path: epath.PathLike):
        """Lists the files.

        Args:
          path: the folder that holds one folder per class.

        Raises:
          FileNotFoundError: if there is no such folder, or no image in a class folder.
        """
        root = epath.Path(path)
        if not root.is_dir():
            raise FileNotFoundError(
                f"no data folder {root}; it must hold one folder of images per class"
            )
        folders = sorted(
            p for p in root.iterdir() if p.is_dir() and not p.name.startswith(".")
        )
        self.classes = tuple(p.name for p in folders)
        self.description = f"images in {root}"
        self._files = [
            (file, label)
            for label, folder in enumerate(folders)
            for file in sorted(folder.iterdir())
            if file.suffix.lower() in SUFFIXES
        ]
        if not self._files:
            raise FileNotFoundError(
                f"no images in the class folders of {root}; expected files like "
                f"{root / 'class' / 'name.png'} with one of {', '.join(SUFFIXES)}"
            )

        empty = set(range(len(folders))) - {label for _, label in self._files}
        if empty:
            names = ", ".join(self.classes[label] for label in sorted(empty))
            raise FileNotFoundError(
                f"no images in the class folders {names} of {root}; every class needs "
                "one or more"
            )
        self.fingerprint = _fingerprint(root, [file for file, _ in self._files])

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        file, label = self._files[index]
        return {"image": read_image(file), "label": label, "name": str(file)}


class TFDS:
    """A split of a TensorFlow Datasets data set, read without TensorFlow.

    Attributes:
      classes: names of the classes.
      description: the first sentence of the data set's own description.
      fingerprint: name, version, split, and sizes and times of the prepared files.
    """

    def __init__(
        self,
        name: str,
        split: str,
        *,
        data_dir: str | None = None,
        label: str | None = "label",
    ):
        """Opens the data set, which is downloaded and prepared if it is not there.

        Args:
          name: name of the data set, for example "cifar10".
          split: split in TFDS's notation, for example "train[:15000]".
          data_dir: folder that holds prepared data sets; TFDS's own default if None.
          label: the feature that is the class of an image; None where it has none, and
            all images are of one.

        Raises:
          FileNotFoundError: if the data set is not there and cannot be prepared; the
            message says how to get it.
          ValueError: if it has no such split, no `image`, or no such label.
        """
        builder = _prepared_builder(name, data_dir)
        features = builder.info.features
        wanted = {"image", label} - {None}
        if features is None or not wanted <= set(features):
            raise ValueError(
                f"data set {name!r} must have the features {sorted(wanted)}, and has "
                f"{', '.join(sorted(features or []))}"
            )
        try:
            self._source = builder.as_data_source(split)
        except ValueError as error:
            raise ValueError(
                f"data set {name!r} has no examples in split {split!r}: {error}; its "
                f"splits are {', '.join(builder.info.splits)}"
            ) from error
        self._label = label
        if label is None:
            self.classes = ("image",)
        elif hasattr(features[label], "names"):
            self.classes = tuple(features[label].names)
        else:
            named = sorted(key for key in features if hasattr(features[key], "names"))
            raise ValueError(
                f"label must be a feature of data set {name!r} that has classes, "
                f"{' or '.join(named) or 'of which it has none'}, got {label!r}"
            )
        folder = epath.Path(builder.data_path)
        files = sorted(path for path in folder.iterdir() if path.is_file())
        self.fingerprint = f"{builder.info.full_name} {split} {label} " + _fingerprint(
            folder, files
        )
        text = builder.info.description
        self.description = text.split(". ")[0].split("\n")[0].rstrip(".")

    def numbers(self, name: str) -> np.ndarray:
        """A scalar feature of all examples, such as an angle.

        Args:
          name: of the feature.

        Returns:
          `[n]`, float64.

        Raises:
          ValueError: if there is no such feature, or it is no scalar.
        """
        first = self._source[0]
        scalars = [n for n in first if np.ndim(first[n]) == 0 and n != "id"]
        if name not in scalars:
            raise ValueError(
                f"feature must be one of {', '.join(sorted(scalars))}, got {name!r}"
            )
        return np.array([example[name] for example in self._source], np.float64)

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        example = self._source[index]
        label = 0 if self._label is None else example[self._label]
        return {**example, "label": label}


class Squares:
    """Another source, its images cut to their central square and resized.

    Attributes:
      fingerprint: that of the source, and the options.
    """

    def __init__(
        self, source: Source, side: int, *, crop: float = 1.0, gray: bool = False
    ):
        """Checks the sizes.

        Args:
          source: images of any sizes.
          side: of the squares, in pixels.
          crop: side of the central square, as a share of the shorter side.
          gray: one channel of ITU-R 601-2 luma, made before resizing.

        Raises:
          ValueError: if the side is below 1 or the crop not in (0, 1].
        """
        if side < 1:
            raise ValueError(f"side must be >= 1 pixel, got {side}")
        if not 0 < crop <= 1:
            raise ValueError(f"crop must be in (0, 1], got {crop}")
        self._source, self._side = source, side
        self._crop, self._gray = crop, gray
        self.fingerprint = (
            f"{source.fingerprint} squares of {side} from {crop}{' gray' * gray}"
        )

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        example = self._source[index]
        image = example["image"]
        height, width = image.shape[:2]
        edge = max(1, round(self._crop * min(height, width)))
        top, left = (height - edge) // 2, (width - edge) // 2
        square = image[top : top + edge, left : left + edge]
        if square.dtype != np.uint8:
            return {**example, "image": self._of_floats(square)}
        picture = PIL.Image.fromarray(square[..., 0] if image.shape[2] == 1 else square)
        if self._gray:
            picture = picture.convert("L")
        if edge != self._side:
            size = (self._side, self._side)
            picture = picture.resize(size, PIL.Image.Resampling.BILINEAR)
        pixels = np.asarray(picture).reshape(self._side, self._side, -1)
        return {**example, "image": pixels}

    def _of_floats(self, square: np.ndarray) -> np.ndarray:
        """The same channel by channel: Pillow knows no colours of floats."""
        square = square.astype(np.float32)
        if self._gray and square.shape[2] == 3:
            square = square @ LUMA.astype(np.float32)[:, None]
        size = (self._side, self._side)
        planes = [
            PIL.Image.fromarray(plane).resize(size, PIL.Image.Resampling.BILINEAR)
            for plane in np.moveaxis(square, -1, 0)
        ]
        return np.stack([np.asarray(plane) for plane in planes], -1)


def _fingerprint(root: epath.Path, files: Sequence[epath.Path]) -> str:
    digest = hashlib.sha256(str(root.resolve()).encode())
    for file in files:
        status = file.stat()
        time = status.mtime
        if "://" not in str(file):  # Which etils rounds to seconds.
            time = os.stat(file).st_mtime_ns
        known = f"{file.relative_to(root)}\0{status.length}\0{time}\n"
        digest.update(known.encode())
    return digest.hexdigest()


def _prepared_builder(name: str, data_dir: str | None) -> Any:
    import tensorflow_datasets as tfds

    where = data_dir or "the default TFDS folder"
    how = (
        f'prepare it with: python -c "import tensorflow_datasets as tfds; '
        f"tfds.builder('{name}', data_dir={data_dir!r}, "
        f"file_format='array_record').download_and_prepare()\", or name the folder "
        f"that holds it with --config.data.data_dir"
    )
    if data_dir is not None and not epath.Path(data_dir).is_dir():
        raise FileNotFoundError(
            f"no data folder {data_dir} for the data set {name!r}; {how}"
        )
    try:
        builder = tfds.builder(name, data_dir=data_dir)
        if not builder.is_prepared():
            builder = tfds.builder(name, data_dir=data_dir, file_format="array_record")
            builder.download_and_prepare()
    except tfds.core.DatasetNotFoundError as error:
        raise FileNotFoundError(
            f"no data set {name!r} in {where}, and TFDS knows none of that name"
        ) from error
    except Exception as error:  # TFDS raises many kinds, and none names a way out.
        raise FileNotFoundError(
            f"no data set {name!r} in {where}, and preparing it failed with "
            f"{type(error).__name__}: {error}; {how}"
        ) from error
    return builder


def decode(
    source: Source,
    *,
    allocate: Callable[[tuple[int, ...], np.dtype], np.ndarray] = np.empty,
) -> Arrays:
    """Reads every example of a source once, in as many threads as there are cores.

    Args:
      source: the examples; all images of one shape.
      allocate: from shape and dtype to the array that the images are written to.

    Returns:
      All examples.

    Raises:
      ValueError: if two images differ in shape; the message names one that does.

    Example:
      >>> decode(Arrays(np.zeros((4, 8, 8, 1), np.uint8), [0, 1, 0, 1])).images.shape
      (4, 8, 8, 1)
    """
    if isinstance(source, Arrays):
        return source
    first = source[0]["image"]
    images = allocate((len(source), *first.shape), first.dtype)
    labels = np.empty(len(source), np.int32)

    def read(part: range) -> None:
        for index in part:
            example = source[index]
            if example["image"].shape != first.shape:
                name = example.get("name", f"example {index}")
                raise ValueError(
                    f"all images of a data set must have one shape; {name} has "
                    f"{example['image'].shape}, the first has {first.shape}"
                )
            images[index], labels[index] = example["image"], example["label"]

    # Decoders let other threads run; a few hundred examples make a task.
    parts = [
        range(start, min(start + 256, len(source)))
        for start in range(0, len(source), 256)
    ]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(read, parts):
            pass
    return Arrays(images, labels)
