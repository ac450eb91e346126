"""The command as a user runs it: in a process of its own."""

import numpy as np
import pytest

from ssimjax.data import read_image
from ssimjax.tasks import samples, train
from tests.experiments.test_command_line import run
from tests.tasks.test_adversarial import small_config


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "gan"
    changes = {"training.epochs": 1.0, "model.conditional": True}
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


def test_mistakes_are_one_message(trained):
    folder, _ = trained
    done = run("sample", f"--workdir={folder}", "--label=zebra")
    assert done.returncode == 1
    assert "--label must be one of" in done.stderr and "'zebra'" in done.stderr
    done = run("sample", f"--workdir={folder}", "--replica=1")
    assert "--replica must be 0 to 0, got 1" in done.stderr
