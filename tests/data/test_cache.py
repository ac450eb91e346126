"""The cache of decoded examples: whole or not there, whoever builds it and whenever."""

import multiprocessing
import os
import signal
import time

import numpy as np
import PIL.Image
import pytest

from ssimjax.data import Folder, cached, decode


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(3):
            pixels = rng.integers(0, 256, (5, 4, 3), dtype=np.uint8)
            PIL.Image.fromarray(pixels).save(tmp_path / "images" / name / f"{i}.png")
    return tmp_path / "images"


class Slow:
    """A source that takes its time, and counts."""

    fingerprint = "slow"

    def __init__(self, log, seconds):
        self.log, self.seconds = log, seconds

    def __len__(self):
        return 300

    def __getitem__(self, index):
        with open(self.log, "a") as file:
            file.write("x")
        time.sleep(self.seconds)
        return {"image": np.full((4, 4, 1), index % 256, np.uint8), "label": index}


def check(arrays):
    np.testing.assert_array_equal(arrays.labels, np.arange(300))
    np.testing.assert_array_equal(arrays.images[:, 0, 0, 0], np.arange(300) % 256)


def test_decoded_once_and_mapped(folder, tmp_path):
    first = cached(Folder(folder), tmp_path / "cache")
    target = decode(Folder(folder))
    np.testing.assert_array_equal(first.images, target.images)
    np.testing.assert_array_equal(first.labels, target.labels)
    assert isinstance(first.images.base, np.memmap)
    for file in folder.rglob("*.png"):
        status = file.stat()
        file.write_bytes(b"x" * status.st_size)  # Not looked into again.
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    again = cached(Folder(folder), tmp_path / "cache")
    np.testing.assert_array_equal(again.images, target.images)


def test_changed_data_are_decoded_again(folder, tmp_path):
    cached(Folder(folder), tmp_path / "cache")
    PIL.Image.new("RGB", (4, 5), "red").save(folder / "cat" / "new.png")
    assert len(cached(Folder(folder), tmp_path / "cache")) == 7


def _build(log, cache, seconds):
    check(cached(Slow(log, seconds), cache))


def test_two_processes_build_it_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    arguments = (str(tmp_path / "log"), str(tmp_path / "cache"), 0.005)
    builders = [context.Process(target=_build, args=arguments) for _ in range(2)]
    for builder in builders:
        builder.start()
    for builder in builders:
        builder.join(120)
        assert builder.exitcode == 0
    assert len((tmp_path / "log").read_text()) == 301  # The first is looked at twice.


def test_a_build_killed_half_way_is_begun_again(tmp_path):
    context = multiprocessing.get_context("spawn")
    log, cache = tmp_path / "log", tmp_path / "cache"
    builder = context.Process(target=_build, args=(str(log), str(cache), 0.05))
    builder.start()
    deadline = time.monotonic() + 60
    while not (log.exists() and len(log.read_text()) > 20):
        assert builder.is_alive() and time.monotonic() < deadline
        time.sleep(0.01)
    builder.kill()
    builder.join()
    assert builder.exitcode == -signal.SIGKILL
    assert len(list(cache.glob("*.building-*"))) == 1
    check(cached(Slow(log, 0.0), cache))
    assert not list(cache.glob("*.building-*"))


def test_a_cache_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"cache .*file/cache cannot be written.*cache_d"):
        cached(Slow(tmp_path / "log", 0.0), tmp_path / "file" / "cache")


def test_a_source_that_fails_leaves_nothing(folder, tmp_path):
    PIL.Image.new("RGB", (9, 9)).save(folder / "cat" / "large.png")
    with pytest.raises(ValueError, match="images of a data set must have one shape"):
        cached(Folder(folder), tmp_path / "cache")
    assert [p.suffix for p in (tmp_path / "cache").iterdir()] == [".lock"]


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="no /proc: of Linux alone")
def test_a_folder_above_the_cache_that_cannot_be_made_is_told_as_the_cache(folder):
    with pytest.raises(OSError, match=r"cache /proc/none/cache cannot be written"):
        cached(Folder(folder), "/proc/none/cache")


def test_a_source_that_cannot_be_read_is_no_fault_of_the_cache(folder, tmp_path):
    (folder / "cat" / "9.png").mkdir()
    with pytest.raises(FileNotFoundError, match=r"^no image file .*9.png$"):
        cached(Folder(folder), tmp_path / "cache")

    class Locked(Slow):
        def __getitem__(self, index):
            raise PermissionError(13, "Permission denied", str(folder / "x.png"))

    with pytest.raises(PermissionError, match=r"^\[Errno 13\] .*x.png'$"):
        cached(Locked(tmp_path / "log", 0.0), tmp_path / "cache")
