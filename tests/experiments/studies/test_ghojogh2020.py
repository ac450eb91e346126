"""The whole study, made as small as it can be."""

import dataclasses

import pytest
from etils import epath

from experiments.studies import ghojogh2020


def smallest(config):
    config.data.source = "photographs"
    config.data.color = True
    config.data.train_count, config.data.test_count = 40, 40
    config.data.size = 16
    config.data.side = None
    config.data.crop = 1.0
    config.training.batch_size = 8
    config.training.eval_batch_size = 40
    config.training.visualise = False
    # Networks that are trained as their config says.
    if config.task in ("classification", "reconstruction"):
        config.training.epochs = 0.4
    if config.task == "classification":
        return
    if config.model.get("name") != "dense":
        config.model.widths = (4, 6)
    if config.task == "adversarial":
        config.discriminator.widths = (4, 6)


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    workdir = epath.Path(tmp_path_factory.mktemp("study"))
    (workdir / "ghojogh2020").mkdir()
    return ghojogh2020.Settings(
        workdir=workdir,
        pictures=workdir / "ghojogh2020",
        seeds=2,
        epochs=0.4,
        change=smallest,
    )


def checked(table, settings):
    text = ghojogh2020.TABLES[table](settings)
    assert text.startswith("## ")
    pictures = [part.split(")")[0] for part in text.split("](")[1:]]
    assert len(pictures) >= 2
    for picture in pictures:
        file = settings.pictures.parent / picture
        assert file.read_bytes().startswith(b"\x89PNG")
        nearest = file.with_name(file.name.replace(".png", "-nearest.png"))
        assert nearest.read_bytes().startswith(b"\x89PNG")
    assert "nan" not in text and " ± " in text and "Welch" in text
    assert "| test images " in text
    return text


@pytest.mark.slow
@pytest.mark.parametrize(
    "table", sorted(set(ghojogh2020.TABLES) - {"code_gmmn", "memory"})
)
def test_every_table_has_its_numbers_and_pictures(table, settings):
    text = checked(table, settings)
    assert ("| label accuracy" in text) == (table == "conditional")
    assert ("confidence" in text) == (table != "faces")
    assert "FID" not in text and not columns(text, "model") & {"fid", "kid"}


def columns(text, first):
    """Headers of the table whose first column is called so."""
    header = next(x for x in text.splitlines() if x.startswith(f"| {first}"))
    return {cell.strip() for cell in header.split("|")}


def test_memory_of_a_step_is_measured(settings, monkeypatch):
    monkeypatch.setattr(ghojogh2020, "_BATCHES", (250, 2000))
    text = ghojogh2020.TABLES["memory"](settings)
    rows = [line.split("|")[1:-1] for line in text.splitlines() if line[:2] == "| "]
    measured = {int(row[0]): [int(cell) for cell in row[1:]] for row in rows[2:]}
    assert sorted(measured) == [250, 2000]
    # Bounded: a few matrices, whatever the number of windows.
    assert all(3 <= measured[2000][i] < 40 for i in (1, 3))


def test_codes_and_the_columns_of_inception(settings, monkeypatch):
    monkeypatch.setattr(ghojogh2020, "_COUNT", 40)
    monkeypatch.setattr("ssimjax.tasks.sampling._PERMUTATIONS", 20)
    given = dataclasses.replace(settings, inception=lambda images: images.mean((1, 2)))
    text = checked("code_gmmn", given)
    assert "`code_gmmn-ssim_distance` − `code_gmmn-mse`" in text
    assert {"fid", "kid"} <= columns(text, "model")
    assert "fid" in columns(text, "difference")
    assert "FID and KID (unbiased, of all pairs)" in text
