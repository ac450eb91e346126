"""The whole study, made as small as it can be."""

import numpy as np
import pytest
from etils import epath

from configs.lu2019 import table1
from experiments.studies import lu2019
from ssimjax.figures import comparison
from ssimjax.tasks import interpolations, load, reconstructions
from ssimjax.tasks.autoencoding import codes


def smallest(config):
    config.data.source = "photographs"
    config.data.color = True
    config.data.train_count, config.data.test_count = 40, 20
    config.data.size = 24
    config.model.code = 4
    config.model.widths = (4, 6)
    config.training.batch_size = 8
    config.training.eval_batch_size = 24
    config.training.visualise = False


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    workdir = epath.Path(tmp_path_factory.mktemp("study"))
    (workdir / "lu2019").mkdir()
    return lu2019.Settings(
        workdir=workdir,
        pictures=workdir / "lu2019",
        seeds=2,
        epochs=0.4,
        change=smallest,
    )


@pytest.mark.slow
@pytest.mark.parametrize("table", lu2019.TABLES)
def test_every_table_has_its_numbers_and_pictures(table, settings):
    text = lu2019.TABLES[table](settings)
    assert text.startswith("## ")
    for row in lu2019.PUBLISHED.get(table, {}).values():
        for ssim, mse in row.values():
            assert f"{ssim:.2f}, {mse:.4f}" in text
    pictures = [part.split(")")[0] for part in text.split("](")[1:]]
    assert bool(pictures) == (table in ("table1", "samples"))
    for picture in pictures:
        file = settings.pictures.parent / picture
        assert file.read_bytes().startswith(b"\x89PNG")
    assert "nan" not in text and " ± " in text


def test_one_cell(settings):
    run = settings.train("mmd_ae-lw_ssim", table1.get_config("mmd_ae-lw_ssim"))
    images = run.dataset.test.images[:6]
    found = reconstructions(run, images, seed=1)
    again = load(settings.workdir / "mmd_ae-lw_ssim")
    np.testing.assert_allclose(found, reconstructions(again, images, seed=1), rtol=1e-5)
    assert not np.allclose(found, reconstructions(run, images, seed=0), atol=1e-3)
    lines = interpolations(run, images[:3], images[3:], steps=4, seed=1)
    np.testing.assert_allclose(lines[:, 0], found[:3], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(lines[:, -1], found[3:], rtol=1e-4, atol=1e-5)
    assert codes(run, images).shape == (6, 4)
    with pytest.raises(ValueError, match="steps must be >= 2"):
        interpolations(run, images, images, steps=1)
    with pytest.raises(ValueError, match="one shape"):
        comparison({"a": images, "b": images[:2]}, settings.workdir / "no.png")
