"""The whole study, made as small as it can be."""

import pytest
from etils import epath

from experiments.studies import snell2017
from tests.experiments.studies.test_lu2019 import smallest


@pytest.mark.slow
@pytest.mark.parametrize("table", snell2017.TABLES)
def test_every_table_has_its_numbers_and_pictures(table, tmp_path):
    (tmp_path / "snell2017").mkdir()
    settings = snell2017.Settings(
        workdir=epath.Path(tmp_path),
        pictures=epath.Path(tmp_path / "snell2017"),
        seeds=2,
        epochs=0.4,
        change=smallest,
    )
    text = snell2017.TABLES[table](settings)
    assert text.startswith("## ") and "nan" not in text
    for row in snell2017.PUBLISHED.get(table, {}).values():
        assert ", ".join(map(str, row)) in text
    pictures = [part.split(")")[0] for part in text.split("](")[1:]]
    assert len(pictures) == 3
    for picture in pictures:
        file = settings.pictures.parent / picture
        assert file.read_bytes().startswith(b"\x89PNG")
