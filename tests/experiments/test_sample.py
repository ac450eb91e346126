"""The command as a user runs it: in a process of its own."""

import numpy as np
import pytest

from ssimjax.data import read_image
from ssimjax.tasks import load, samples, train
from tests.experiments.test_command_line import run
from tests.tasks.test_adversarial import small_config


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "gan"
    changes = {"training.epochs": 1.0, "model.conditional": True}
    changes |= {"training.checkpoint_every": 2, "training.keep_checkpoints": 2}
    # Without an average, two steps change what is drawn by more than devices do.
    changes |= {"adversarial.decay": 0.0}
    config = small_config(**changes)
    config.data.source, config.data.size = "photographs", 16
    config.data.train_count, config.data.test_count = 80, 80
    return folder, train(config, folder)


def test_draws_a_class(trained, tmp_path):
    folder, made = trained
    name = made.dataset.classes[3]
    done = run(
        "sample",
        f"--workdir={folder}",
        "--count=6",
        f"--label={name}",
        f"--out={tmp_path / 'new'}",
    )
    assert done.returncode == 0, done.stderr
    assert f"{tmp_path / 'new' / 'samples.png'}" in done.stdout
    arrays = np.load(tmp_path / "new" / "samples.npz")
    np.testing.assert_array_equal(arrays["labels"], 3)
    # There is one device there, and there are eight here.
    expected = samples(made, 6, labels=np.full(6, 3))
    np.testing.assert_allclose(arrays["images"], expected, atol=1e-4)
    picture = read_image(tmp_path / "new" / "samples.png")
    assert picture.shape[1] > 5 * picture.shape[0]


def test_draws_from_an_older_checkpoint(trained, tmp_path):
    folder, made = trained
    older = min(int(path.name) for path in (folder / "checkpoints").iterdir())
    done = run(
        "sample",
        f"--workdir={folder}",
        "--count=250",
        f"--checkpoint={older}",
        f"--out={tmp_path}",
    )
    assert done.returncode == 0, done.stderr
    images = np.load(tmp_path / "samples.npz")["images"]
    expected = samples(load(folder, checkpoint=older), 250)
    np.testing.assert_allclose(images, expected, atol=1e-4)
    assert np.abs(images - samples(made, 250)).max() > 1e-3
    # Of many, as many are drawn as a picture shows.
    height, width = read_image(tmp_path / "samples.png").shape[:2]
    columns = len(made.dataset.classes)
    assert columns * 20 < 250 and abs(height / width - 20 / columns) < 0.1


def test_mistakes_are_one_message(trained):
    folder, _ = trained
    done = run("sample", f"--workdir={folder}", "--label=zebra")
    assert done.returncode == 1
    assert "--label must be one of" in done.stderr and "'zebra'" in done.stderr
    done = run("sample", f"--workdir={folder}", "--replica=1")
    assert "--replica must be 0 to 0, got 1" in done.stderr
    done = run("sample", f"--workdir={folder}", "--checkpoint=first")
    assert "--checkpoint must be a number of steps or best, got 'f" in done.stderr
