import filelock
import ml_collections
import pytest

from ssimjax.training import changed_data, claim, read_config


def config(**changes):
    base = {"seed": 0, "model": {"widths": (1, 2)}, "rate": 0.5}
    return ml_collections.ConfigDict(base | changes)


def test_same_config_may_come_back(tmp_path):
    folder = claim(tmp_path / "a" / "b", config())
    assert claim(folder, config()) == folder
    assert read_config(folder).model.widths == (1, 2)


def test_another_config_is_refused_with_the_difference(tmp_path):
    claim(tmp_path, config())
    (tmp_path / "checkpoints" / "5").mkdir(parents=True)
    with pytest.raises(FileExistsError, match="holds a run of another config") as error:
        claim(tmp_path, config(rate=0.25, model={"widths": (1, 2), "depth": 3}))
    lines = str(error.value).splitlines()[1:]
    assert lines == [
        "  model.depth: '(absent)' there, 3 here",
        "  rate: 0.5 there, 0.25 here",
    ]
    (tmp_path / "summary.json").write_text("{}")
    with pytest.raises(FileExistsError, match="holds a finished run of another config"):
        claim(tmp_path, config(seed=1))


def test_config_of_a_run_that_never_began_is_replaced(tmp_path):
    claim(tmp_path, config(seed=-3))
    (tmp_path / "checkpoints").mkdir()
    assert read_config(claim(tmp_path, config())).seed == 0
    # Unless it is about to write its first checkpoint.
    with (
        filelock.FileLock(str(tmp_path / "run.lock")),  # As another process does.
        pytest.raises(FileExistsError, match="a run of another config"),
    ):
        claim(tmp_path, config(seed=1))


def test_damaged_config_is_named(tmp_path):
    (tmp_path / "config.json").write_text('{"seed": ')
    for look in (read_config, lambda folder: claim(folder, config())):
        with pytest.raises(ValueError, match="config.json is damaged: Expecting"):
            look(tmp_path)


def test_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="workdir .*file/run cannot be written"):
        claim(tmp_path / "file" / "run", config())
    with pytest.raises(NotADirectoryError, match="must be a folder, and .* is a file"):
        claim(tmp_path / "file", config())


def test_folder_without_a_run(tmp_path):
    with pytest.raises(
        FileNotFoundError, match="no run in workdir .*experiments.train"
    ):
        read_config(tmp_path)


def test_data_that_a_run_said_nothing_of_are_not_called_changed(tmp_path):
    claim(tmp_path, config(), fingerprints={"train": "a", "test": "b"})
    assert changed_data(tmp_path, {"train": "a", "test": "c", "more": "d"}) == ["test"]
    assert changed_data(tmp_path / "none", {"train": "a"}) == []
