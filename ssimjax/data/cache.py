"""Decoded examples on disk, mapped into memory: decoded once, larger than memory."""

import hashlib
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable

import filelock
import numpy as np

from ssimjax.data.arrays import Arrays
from ssimjax.data.sources import Source, decode

_IMAGES, _LABELS = "images.npy", "labels.npy"


def cached(source: Source, folder: str | os.PathLike[str]) -> Arrays:
    """A source decoded into a folder, or read from where it was decoded before.

    Several processes may ask at once: one decodes, the others wait. An entry appears
    whole or not at all; what a killed process leaves behind is removed by the next.

    Args:
      source: the examples; all images of one shape. Its `fingerprint` names the entry.
      folder: the cache, on a local disk; created if necessary.

    Returns:
      The examples, images mapped from disk.

    Raises:
      OSError: if the cache cannot be written; the message names it. Or as the source.
      ValueError: as `decode`.
    """
    if isinstance(source, Arrays):
        return source
    root = pathlib.Path(folder)
    entry = root / hashlib.sha256(source.fingerprint.encode()).hexdigest()[:24]
    try:
        root.mkdir(parents=True, exist_ok=True)
        if not entry.is_dir():
            with filelock.FileLock(root / f"{entry.name}.lock"):
                if not entry.is_dir():
                    _build(source, entry)
    except OSError as error:
        if not _of_the_cache(error, root):
            raise
        raise OSError(
            f"cache {root} cannot be written: {error}; choose another with "
            "--config.data.cache_dir"
        ) from error
    return Arrays(
        np.load(entry / _IMAGES, mmap_mode="r"), np.load(entry / _LABELS), checked=True
    )


def _of_the_cache(error: OSError, root: pathlib.Path) -> bool:
    """Whether the system could not write, rather than the source not be read."""
    if error.errno is None:  # An error of the source's own words.
        return False
    if error.filename is None:  # As of a full disk.
        return True
    path = pathlib.Path(error.filename)
    # Folders above it are made, too.
    return path.is_relative_to(root) or root.is_relative_to(path)


def _build(source: Source, entry: pathlib.Path) -> None:
    # Under the lock, so that these belong to nobody who is alive.
    for abandoned in entry.parent.glob(f"{entry.name}.building-*"):
        shutil.rmtree(abandoned)
    building = pathlib.Path(
        tempfile.mkdtemp(prefix=f"{entry.name}.building-", dir=entry.parent)
    )
    try:
        arrays = decode(source, allocate=_mapped(building / _IMAGES))
        with (building / _IMAGES).open("r+b") as file:
            os.fsync(file.fileno())
        np.save(building / _LABELS, arrays.labels)
        about = {"fingerprint": source.fingerprint, "examples": len(arrays)}
        (building / "about.json").write_text(json.dumps(about, indent=2) + "\n")
        building.rename(entry)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise


def _mapped(
    path: pathlib.Path,
) -> Callable[[tuple[int, ...], np.dtype], np.ndarray]:
    def allocate(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        # Disk space is claimed now: a full disk is an error here, and not a crash when
        # a page is written.
        array = np.lib.format.open_memmap(path, "w+", dtype, shape)
        if hasattr(os, "posix_fallocate"):
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        return array

    return allocate
