"""The loop on a task of a few lines, which shows that it knows none in particular."""

import gc
import json
import math
import os
import shutil
import signal
import threading
import time

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath

from ssimjax.data import Arrays, Dataset
from ssimjax.training import (
    Checkpoints,
    Options,
    Preempted,
    Program,
    data_mesh,
    evaluator,
    fit,
    read_rows,
)


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
        batch_size=8,
        eval_batch_size=8,
        log_every=3,
        eval_every=4,
        checkpoint_every=2,
    )
    task = options.pop("task", Regression())
    keys = ("seed", "seeds", "mesh_shape", "report")
    run_options = {key: options.pop(key) for key in keys if key in options}
    return fit(
        task,
        dataset(),
        Options(**(defaults | {"epochs": epochs} | options)),
        workdir=None if workdir is None else epath.Path(workdir),
        **({"seed": 0} | run_options),
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


def test_rows_know_nothing_of_an_interruption(tmp_path):
    # It stops after step 4, and the next row is of steps 4 to 6.
    with pytest.raises(FloatingPointError):
        run(tmp_path, task=Regression(explode_at=4))
    assert run(tmp_path).history == run().history


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
    monkeypatch.setattr("ssimjax.training.loop.data_mesh", lambda **_: one)
    chex.assert_trees_all_close(many.state, run().state, rtol=1e-6)


@pytest.mark.parametrize(
    ("steps", "calls"), [(2, [2, 1, 1, 2, 2, 1, 1]), (100, [3, 1, 2, 2, 1, 1])]
)
def test_several_steps_per_call_change_nothing(steps, calls, monkeypatch):
    one = run(checkpoint_every=10)
    taken = []
    take = Program.__call__

    def counted(self, state, batches, first):
        taken.append(len(batches["label"]))
        return take(self, state, batches, first)

    monkeypatch.setattr(Program, "__call__", counted)
    several = run(steps_per_dispatch=steps, checkpoint_every=10)
    # Rows are due after 3, 6 and 9 steps, evaluations after 4 and 8.
    assert taken == calls
    chex.assert_trees_all_equal(one.state, several.state)
    assert one.history == several.history


@pytest.mark.parametrize("mesh_shape", [None, (1, 8), (2, 4)])
def test_each_seed_is_the_run_it_would_be_alone(tmp_path, mesh_shape):
    together = run(tmp_path, seed=3, seeds=4, mesh_shape=mesh_shape)
    alone = [run(seed=seed) for seed in (3, 4, 5, 6)]
    for i, single in enumerate(alone):
        mine = jax.tree.map(lambda leaf: leaf[i], together.state)  # noqa: B023
        chex.assert_trees_all_close(mine, single.state, rtol=1e-6)
    losses = [single.summary["test"]["loss"] for single in alone]
    test = together.summary["test"]
    np.testing.assert_allclose(test["loss_each"], losses, rtol=1e-5)
    np.testing.assert_allclose(test["loss"], np.mean(losses), rtol=1e-5)
    np.testing.assert_allclose(test["loss_sd"], np.std(losses, ddof=1), rtol=1e-4)
    assert together.summary["seeds"] == [3, 4, 5, 6]
    row = read_rows(tmp_path / "metrics.jsonl")[-1]
    assert row["split"] == "test" and len(row["loss_each"]) == 4


def test_seeds_are_spread_over_devices():
    assert data_mesh(replicas=4).shape == {"replica": 4, "data": 2}
    assert data_mesh(replicas=3).shape == {"replica": 1, "data": 8}
    task, mesh = Regression(), data_mesh(replicas=4)
    program = Program(
        task.init, task.train_step, seeds=range(4), mesh=mesh, skip_nonfinite=False
    )
    state = program.initial_state()
    assert not state["guess"].is_fully_replicated
    assert state["guess"].sharding.shard_shape((4,)) == (1,)
    # What a run returns is whole everywhere, for processes that look at it alone.
    assert run(seeds=4).state["guess"].is_fully_replicated
    with pytest.raises(ValueError, match=r"mesh must be .* devices \(8\).*got \(3, 2"):
        data_mesh(replicas=3, shape=(3, 2))
    with pytest.raises(ValueError, match=r"divisor of the number of seeds \(3\)"):
        data_mesh(replicas=3, shape=(2, 4))


def test_resumed_seeds_equal_uninterrupted_ones(tmp_path):
    whole = run(seeds=2)
    run(tmp_path, seeds=2, epochs=2.4)
    parts = run(tmp_path, seeds=2)
    assert parts.summary["continued_from"] == 6
    chex.assert_trees_all_equal(whole.state, parts.state)


def test_steps_that_are_not_finite_are_skipped_and_counted(tmp_path):
    skipping = run(tmp_path, task=Regression(explode_at=4), nonfinite="skip", seeds=2)
    # The step never succeeds, so that the state stays where it was.
    np.testing.assert_array_equal(skipping.state["steps"], [4, 4])
    rows = [r for r in skipping.history if r["split"] == "train"]
    assert [r["skipped"] for r in rows] == [0, 4, 6, 2]
    assert math.isfinite(rows[1]["loss"])


def test_sigterm_saves_and_the_next_run_goes_on(tmp_path):
    class TakenAway(Regression):
        def train_step(self, key, state, batch):
            def terminate(step):
                if step == 20:
                    os.kill(os.getpid(), signal.SIGTERM)

            jax.debug.callback(terminate, state["steps"])
            return super().train_step(key, state, batch)

    options = dict(epochs=40.0, log_every=30, eval_every=100, checkpoint_every=100)
    whole = run(**options)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Preempted, match=r"preempted: step \d+ is saved") as stopped:
        run(tmp_path, task=TakenAway(), **options)
    assert signal.getsignal(signal.SIGTERM) is before
    assert 20 <= stopped.value.step < 30
    with Checkpoints(tmp_path / "checkpoints", read_only=True) as checkpoints:
        assert checkpoints.latest == stopped.value.step
    rest = run(tmp_path, **options)
    assert rest.summary["continued_from"] == stopped.value.step
    chex.assert_trees_all_equal(whole.state, rest.state)


@pytest.fixture
def failing_reads():
    """Lets what Orbax leaves behind where reads fail be found here, not in later tests.

    The first read that fails closes the event loop that the others report to.
    """
    yield
    time.sleep(0.2)
    gc.collect()


leaves_reads = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)


def cut_short(folder):
    (file,) = (folder / "state/d").iterdir()
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip_a_bit(folder):
    (file,) = (folder / "state/d").iterdir()
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 4
    file.write_bytes(content)


def lose_everything(folder):
    shutil.rmtree(folder)
    folder.mkdir()


@leaves_reads
@pytest.mark.usefixtures("failing_reads")
@pytest.mark.parametrize("damage", [cut_short, flip_a_bit, lose_everything])
def test_a_broken_checkpoint_is_named_and_the_one_before_it_used(tmp_path, damage):
    whole = run(tmp_path / "whole")
    run(tmp_path / "run", epochs=3.2)
    damage(tmp_path / "run/checkpoints/8")
    said = []
    again = run(tmp_path / "run", report=said.append)
    assert f"{tmp_path}/run/checkpoints/8 is broken and not used" in said[0]
    assert again.summary["continued_from"] == 6
    chex.assert_trees_all_equal(whole.state, again.state)
    assert (tmp_path / "run/checkpoints/broken-8").is_dir()


@leaves_reads
@pytest.mark.usefixtures("failing_reads")
def test_only_broken_checkpoints_are_an_error(tmp_path):
    run(tmp_path, epochs=0.8)
    for folder in (tmp_path / "checkpoints").iterdir():
        cut_short(folder)
    with pytest.raises(
        ValueError, match=r"no checkpoint in .* can be read; the newest"
    ):
        run(tmp_path)
    assert (tmp_path / "checkpoints/2").is_dir()


def test_checkpoints_that_are_kept(tmp_path):
    fitted = run(tmp_path, keep_checkpoints=1, keep_every=4, keep_best="min loss")
    kept = {int(p.name) for p in (tmp_path / "checkpoints").iterdir()}
    tests = {r["step"]: r["loss"] for r in fitted.history if r["split"] == "test"}
    assert set(tests) == {2, 4, 6, 8, 10}  # Judged whenever saved.
    assert kept == {4, 8, 10, min(tests, key=tests.__getitem__)}
    message = "keep_best must name one of label, loss, got 'top1'"
    with pytest.raises(ValueError, match=message):
        run(tmp_path / "other", keep_best="max top1")
    assert not (tmp_path / "other").exists()


@leaves_reads
@pytest.mark.usefixtures("failing_reads")
@pytest.mark.parametrize("broken", [False, True])
def test_the_best_checkpoint_outlives_the_process(tmp_path, broken):
    options = {"keep_checkpoints": 2, "keep_best": "max loss"}
    part = run(tmp_path, epochs=2.4, **options)
    tests = {r["step"]: r["loss"] for r in part.history if r["split"] == "test"}
    best = max(tests, key=tests.__getitem__)
    assert best == 2  # It learns.
    if broken:
        cut_short(tmp_path / "checkpoints" / "6")
    whole = run(tmp_path, **options)
    tests = {r["step"]: r["loss"] for r in whole.history if r["split"] == "test"}
    assert max(tests, key=tests.__getitem__) == best
    kept = {p.name for p in (tmp_path / "checkpoints").iterdir()}
    assert kept - {"broken-6"} == {"2", "8", "10"}
    # Under another rule, the best of what is left.
    run(tmp_path, epochs=4.8, **options | {"keep_best": "min label"})
    kept = {p.name for p in (tmp_path / "checkpoints").iterdir()}
    assert {"10", "12"} < kept


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    class Overflowing(Regression):
        def train_step(self, key, state, batch):
            state, metrics = super().train_step(key, state, batch)
            guess = jnp.where(state["steps"] == 10, jnp.inf, state["guess"])
            return state | {"guess": guess}, metrics

    message = "guess of the state after step 10 are not finite; last checkpoint: step 8"
    for nonfinite in ("stop", "skip"):
        with pytest.raises(FloatingPointError, match=message):
            run(tmp_path / nonfinite, task=Overflowing(), nonfinite=nonfinite)
        assert not (tmp_path / nonfinite / "summary.json").exists()
        assert not (tmp_path / nonfinite / "checkpoints" / "10").exists()


def test_sigterm_in_the_last_evaluation_stops_whoever_trains_on(tmp_path):
    class TakenAwayLate(Regression):
        def eval_step(self, state, batch):
            def terminate(step):
                if step == 10:
                    os.kill(os.getpid(), signal.SIGTERM)

            jax.debug.callback(terminate, state["steps"])
            return super().eval_step(state, batch)

    with pytest.raises(Preempted, match="step 10 is saved"):
        run(tmp_path, task=TakenAwayLate())
    assert json.loads((tmp_path / "summary.json").read_text())["steps"] == 10


def test_profile_of_chosen_steps(tmp_path):
    run(tmp_path, profile_steps=(3, 4), steps_per_dispatch=2)
    assert list((tmp_path / "profile").rglob("*.xplane.pb"))


def test_two_runs_in_one_folder_are_refused(tmp_path):
    caught = []

    def second():
        try:
            run(tmp_path)
        except FileExistsError as error:
            caught.append(str(error))

    def meanwhile(text):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()

    run(tmp_path, epochs=0.4)
    run(tmp_path, report=meanwhile)
    assert len(caught) == 1 and "is in use by another run" in caught[0]


def test_nan_loss_stops_the_run_and_names_the_checkpoint(tmp_path):
    message = r"loss is nan at step 5; last checkpoint: step 4; the batch is in .*5.npz"
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
        ({"eval_batch_size": 12}, "eval_batch_size must be a positive multiple"),
        ({"eval_batch_size": 0}, "eval_batch_size must be > 0, got 0"),
        ({"epochs": 0.0}, "epochs must be > 0, got 0.0"),
        ({"checkpoint_every": 0}, "checkpoint_every must be > 0, got 0"),
        ({"keep_best": "top1"}, "keep_best must be 'max METRIC' or 'min METRIC', got"),
        ({"nonfinite": "ignore"}, "nonfinite must be 'stop' or 'skip', got 'ignore'"),
        ({"profile_steps": (4, 3)}, r"profile_steps must be .* got \(4, 3\)"),
        ({"seeds": 0}, "seeds must be >= 1, got 0"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        run(**options)


def test_what_cannot_be_evaluated_is_not_trained(tmp_path):
    class Narrow(Regression):
        def eval_step(self, state, batch):
            if batch["image"].shape[1] < 11:
                raise ValueError("image is smaller than the window")
            return super().eval_step(state, batch)

    with pytest.raises(ValueError, match="smaller than the window"):
        run(tmp_path / "run", task=Narrow())
    assert not (tmp_path / "run").exists()
