"""The whole study, made as small as it can be."""

import dataclasses

import PIL.Image
import pytest
import skimage.data
from etils import epath

from experiments.studies import snell2017
from tests.experiments.studies.test_lu2019 import smallest


def small(config):
    if config.task == "reconstruction":
        smallest(config)
        config.data.train_count = 80  # A fifth, which is held out, has all classes.
        return
    config.data.train_count, config.data.test_count = 40, 20
    config.model.widths = (4, 4)
    config.training.batch_size = 8
    config.training.eval_batch_size = 24
    config.training.visualise = False


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "snell2017").mkdir()
    return snell2017.Settings(
        workdir=epath.Path(tmp_path),
        pictures=epath.Path(tmp_path / "snell2017"),
        seeds=2,
        epochs=0.4,
        change=small,
    )


def cells(text):
    """Those of the rows of a table, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:]]


def check(text, settings, *, pictures):
    assert text.startswith("## ") and "nan" not in text and " ± " in text
    drawn = [part.split(")")[0] for part in text.split("](")[1:]]
    assert len(drawn) == pictures
    for picture in drawn:
        file = settings.pictures.parent / picture
        assert file.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_autoencoders_of_photographs(settings):
    check(snell2017.TABLES["stl10"](settings), settings, pictures=3)


@pytest.mark.slow
def test_probes_beside_what_was_published(settings):
    text = snell2017.TABLES["yale_b"](settings)
    check(text, settings, pictures=3)
    for row in snell2017.PUBLISHED["yale_b"].values():
        assert ", ".join(map(str, row)) in text
    for other in ("mse", "mae"):
        assert f"ms_ssim − {other}: " in text


@pytest.mark.slow
def test_super_resolution_of_squares(settings):
    text = snell2017.TABLES["super_resolution"](settings)
    check(text, settings, pictures=2)
    assert [row[:2] for row in cells(text)] == [
        ["held-out squares", name] for name in ("bicubic", "mse", "mae", "ms_ssim")
    ]


@pytest.mark.slow
def test_super_resolution_of_folders_beside_what_was_published(settings, tmp_path):
    for folder, images in {"T91": ("coffee",), "Set14": ("chelsea", "rocket")}.items():
        (tmp_path / folder).mkdir()
        for name in images:
            pixels = getattr(skimage.data, name)()[:120, :120]
            PIL.Image.fromarray(pixels).save(tmp_path / folder / f"{name}.png")

    def change(config):
        small(config)
        config.data.source, config.data.data_dir = "patches", str(tmp_path)
        config.data.train_split, config.data.test_split = "T91", "Set14"

    settings = dataclasses.replace(settings, change=change)
    text = snell2017.TABLES["super_resolution"](settings)
    check(text, settings, pictures=2)
    assert [row[:3] for row in cells(text)] == [
        ["Set14", "bicubic", "26.01, 0.7018"],
        ["Set14", "mse", "27.53, 0.7512"],
        ["Set14", "mae", "26.82, 0.7310"],
        ["Set14", "ms_ssim", "27.47, 0.7610"],
    ]
