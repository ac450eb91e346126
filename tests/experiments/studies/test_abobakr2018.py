"""The whole study, made as small as it can be."""

import pytest
from etils import epath

from experiments.studies import abobakr2018


def smallest(config):
    config.data.source = "photographs"
    config.data.color = True
    config.data.train_count, config.data.test_count = 40, 20
    config.data.size = 16
    config.model.widths = (4,) * len(config.model.widths)
    config.training.batch_size = 8
    config.training.eval_batch_size = 24
    config.training.visualise = False
    if config.augmentation.resized_crop is not None:
        config.augmentation.resized_crop = 12


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    workdir = epath.Path(tmp_path_factory.mktemp("study"))
    (workdir / "abobakr2018").mkdir()
    return abobakr2018.Settings(
        workdir=workdir,
        pictures=workdir / "abobakr2018",
        seeds=2,
        epochs=0.5,
        examples=10,
        attacks={"fgsm": {}, "pgd": {"steps": 2, "restarts": 1}},
        epsilons=[0.0, 8 / 255],
        change=smallest,
    )


SLOW = set(abobakr2018.TABLES) - {"fig9", "fig7"}  # The others take minutes together.


@pytest.mark.parametrize(
    "table",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else [])
        for name in abobakr2018.TABLES
    ],
)
def test_every_table_has_its_numbers_and_pictures(table, settings):
    text = abobakr2018.TABLES[table](settings)
    assert text.startswith("## ")
    for numbers in abobakr2018.PUBLISHED.get(table, {}).values():
        for number in numbers:
            assert number is None or f"{number}" in text
    pictures = [part.split(")")[0] for part in text.split("](")[1:]]
    assert pictures
    for picture in pictures:
        file = settings.pictures.parent / picture
        assert file.read_bytes().startswith(b"\x89PNG")
    if table not in ("fig9", "fig10", "noise"):
        assert "95 % interval" in text
    if table == "fig9":
        assert text.count("Verdict: ") == 2 and "worst case" in text
