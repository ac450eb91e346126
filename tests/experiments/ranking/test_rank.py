"""Trained autoencoders, ranked: by the command line, as a user runs it."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from configs import reconstruction
from configs.snell2017 import stl10
from experiments.ranking import metrics, page, pictures
from ssimjax import losses
from ssimjax.data import Arrays
from ssimjax.tasks import reconstructions, train
from tests.experiments.ranking.small import names_of, study_of, write
from tests.experiments.ranking.small import pictures as small_pictures

ROOT = pathlib.Path(__file__).parents[3]


def rank(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "experiments.rank", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )


def trained(workdir, epochs):
    config = stl10.get_config("mse")
    with config.unlocked():
        config.data.update(
            source="photographs", size=16, train_count=160, test_count=20
        )
        config.model.widths = (8, 16)
        config.optimizer.rate = 5e-3
        config.training.update(
            batch_size=32, eval_batch_size=32, visualise=False, epochs=epochs
        )
    train(config, workdir)
    return workdir


def test_build_then_analyse(tmp_path):
    good, bad = trained(tmp_path / "good", 40.0), trained(tmp_path / "bad", 0.2)
    out = tmp_path / "new" / "page.html"
    done = rank("build", f"--workdirs={good},{bad}", "--images=6", f"--out={out}")
    assert done.returncode == 0, done.stderr
    assert "6 test images" in done.stdout and str(out) in done.stdout
    study = study_of(out.read_text())
    shown = [trial["image"] for trial in study["trials"]]
    assert sorted(shown) == [0, 3, 7, 11, 15, 19]
    letters = {name: id for id, name in names_of(study).items()}
    assert set(letters) == {"good", "bad"}

    # Someone whose taste is the opposite of the metric's for two pictures of six.
    trials = [
        {
            "image": image,
            "shown": [copy["id"] for copy in trial["copies"]],
            "order": [letters["good"], letters["bad"]][:: -1 if n < 2 else 1],
            "moves": 1,
            "milliseconds": 100,
        }
        for n, (image, trial) in enumerate(zip(shown, study["trials"]))
    ]
    answers = {
        "format": "ranking-answers/1",
        "study": study["id"],
        "rater": "r1",
        "name": "",
        "sealed": study["sealed"],
        "trials_in_study": 6,
        "trials": trials,
    }
    path = write(tmp_path / "a.json", answers)
    done = rank(
        "analyse", f"--answers={path}", f"--workdirs={good},{bad}", "--metrics=mse,ssim"
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "ranking.json").read_text())
    counts = {row["model"]: row["first"] for row in found["people"]["models"]}
    assert counts == {"good": 4, "bad": 2}
    assert set(found["metrics"]) == {"mse", "ssim"} == set(found["agreement"])
    assert found["agreement"]["mse"]["decided"] == 6
    text = (tmp_path / "ranking.md").read_text()
    assert text.strip() in done.stdout
    assert "## People" in text and "## mse" in text and "Agreement with people" in text

    done = rank("analyse", f"--workdirs={good},{bad}", "--metrics=mse")
    assert done.returncode == 0, done.stderr
    found = json.loads((pathlib.Path(good) / "ranking.json").read_text())
    assert found["metrics"]["mse"]["trials"] == 20 and "people" not in found
    # The training shows.
    by_metric = {r["model"]: r["first"] for r in found["metrics"]["mse"]["models"]}
    assert by_metric["good"] > 2 * by_metric["bad"]

    for arguments, message in (
        (["build"], "build needs --workdirs"),
        (["analyse"], "analyse needs --answers, --metrics or both"),
        (["analyse", "--metrics=mse"], "--metrics needs --workdirs"),
        (["analyse", f"--answers={path}", f"--out={path}"], "none of the answers, got"),
        (["analyse", f"--answers={path}", "--out=a.md"], "--out must end in .json"),
        (
            ["build", f"--workdirs={good},{bad}", "--images=21"],
            "images must be from 1 to 20, got 21",
        ),
    ):
        failed = rank(*arguments)
        assert failed.returncode == 1 and "Traceback" not in failed.stderr
        assert message in failed.stderr


@pytest.fixture(scope="module")
def autoencoder():
    config = reconstruction.defaults()
    config.data.source = "photographs"
    config.data.size, config.data.train_count, config.data.test_count = 16, 40, 20
    config.model.code, config.model.widths = 4, (4,)
    config.training.batch_size = config.training.eval_batch_size = 40
    config.training.epochs = 1.0
    return train(config)


def test_chosen_images_are_reconstructed(autoencoder):
    found = pictures.reconstruct({"a": autoencoder, "b": autoencoder}, indices=[7, 3])
    images = autoencoder.dataset.test.images[[7, 3]]
    np.testing.assert_allclose(found.originals, images / 255, atol=1e-6)
    for name in "ab":
        expected = reconstructions(autoencoder, images)
        np.testing.assert_allclose(found.reconstructions[name], expected, atol=1e-6)
    # What it is for: the page takes it.
    trials = study_of(page.build(found))["trials"]
    assert sorted(trial["image"] for trial in trials) == [3, 7]


def test_runs_that_do_not_fit_together(autoencoder):
    def refused(run, message, **options):
        with pytest.raises(ValueError, match=message):
            pictures.reconstruct({"one": autoencoder, "two": run}, **options)

    dataset = autoencoder.dataset
    fewer = Arrays(dataset.test.images[:10], dataset.test.labels[:10])
    darker = Arrays(dataset.test.images // 2, dataset.test.labels)
    config = autoencoder.config.copy_and_resolve_references()
    config.task = "classification"
    for test, message in (
        (fewer, r"same test images, got .*\(20, 16.* for one and .*\(10, 16.* for two"),
        (darker, "same test images, but those of one and two differ in their pixels"),
    ):
        changed = autoencoder._replace(dataset=dataset._replace(test=test))
        refused(changed, message)
    described = dataset._replace(description="others")
    refused(autoencoder._replace(dataset=described), "'others'.* for two")
    refused(autoencoder._replace(config=config), "got 'classification' for two")
    refused(autoencoder, "below the 20 test images, got 20", indices=[20])
    with pytest.raises(ValueError, match="two or more autoencoders, got .'one'."):
        pictures.reconstruct({"one": autoencoder})
    with pytest.raises(ValueError, match="--workdir must name different folders"):
        pictures.load_runs(["runs/a", "runs/a"])


def test_metrics_rank_by_their_loss():
    shown = small_pictures()
    order = ["noisy", "blurred", "sharp"]
    for name in ("mse", "ssim"):
        values = [
            losses.by_name(name, data_range=1.0)(
                shown.reconstructions[m], shown.originals
            )
            for m in order
        ]
        expected = 1 + np.argsort(np.argsort(np.stack(values, 1), 1), 1)
        found = metrics.rank(shown, name, order)
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(found[:, 2], 1)
    twice = shown._replace(
        reconstructions={m: shown.reconstructions["noisy"] for m in order}
    )
    np.testing.assert_array_equal(metrics.rank(twice, "mae", order), np.full((4, 3), 2))


def test_metrics_that_cannot_compare_say_so(own_errors):
    with pytest.raises(ValueError, match="no loss is named 'msse'; did you mean 'mse'"):
        metrics.rank(small_pictures(), "msse", ["sharp"])
    with pytest.raises(ValueError, match="images of 16x16x1, which 'ms_ssim' cannot"):
        metrics.rank(small_pictures(), "ms_ssim", ["sharp"])
    with pytest.raises(ValueError, match="16x16x1, which 'mixture' cannot: .*terms"):
        metrics.rank(small_pictures(), "mixture", ["sharp"])
