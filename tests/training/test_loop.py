"""The loop on a task of a few lines, which shows that it knows none in particular."""

import json
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath

from ssimjax.data import Arrays, Dataset
from ssimjax.training import data_mesh, evaluator, fit, read_rows


class Regression:
    """Learns the mean label from nothing, with noise that depends on the key."""

    def __init__(self, *, explode_at=None):
        self.explode_at = explode_at

    def init(self, key):
        return {"guess": jax.random.normal(key), "steps": jnp.zeros((), int)}

    def train_step(self, key, state, batch):
        error = state["guess"] - batch["label"].mean()
        noise = 0.01 * jax.random.normal(key)
        loss = error**2
        if self.explode_at is not None:
            loss = jnp.where(state["steps"] == self.explode_at, jnp.nan, loss)
        guess = state["guess"] - 0.1 * error + noise
        return {"guess": guess, "steps": state["steps"] + 1}, {"loss": loss}

    def eval_step(self, state, batch):
        error = (state["guess"] - batch["label"]) ** 2
        return {
            "loss": jnp.where(batch["mask"], error, 0).sum(),
            "label": jnp.where(batch["mask"], batch["label"], 0).sum(),
            "count": batch["mask"].sum(),
        }


def dataset():
    labels = np.arange(20) % 7
    images = np.zeros((20, 1, 1, 1), np.uint8)
    return Dataset(
        Arrays(images, labels), Arrays(images[:11], labels[:11]), tuple("abcdefg"), ""
    )


def run(workdir=None, *, epochs=4.0, **options):
    defaults = dict(
        seed=0,
        batch_size=8,
        eval_batch_size=8,
        log_every=3,
        eval_every=4,
        checkpoint_every=2,
    )
    task = options.pop("task", Regression())
    return fit(
        task,
        dataset(),
        epochs=epochs,
        workdir=None if workdir is None else epath.Path(workdir),
        **(defaults | options),
    )


def test_rows_come_when_they_are_due():
    rows = run().history
    assert [r["step"] for r in rows if r["split"] == "train"] == [3, 6, 9, 10]
    assert [r["step"] for r in rows if r["split"] == "test"] == [4, 8, 10]
    assert rows[-1]["epoch"] == 4.0


def test_evaluation_counts_each_example_once():
    data = dataset()
    evaluate = evaluator(Regression(), mesh=data_mesh(), batch_size=8)
    state = {"guess": jnp.array(2.0), "steps": jnp.array(0)}
    means = evaluate(state, data.test)
    np.testing.assert_allclose(means["label"], data.test.labels.mean(), rtol=1e-6)
    target = ((2.0 - data.test.labels) ** 2).mean()
    np.testing.assert_allclose(means["loss"], target, rtol=1e-6)


def test_resumed_run_equals_the_uninterrupted_one_bitwise(tmp_path):
    whole = run(tmp_path / "whole")
    run(tmp_path / "parts", epochs=2.4)  # 6 steps
    (tmp_path / "parts" / "summary.json").unlink()
    parts = run(tmp_path / "parts")
    chex.assert_trees_all_equal(whole.state, parts.state)
    assert whole.history[-1] == parts.history[-1]
    assert parts.state["steps"] == 10


def test_rows_after_the_checkpoint_are_taken_back(tmp_path):
    run(tmp_path, epochs=2.4)
    path = tmp_path / "metrics.jsonl"
    with path.open("a") as file:  # What a killed run may leave.
        file.write(json.dumps({"step": 99, "split": "train", "loss": 1.0}) + "\n")
        file.write('{"step": 100, "spl')
    run(tmp_path)
    steps = [row["step"] for row in read_rows(path)]
    assert max(steps) == 10 and steps == sorted(steps)
    assert len(steps) == len({(r["step"], r["split"]) for r in read_rows(path)})


def test_files_of_a_run(tmp_path):
    fitted = run(tmp_path)
    assert read_rows(tmp_path / "metrics.jsonl") == fitted.history
    assert json.loads((tmp_path / "summary.json").read_text()) == fitted.summary
    assert list((tmp_path / "tensorboard").glob("events.*"))
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == ["10", "8"]
    assert fitted.summary["steps"] == 10 and fitted.summary["images_per_second"] > 0


def test_same_result_on_one_device_and_on_eight(monkeypatch):
    many = run()
    one = data_mesh(devices=jax.devices()[:1])
    monkeypatch.setattr("ssimjax.training.loop.data_mesh", lambda: one)
    chex.assert_trees_all_close(many.state, run().state, rtol=1e-6)


def test_nan_loss_stops_the_run_and_names_the_checkpoint(tmp_path):
    message = r"loss is nan within the 3 steps before step 6; last checkpoint: step 4"
    with pytest.raises(FloatingPointError, match=message):
        run(tmp_path, task=Regression(explode_at=4), log_every=3)
    assert all(math.isfinite(r["loss"]) for r in read_rows(tmp_path / "metrics.jsonl"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"batch_size": 12},
            "batch_size must be a positive multiple of the 8 devices, "
            "got 12; near it: 8, 16",
        ),
        ({"eval_batch_size": 0}, "eval_batch_size must be a positive multiple"),
        ({"epochs": 0.0}, "epochs must be > 0, got 0.0"),
        ({"checkpoint_every": 0}, "checkpoint_every must be > 0, got 0"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        run(**options)
