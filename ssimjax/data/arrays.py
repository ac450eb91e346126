"""Examples in memory, and the two sets of them that a study has."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

# What a fingerprint reads at most, for a run waits for it.
_HASHED_BYTES = 2**28


def spread_indices(total: int, count: int) -> np.ndarray:
    """Indices spread evenly.

    Args:
      total: how many there are.
      count: how many to take, from 1 to `total`.

    Returns:
      Different indices in ascending order, of two or more the first and the last.

    Example:
      >>> spread_indices(10, 4).tolist()
      [0, 3, 6, 9]
    """
    return np.linspace(0, total - 1, count).astype(int)


class Arrays:
    """Labelled images in memory; a source, and what every source is decoded into.

    Attributes:
      images: `[n, h, w, c]`, uint8 or float32 in [0, 1].
      labels: `[n]`, int32.

    Example:
      >>> arrays = Arrays(np.zeros((4, 8, 8, 1), np.uint8), [0, 1, 0, 1])
      >>> len(arrays), arrays[2]["label"].item()
      (4, 0)
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray | Sequence[int],
        *,
        checked: bool = False,
    ):
        """Checks the arrays.

        Args:
          images: `[n, h, w, c]`, uint8, or floats in [0, 1]; may be mapped from disk.
          labels: `[n]`, integers >= 0.
          checked: whether they are known to be in range, and need not be read for it.

        Raises:
          TypeError: if images are neither uint8 nor floats, or labels no integers.
          ValueError: if a rank is wrong, the lengths differ, there are no examples, a
            float lies outside [0, 1] or a label is negative.
        """
        images, labels = np.asarray(images), np.asarray(labels)
        if images.ndim != 4:
            raise ValueError(f"images must be [n, h, w, c], got shape {images.shape}")
        if labels.shape != images.shape[:1]:
            raise ValueError(
                f"labels must be one per image, got shape {labels.shape} for "
                f"{len(images)} images"
            )
        if not len(images):
            raise ValueError("images must hold at least one example, got none")
        if not np.issubdtype(labels.dtype, np.integer):
            raise TypeError(f"labels must be integers, got {labels.dtype}")
        if labels.min() < 0:
            raise ValueError(f"labels must be >= 0, got {labels.min()}")
        if np.issubdtype(images.dtype, np.floating):
            if not checked and not (images.min() >= 0 and images.max() <= 1):
                raise ValueError(
                    "float images must lie in [0, 1], got values from "
                    f"{images.min()} to {images.max()}"
                )
            images = images.astype(np.float32, copy=False)
        elif images.dtype != np.uint8:
            raise TypeError(f"images must be uint8 or floats, got {images.dtype}")
        self.images = images
        self.labels = labels.astype(np.int32)

    @property
    def fingerprint(self) -> str:
        """Hash of all labels and pixels, above 256 MiB those of 4096 images."""
        images = self.images
        if images.nbytes > _HASHED_BYTES:
            images = self.spread(4096).images
        digest = hashlib.sha256(np.ascontiguousarray(images).data)
        digest.update(self.labels.tobytes())
        return digest.hexdigest()

    def spread(self, count: int | None) -> "Arrays":
        """Some of the examples, spread evenly.

        Args:
          count: how many at most, >= 1; all if None.

        Returns:
          Examples, of two or more the first and the last among them.

        Example:
          >>> arrays = Arrays(np.zeros((5, 8, 8, 1), np.uint8), [0, 1, 2, 3, 4])
          >>> arrays.spread(3).labels.tolist()
          [0, 2, 4]
        """
        if count is None or count >= len(self):
            return self
        chosen = spread_indices(len(self), count)
        return Arrays(self.images[chosen], self.labels[chosen], checked=True)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        return {"image": self.images[index], "label": self.labels[index]}


class Dataset(NamedTuple):
    """What a study trains and tests on.

    Attributes:
      train: training examples.
      test: held-out examples.
      classes: a name for every label.
      description: one line that says what the images are, printed with every number.
    """

    train: Arrays
    test: Arrays
    classes: tuple[str, ...]
    description: str
