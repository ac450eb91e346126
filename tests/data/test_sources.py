import subprocess
import sys

import ml_collections
import numpy as np
import PIL.Image
import pytest

from configs import classification
from ssimjax.data import (
    TFDS,
    Arrays,
    Dataset,
    Folder,
    checked_dataset,
    decode,
    open_dataset,
)
from ssimjax.data.cache import cached

IMAGES = np.zeros((4, 8, 8, 3), np.uint8)


@pytest.mark.parametrize(
    ("images", "labels", "error", "message"),
    [
        (IMAGES[0], [0], ValueError, r"images must be \[n, h, w, c\]"),
        (IMAGES, [0, 1], ValueError, "labels must be one per image"),
        (IMAGES[:0], [], ValueError, "at least one example, got none"),
        (IMAGES, [0.0] * 4, TypeError, "labels must be integers, got float64"),
        (IMAGES, [0, 1, 2, -1], ValueError, "labels must be >= 0, got -1"),
        (IMAGES + 2.0, [0] * 4, ValueError, r"float images must lie in \[0, 1\]"),
        (IMAGES + np.nan, [0] * 4, ValueError, r"float images must lie in \[0, 1\]"),
        (IMAGES.astype(int), [0] * 4, TypeError, "images must be uint8 or floats"),
    ],
)
def test_arrays_are_checked(images, labels, error, message, own_errors):
    with pytest.raises(error, match=message):
        Arrays(images, labels)


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for split, count in (("train", 3), ("test", 2)):
        for name in ("cat", "ant"):
            (tmp_path / split / name).mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 256, (6, 5, 3), np.uint8)
                PIL.Image.fromarray(pixels).save(tmp_path / split / name / f"{i}.png")
            (tmp_path / split / name / "notes.txt").write_text("not an image")
    return tmp_path


def folder_config(path):
    config = classification.defaults().data
    config.source, config.data_dir = "folder", str(path)
    return config


def test_folder_of_class_folders(folder):
    data = open_dataset(folder_config(folder))
    assert data.classes == ("ant", "cat")
    assert data.train.images.shape == (6, 6, 5, 3)
    np.testing.assert_array_equal(data.test.labels, [0, 0, 1, 1])
    file = folder / "train" / "cat" / "2.png"
    np.testing.assert_array_equal(data.train.images[5], PIL.Image.open(file))


def test_gray_files_have_one_channel(tmp_path):
    (tmp_path / "a").mkdir()
    pixels = np.arange(20, dtype=np.uint8).reshape(4, 5)
    PIL.Image.fromarray(pixels).save(tmp_path / "a" / "x.png")
    np.testing.assert_array_equal(Folder(tmp_path)[0]["image"], pixels[..., None])


def test_what_8_bits_cannot_hold_is_refused(tmp_path):
    (tmp_path / "a").mkdir()
    file = tmp_path / "a" / "x.png"
    deep = np.arange(20, dtype=np.uint16).reshape(4, 5) * 1000
    clear = np.zeros((4, 5, 4), np.uint8)
    for pixels, message in (
        (deep, "x.png has 16 bits per channel; use 8"),
        (clear, "x.png has transparent pixels"),
    ):
        PIL.Image.fromarray(pixels).save(file)
        with pytest.raises(ValueError, match=message):
            Folder(tmp_path)[0]
    noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    PIL.Image.fromarray(noise).save(file)
    file.write_bytes(file.read_bytes()[:3000])
    with pytest.raises(ValueError, match="x.png cannot be read: .*runcated"):
        Folder(tmp_path)[0]
    # Neither is it the cache that fails.
    with pytest.raises(ValueError, match="x.png cannot be read"):
        cached(Folder(tmp_path), tmp_path / "cache")


def test_folder_errors(folder, tmp_path_factory):
    with pytest.raises(
        FileNotFoundError, match="no data folder .*missing; it must hold"
    ):
        Folder(folder / "missing")
    with pytest.raises(FileNotFoundError, match="no images in the class folders of"):
        Folder(tmp_path_factory.mktemp("empty"))
    (folder / "train" / ".hidden").mkdir()
    assert Folder(folder / "train").classes == ("ant", "cat")
    (folder / "train" / "emu").mkdir()
    with pytest.raises(FileNotFoundError, match="no images in .* emu of .*/train"):
        Folder(folder / "train")
    (folder / "train" / "emu").rmdir()
    PIL.Image.new("RGB", (9, 9)).save(folder / "train" / "cat" / "odd.png")
    with pytest.raises(ValueError, match=r"one shape; .*odd.png has \(9, 9, 3\)"):
        decode(Folder(folder / "train"))
    (folder / "test" / "cat").rename(folder / "test" / "dog")
    with pytest.raises(ValueError, match="train and test must have the same classes"):
        open_dataset(folder_config(folder))


def test_unknown_source_lists_the_known():
    config = ml_collections.ConfigDict(
        {"source": "cloud", "train_split": "train", "test_split": "test"}
    )
    with pytest.raises(ValueError, match="must be one of .*photographs.*, got 'cloud'"):
        open_dataset(config)


@pytest.mark.parametrize("source", ["photographs", "patches"])
def test_positions_need_a_seed_from_0_on(source):
    config = classification.defaults().data
    config.source, config.seed = source, -1
    with pytest.raises(ValueError, match="data.seed must be >= 0, got -1"):
        open_dataset(config)


def test_datasets_are_checked():
    train, test = Arrays(IMAGES, [0, 1, 2, 1]), Arrays(IMAGES[:, 1:], [0] * 4)
    with pytest.raises(ValueError, match="must have one shape"):
        checked_dataset(Dataset(train, test, ("a", "b", "c"), ""))
    floats = Arrays(np.zeros(IMAGES.shape, np.float32), [0] * 4)
    with pytest.raises(ValueError, match="one dtype, got uint8 and float32"):
        checked_dataset(Dataset(train, floats, ("a", "b", "c"), ""))
    with pytest.raises(ValueError, match="classes names 2 labels, but a label is 2"):
        checked_dataset(Dataset(train, train, ("a", "b"), ""))


def test_tfds_by_name(tfds_dir):
    source = TFDS("cifar10_jpeg", "test[:20]", data_dir=tfds_dir)
    arrays = decode(source)
    assert arrays.images.shape == (20, 32, 32, 3) and arrays.images.dtype == np.uint8
    assert source.classes[3] == "cat" and "JPEG" in source.description
    np.testing.assert_array_equal(arrays.images[7], source[7]["image"])
    assert len({*arrays.labels.tolist()}) > 3


def test_tfds_needs_no_tensorflow(tfds_dir):
    code = (
        "import sys; from ssimjax.data import TFDS; "
        f"TFDS('cifar10_jpeg', 'test', data_dir={tfds_dir!r})[0]; "
        "assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_tfds_without_the_split(tfds_dir):
    with pytest.raises(
        ValueError,
        match="in split 'validation': .* are train, test",
    ):
        TFDS("cifar10_jpeg", "validation", data_dir=tfds_dir)


def test_tfds_label_that_is_no_class(tfds_dir):
    with pytest.raises(ValueError, match="that has classes, subject, got 'azimuth'"):
        TFDS("yaleb_cropped48", "train", data_dir=tfds_dir, label="azimuth")


def test_missing_data_set_says_how_to_get_it(tmp_path):
    with pytest.raises(
        FileNotFoundError,
        match=r"no data folder .*nowhere for the data set 'cifar10'; "
        r"prepare it with: .*download_and_prepare.*--config.data.data_dir",
    ):
        TFDS("cifar10", "train", data_dir=str(tmp_path / "nowhere"))
    with pytest.raises(
        FileNotFoundError, match="no data set 'cifarx' in .*TFDS knows none"
    ):
        TFDS("cifarx", "train", data_dir=str(tmp_path))
