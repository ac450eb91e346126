import numpy as np
import pytest

from ssimjax.data import photograph_patches, photographs


def test_same_arguments_same_patches():
    first = photograph_patches(train_count=100, test_count=50)
    second = photograph_patches(train_count=100, test_count=50)
    other = photograph_patches(train_count=100, test_count=50, seed=1)
    np.testing.assert_array_equal(first.train.images, second.train.images)
    np.testing.assert_array_equal(first.test.images, second.test.images)
    assert not np.array_equal(first.train.images, other.train.images)


@pytest.mark.parametrize(("color", "channels"), [(False, 1), (True, 3)])
def test_shapes_and_classes(color, channels):
    data = photograph_patches(size=24, train_count=100, test_count=50, color=color)
    assert data.train.images.shape == (100, 24, 24, channels)
    assert data.train.images.dtype == np.uint8
    assert len(data.classes) == 10
    np.testing.assert_array_equal(np.bincount(data.train.labels), [10] * 10)
    np.testing.assert_array_equal(np.bincount(data.test.labels), [5] * 10)


@pytest.mark.parametrize("size", [8, 32, 64])
def test_splits_share_no_pixel(size, monkeypatch):
    read = photographs._read

    def numbered(name, color):
        # Every pixel of a photograph becomes its own number, exact in float32.
        shape = read(name, color).shape[:2]
        return np.arange(np.prod(shape)).reshape(*shape, 1).astype(np.float32) / 2**24

    monkeypatch.setattr(photographs, "_read", numbered)
    data = photograph_patches(size=size, train_count=500, test_count=200)
    for label in range(10):
        train, test = (
            {*split.images[split.labels == label].ravel().tolist()}
            for split in (data.train, data.test)
        )
        assert train and test and not train & test


def test_bad_arguments(own_errors):
    with pytest.raises(
        ValueError, match="train_count must be a positive multiple of 10"
    ):
        photograph_patches(train_count=15)
    with pytest.raises(ValueError, match="use a size of at most"):
        photograph_patches(size=128)
    with pytest.raises(ValueError, match="size must be >= 1 pixel, got 0"):
        photograph_patches(size=0)
