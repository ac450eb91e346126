"""Patches of photographs that scikit-image's wheel carries: real images, no download.

Ten photographs are ten classes: which one is a patch from? Photographs are cut into
square blocks, blocks are dealt to train and test, and a patch lies within one block, so
that the splits share no pixel.
"""

import numpy as np

from ssimjax.data.arrays import Arrays, Dataset
from ssimjax.data.sources import LUMA

PHOTOGRAPHS = (
    "brick",
    "chelsea",
    "coffee",
    "coins",
    "grass",
    "gravel",
    "hubble_deep_field",
    "immunohistochemistry",
    "page",
    "stereo_motorcycle",
)


def photograph_patches(
    *,
    size: int = 32,
    train_count: int = 4000,
    test_count: int = 1000,
    color: bool = False,
    seed: int = 0,
) -> Dataset:
    """Ten classes of patches from ten photographs, classes of equal size.

    Args:
      size: side of a patch, in pixels.
      train_count: number of training patches.
      test_count: number of test patches.
      color: three channels; photographs that are gray repeat theirs. One channel of
        ITU-R 601-2 luma if False.
      seed: of the positions. The same arguments give the same patches everywhere.

    Returns:
      uint8 patches. Patches of one split may overlap, patches of different splits have
      no pixel in common.

    Raises:
      ValueError: if a count is not a positive multiple of ten, or a photograph is too
        small to be cut into blocks for both splits.

    Example:
      >>> data = photograph_patches(size=16, train_count=20, test_count=10)
      >>> data.train.images.shape, data.test.images.shape
      ((20, 16, 16, 1), (10, 16, 16, 1))
    """
    for name, count in {"train_count": train_count, "test_count": test_count}.items():
        if count <= 0 or count % len(PHOTOGRAPHS):
            raise ValueError(
                f"{name} must be a positive multiple of {len(PHOTOGRAPHS)}, got {count}"
            )
    if size < 1:
        raise ValueError(f"size must be >= 1 pixel, got {size}")
    splits = {"train": train_count, "test": test_count}
    patches = {split: [] for split in splits}
    for label, name in enumerate(PHOTOGRAPHS):
        photograph = _read(name, color)
        blocks = _blocks(name, photograph.shape[:2], 2 * size)
        for number, (split, count) in enumerate(splits.items()):
            rng = np.random.default_rng([seed, label, number])
            corners = blocks[split][
                rng.integers(len(blocks[split]), size=count // len(PHOTOGRAPHS))
            ]
            corners = corners + rng.integers(size + 1, size=corners.shape)
            patches[split] += [
                photograph[y : y + size, x : x + size] for y, x in corners
            ]
    arrays = {
        split: Arrays(
            np.stack(patches[split]),
            np.repeat(np.arange(len(PHOTOGRAPHS)), count // len(PHOTOGRAPHS)),
        )
        for split, count in splits.items()
    }
    kind = "colour" if color else "gray"
    return Dataset(
        train=arrays["train"],
        test=arrays["test"],
        classes=PHOTOGRAPHS,
        description=f"{size}x{size} {kind} patches of ten photographs in scikit-image",
    )


def _read(name: str, color: bool) -> np.ndarray:
    import skimage.data

    pixels = getattr(skimage.data, name)()
    if isinstance(pixels, tuple):  # The stereo pair: left, right, disparity.
        pixels = pixels[0]
    if color:
        return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, -1)
    if pixels.ndim == 3:
        pixels = np.rint(pixels @ LUMA).astype(np.uint8)
    return pixels[..., None]


def _blocks(name: str, shape: tuple[int, ...], side: int) -> dict[str, np.ndarray]:
    """Upper left corners of each split's blocks, `[n, 2]`: every fourth is test."""
    rows, columns = (pixels // side for pixels in shape)
    corners = [(r, c) for r in range(rows) for c in range(columns)]
    test = [(r, c) for r, c in corners if (r + c) % 4 == 1]
    train = [corner for corner in corners if corner not in test]
    if not test or not train:
        raise ValueError(
            f"photograph {name!r} of {shape[0]}x{shape[1]} pixels holds too few blocks "
            f"of {side}x{side} for two splits; use a size of at most {min(shape) // 4}"
        )
    return {
        split: np.array(c) * side for split, c in (("train", train), ("test", test))
    }
