import struct
import zlib

import numpy as np
import PIL.Image
import pytest

from configs import super_resolution
from ssimjax.data import file_patches, image_files, open_dataset, read_image


@pytest.fixture
def folder(tmp_path):
    """A tall image, a wide one that is gray, and one that holds no patch of 8."""
    rng = np.random.default_rng(0)
    for name, shape in (("a", (20, 8, 3)), ("b", (8, 12)), ("small", (7, 30, 3))):
        pixels = rng.integers(0, 256, shape, np.uint8)
        PIL.Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "folder.png").mkdir()
    return tmp_path


def test_files_are_listed_by_name(folder):
    assert [f.name for f in image_files(folder)] == ["a.png", "b.png", "small.png"]
    with pytest.raises(FileNotFoundError, match="no folder of images .*nowhere"):
        image_files(folder / "nowhere")
    (folder / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no images in .*empty.*\.png"):
        image_files(folder / "empty")


def test_patches_are_cut_out_of_the_images(folder):
    patches = file_patches(folder, size=8, count=60, seed=1)
    assert patches.images.shape == (60, 8, 8, 3) and not patches.labels.any()
    tall, gray = (read_image(folder / f"{name}.png") for name in "ab")
    wide = np.repeat(gray, 3, -1)
    places = [tall[y : y + 8] for y in range(13)]
    places += [wide[:, x : x + 8] for x in range(5)]
    counts = np.zeros(18, int)
    for patch in patches.images:
        (found,) = [i for i, place in enumerate(places) if (patch == place).all()]
        counts[found] += 1
    # 18 positions, each as likely; 13 of them in the tall image.
    assert (counts > 0).sum() > 12 and counts.max() < 12
    assert abs(counts[:13].sum() / 60 - 13 / 18) < 0.2


def test_seed_decides_the_patches(folder):
    first, again, other = (
        file_patches(folder, size=8, count=20, seed=seed).images for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_gray_patches_are_luma(folder):
    color, gray = (
        file_patches(folder, size=8, count=20, color=color).images
        for color in (True, False)
    )
    assert gray.shape == (20, 8, 8, 1)
    luma = color @ np.array([0.299, 0.587, 0.114])
    assert np.abs(gray[..., 0] - luma).max() < 1


def test_bad_sizes(folder):
    with pytest.raises(ValueError, match="size must be at most 8, .* got 9"):
        file_patches(folder, size=9, count=1)
    with pytest.raises(ValueError, match="count must be >= 1, got 0"):
        file_patches(folder, size=8, count=0)


def test_patches_by_config(folder, tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    for split in ("T", "V"):
        (root / split).symlink_to(folder)
    config = super_resolution.defaults().data
    config.update(
        source="patches", train_split="T", test_split="V", size=8, train_count=7
    )
    with pytest.raises(ValueError, match="data.data_dir must name the folder"):
        open_dataset(config)
    config.data_dir = str(root)
    data = open_dataset(config)
    assert (len(data.train), len(data.test)) == (7, 100)
    assert data.train.images.shape[1:] == (8, 8, 3)
    assert "8x8 patches of images in" in data.description


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "LA", "RGBA"])
def test_modes_of_8_bits(mode, tmp_path):
    rng = np.random.default_rng(0)
    picture = PIL.Image.fromarray(rng.integers(0, 256, (5, 6, 3), np.uint8))
    path = tmp_path / ("x.tif" if mode == "CMYK" else "x.png")
    picture.convert(mode).save(path)
    gray = mode in ("1", "L", "LA")
    expected = np.asarray(picture.convert(mode).convert("L" if gray else "RGB"))
    np.testing.assert_array_equal(read_image(path), expected.reshape(5, 6, -1))


def test_a_file_says_which_way_is_up(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 6, 3), np.uint8)
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # Its first row is the right side, its first column the top.
    PIL.Image.fromarray(pixels).save(tmp_path / "x.png", exif=exif)
    found = read_image(tmp_path / "x.png")
    np.testing.assert_array_equal(found, np.rot90(pixels, -1))


def test_what_would_be_lost_is_refused(tmp_path):
    pixels = np.zeros((5, 6, 4), np.uint8)
    PIL.Image.fromarray(pixels).save(tmp_path / "glass.png")
    with pytest.raises(ValueError, match="glass.png has transparent pixels"):
        read_image(tmp_path / "glass.png")
    PIL.Image.fromarray(np.zeros((5, 6), np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(ValueError, match=r"deep.png has 16 bits per channel; use 8"):
        read_image(tmp_path / "deep.png")
    PIL.Image.fromarray(np.zeros((5, 6), np.float32)).save(tmp_path / "real.tif")
    with pytest.raises(ValueError, match="mode 'F'; use 8 bits per channel"):
        read_image(tmp_path / "real.tif")
    frames = [PIL.Image.new("RGB", (6, 5), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "film.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(ValueError, match="film.gif has several frames"):
        read_image(tmp_path / "film.gif")
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(ValueError, match="text.png is not an image"):
        read_image(tmp_path / "text.png")
    with pytest.raises(FileNotFoundError, match="no image file .*none.png"):
        read_image(tmp_path / "none.png")


def png(*, bits, kind, channels, length=None):
    """A black PNG of 6x5 pixels, which Pillow would not write; IDAT of any length."""

    def chunk(name, data, length=None):
        crc = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", length or len(data)) + name + data + crc

    header = struct.pack(">IIBBBBB", 6, 5, bits, kind, 0, 0, 0)
    rows = zlib.compress(bytes(5 * (1 + 6 * channels * bits // 8)))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", rows, length)
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(("kind", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_16_bits_are_refused_of_every_kind_of_png(kind, channels, tmp_path):
    path = tmp_path / "x.png"
    path.write_bytes(png(bits=16, kind=kind, channels=channels))
    with pytest.raises(ValueError, match=r"x.png has 16 bits per channel; use 8"):
        read_image(path)
    if kind < 4:  # Black and opaque.
        path.write_bytes(png(bits=8, kind=kind, channels=channels))
        assert read_image(path).shape == (5, 6, channels)


def test_damaged_and_huge_files_are_named(tmp_path, monkeypatch):
    path = tmp_path / "x.png"
    path.write_bytes(png(bits=8, kind=2, channels=3, length=3))
    with pytest.raises(ValueError, match=r"x.png cannot be read: broken PNG file"):
        read_image(path)
    path.write_bytes(png(bits=8, kind=2, channels=3))
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 10)
    with pytest.raises(ValueError, match=r"x.png cannot be read: Image size .*limit"):
        read_image(path)
