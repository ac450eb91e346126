"""Folders of image files of any sizes, and random patches of them."""

import concurrent.futures

import numpy as np
import PIL.Image
from etils import epath

from ssimjax.data.arrays import Arrays
from ssimjax.data.image_reading import SUFFIXES, read_image


def image_files(folder: epath.PathLike) -> list[epath.Path]:
    """The image files of a folder, by name.

    Args:
      folder: the folder, whose own folders are not looked into.

    Returns:
      Paths, at least one.

    Raises:
      FileNotFoundError: if there is no such folder, or no image in it.
    """
    root = epath.Path(folder)
    if not root.is_dir():
        raise FileNotFoundError(f"no folder of images {root}")
    files = sorted(
        f for f in root.iterdir() if f.suffix.lower() in SUFFIXES and f.is_file()
    )
    if not files:
        raise FileNotFoundError(
            f"no images in {root}; expected files with one of {', '.join(SUFFIXES)}"
        )
    return files


def file_patches(
    folder: epath.PathLike, *, size: int, count: int, seed: int = 0, color: bool = True
) -> Arrays:
    """Patches at random positions of the images of a folder.

    Args:
      folder: of image files.
      size: side of a patch, in pixels.
      count: number of patches. Every position of every image is as likely.
      seed: of the positions.
      color: three channels; gray files repeat theirs. One channel of ITU-R 601-2 luma
        if False.

    Returns:
      uint8 patches, all with label 0. They may overlap.

    Raises:
      FileNotFoundError: if there is no such folder, or no image in it.
      ValueError: if a number is below 1, or no image is as large as a patch.
    """
    for name, value in (("size", size), ("count", count)):
        if value < 1:
            raise ValueError(f"{name} must be >= 1, got {value}")
    files = image_files(folder)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        images = list(pool.map(read_image, files))
    # Patches of smaller images do not exist.
    large = [image for image in images if min(image.shape[:2]) >= size]
    if not large:
        most = max(min(image.shape[:2]) for image in images)
        raise ValueError(
            f"size must be at most {most}, the shorter side of the largest image in "
            f"{epath.Path(folder)}, got {size}"
        )
    places = np.array(
        [[h - size + 1, w - size + 1] for h, w, _ in map(np.shape, large)]
    )
    rng = np.random.default_rng([seed, size])
    areas = places.prod(1)
    chosen = rng.choice(len(large), count, p=areas / areas.sum())
    corners = rng.integers(places[chosen])
    patches = np.empty((count, size, size, 3 if color else 1), np.uint8)
    for patch, index, (y, x) in zip(patches, chosen, corners):
        pixels = large[index][y : y + size, x : x + size]
        if not color and pixels.shape[2] == 3:
            picture = PIL.Image.fromarray(pixels).convert("L")
            pixels = np.asarray(picture)[..., None]
        patch[:] = pixels
    return Arrays(patches, np.zeros(count, int))
