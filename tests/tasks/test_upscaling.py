import pathlib

import chex
import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest
import skimage.data

from configs import quickstart
from ssimjax import training
from ssimjax.ops import psnr, resize_bicubic, rgb_to_ycbcr, ssim
from ssimjax.tasks import (
    folder_scores,
    load_upscaler,
    mean_scores,
    train,
    upscaled,
    upscaling,
)
from tests.conftest import SHARED
from tests.tasks.test_super_resolution import dataset, small_config

# Snell et al. 2017, Table 2: PSNR and SSIM of bicubic enlargement, x4.
PUBLISHED = {"Set5": (28.44, 0.8097), "Set14": (26.01, 0.7018)}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Two seeds, whose data are gone."""
    workdir = tmp_path_factory.mktemp("run")
    config = small_config(**{"training.epochs": 2.0, "seeds": 2})
    config.data.source, config.data.data_dir = "patches", str(workdir / "gone")
    trained = train(config, workdir, data=dataset())
    loaded = load_upscaler(workdir)
    chex.assert_trees_all_equal(*jax.device_get([trained.state, loaded.state]))
    return loaded


@pytest.fixture
def folder(tmp_path):
    """A colour photograph and a gray one, whose sides are odd."""
    cat = skimage.data.chelsea()[100:151, 100:163]
    coins = skimage.data.coins()[50:97, 40:101]
    PIL.Image.fromarray(cat).save(tmp_path / "cat.png")
    PIL.Image.fromarray(coins).save(tmp_path / "coins.png")
    return tmp_path


@pytest.mark.parametrize("name", PUBLISHED)
def test_bicubic_rows_are_the_published_ones(name):
    images = pathlib.Path(SHARED, "super_resolution", name)
    if not images.is_dir():
        pytest.skip(f"no images in {images}: published rows are tested where they are")
    (mean,) = mean_scores(folder_scores(images, factor=4))
    decibels, similarity = PUBLISHED[name]
    assert abs(mean["psnr"] - decibels) < 0.05
    assert abs(mean["ssim"] - similarity) < 0.002


def test_scores_by_hand(run, folder):
    rows = folder_scores(folder, factor=2, runs={"net": run})
    assert [(row["image"], row["method"]) for row in rows] == [
        ("cat.png", "bicubic"),
        ("cat.png", "net"),
        ("coins.png", "bicubic"),
        ("coins.png", "net"),
    ]
    cat = np.asarray(PIL.Image.open(folder / "cat.png"))[:50, :62] / 255
    coins = np.asarray(PIL.Image.open(folder / "coins.png"))[:46, :60, None] / 255
    luma = np.rint(255 * rgb_to_ycbcr(jnp.asarray(cat, jnp.float32))[..., :1]) / 255
    for name, true in (("cat", luma), ("coins", coins)):
        true = jnp.asarray(true, jnp.float32)
        height, width = true.shape[:2]
        small = resize_bicubic(true, (height // 2, width // 2))
        large = resize_bicubic(small, (height, width))
        found = [large] + [
            run.task.sharpen(state, large[None])[0] for state in run.states()
        ]
        pixels = [np.clip(np.rint(255 * np.asarray(x)), 0, 255) for x in [true, *found]]
        pixels = [jnp.asarray(x[2:-2, 2:-2]) for x in pixels]
        for score, function in (("psnr", psnr), ("ssim", ssim)):
            values = [
                float(function(x, pixels[0], data_range=255.0)) for x in pixels[1:]
            ]
            bicubic, net = (row for row in rows if row["image"] == f"{name}.png")
            assert abs(bicubic[score] - values[0]) < 1e-3
            np.testing.assert_allclose(net[f"{score}_each"], values[1:], atol=1e-3)
            np.testing.assert_allclose(net[score], np.mean(values[1:]), atol=1e-3)


def test_a_network_cannot_take_the_rows_of_bicubic(run, folder):
    with pytest.raises(ValueError, match="runs must not be called 'bicubic'"):
        folder_scores(folder, factor=2, runs={"bicubic": run})


def test_mean_has_the_deviation_of_the_means_of_seeds(run, folder):
    rows = folder_scores(folder, factor=2, runs={"net": run})
    bicubic, net = mean_scores(rows)
    assert "psnr_sd" not in bicubic
    first, second = (row for row in rows if row["method"] == "net")
    each = np.mean([first["psnr_each"], second["psnr_each"]], 0)
    np.testing.assert_allclose(net["psnr_each"], each)
    np.testing.assert_allclose(net["psnr_sd"], each.std(ddof=1))


def test_tiles_make_the_same_image(run, monkeypatch):
    pixels = skimage.data.chelsea()[:45, :70]
    whole = upscaled(run, pixels, seed=1)
    assert whole.shape == (90, 140, 3) and whole.dtype == np.uint8
    # Three tiles by five, of the last of which 22 rows and 4 columns count.
    monkeypatch.setattr(upscaling, "_TILE", 34)
    tiled = upscaled(run, pixels, seed=1).astype(int)
    assert np.abs(tiled - whole).max() <= 1 and (tiled != whole).mean() < 1e-3


def test_tiles_cover_every_pixel_once_with_all_it_depends_on(monkeypatch):
    monkeypatch.setattr(upscaling, "_TILE", 10)
    for length in (5, 10, 11, 20, 23, 37):
        axis, seen = np.arange(length), []
        for window, kept in upscaling._tiles(length, 3):
            part = axis[window]
            assert len(part) == min(length, 16)
            seen.extend(part[kept])
            needed = np.arange(part[kept][0] - 3, part[kept][-1] + 4)
            assert set(np.clip(needed, 0, length - 1)) <= set(part)
        assert seen == axis.tolist()


def test_enlarged_pictures(run):
    gray = skimage.data.coins()[50:97, 40:101, None]
    found = upscaled(run, gray)
    assert found.shape == (94, 122, 1)
    state = run.states()[0]
    expected = run.task.upscale(state, jnp.asarray(gray[None] / 255, jnp.float32))
    assert np.abs(found - 255 * np.asarray(expected[0])).max() <= 0.51
    # Color comes from bicubic enlargement; luma does not.
    cat = skimage.data.chelsea()[100:130, 100:140]
    large = resize_bicubic(jnp.asarray(cat / 255, jnp.float32), (60, 80))
    ours = rgb_to_ycbcr(jnp.asarray(upscaled(run, cat) / 255, jnp.float32))
    difference = 255 * jnp.abs(ours - rgb_to_ycbcr(large)).mean((0, 1))
    assert difference[0] > 2 * max(difference[1:])
    with pytest.raises(IndexError):
        upscaled(run, gray, seed=2)


def test_errors(run, folder, tmp_path_factory, own_errors):
    with pytest.raises(ValueError, match="factor must be .* got 4, and 2 of net"):
        folder_scores(folder, factor=4, runs={"net": run})
    PIL.Image.new("RGB", (14, 40)).save(folder / "thin.png")
    with pytest.raises(ValueError, match="at least 11 pixels .*thin.png has 40x14"):
        folder_scores(folder, factor=2)
    with pytest.raises(TypeError, match="image must be uint8, got float64"):
        upscaled(run, np.zeros((8, 8, 3)))
    with pytest.raises(ValueError, match=r"1 or 3\], not empty, got \(8, 8\)"):
        upscaled(run, np.zeros((8, 8), np.uint8))
    workdir = tmp_path_factory.mktemp("classifier")
    training.claim(workdir, quickstart.get_config(), free=training.FREE_KEYS)
    with pytest.raises(ValueError, match="task 'super_resolution', got 'classificat"):
        load_upscaler(workdir)
