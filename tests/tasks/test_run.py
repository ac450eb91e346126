import json
import shutil

import chex
import filelock
import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest

from ssimjax.data import Arrays
from ssimjax.tasks import (
    attack_accuracy,
    draw_attack,
    draw_training,
    load,
    train,
)
from ssimjax.training import Checkpoints
from tests.small import small_config, stripes_dataset


@pytest.fixture(scope="module", params=["ssim", "conv"])
def run(request, tmp_path_factory):
    workdir = tmp_path_factory.mktemp(request.param)
    config = small_config(request.param, **{"training.epochs": 15.0})
    return workdir, train(config, workdir, data=stripes_dataset())


def test_learns_what_is_easy(run):
    _, run = run
    losses = [row["loss"] for row in run.history if row["split"] == "train"]
    assert losses[-1] < 0.1 * losses[0]
    assert run.summary["test"]["top1"] == 1.0
    assert run.summary["test"]["top5"] == 1.0  # Two classes: any guess is in the top 5.


def test_summary_is_what_the_model_does(run):
    _, run = run
    test = run.dataset.test
    logits = run.task.model(run.state)(jnp.asarray(test.images))
    accuracy = (np.asarray(logits).argmax(-1) == test.labels).mean()
    np.testing.assert_allclose(run.summary["test"]["top1"], accuracy)
    log_likelihood = jax.nn.log_softmax(logits)[np.arange(80), test.labels]
    np.testing.assert_allclose(
        run.summary["test"]["loss"], -log_likelihood.mean(), rtol=1e-4, atol=1e-6
    )


def test_loaded_run_is_the_trained_one(run):
    workdir, run = run
    again = load(workdir, data=stripes_dataset())
    chex.assert_trees_all_equal(jax.device_get(run.state), jax.device_get(again.state))
    assert again.history == run.history and again.summary == run.summary


def test_any_checkpoint_that_was_kept_can_be_loaded(tmp_path):
    kept = {"keep_checkpoints": 1, "keep_every": 4, "keep_best": "max loss"}
    options = kept | {"checkpoint_every": 2, "epochs": 1.0, "eval_every": 100}
    config = small_config("conv", **{f"training.{k}": v for k, v in options.items()})
    data = stripes_dataset()
    run = train(config, tmp_path, data=data)
    last = run.summary["steps"]
    assert load(tmp_path, data=data, checkpoint=last).summary == run.summary
    tests = {r["step"]: r["loss"] for r in run.history if r["split"] == "test"}
    best = max(tests, key=tests.__getitem__)
    assert best not in (4, last)
    for checkpoint, step in ((4, 4), ("best", best)):
        old = load(tmp_path, data=data, checkpoint=checkpoint)
        logits = old.task.model(old.state)(jnp.asarray(data.test.images))
        losses = -jax.nn.log_softmax(logits)[np.arange(80), data.test.labels]
        np.testing.assert_allclose(losses.mean(), tests[step], rtol=1e-4)
        assert old.history == run.history
        assert not old.summary
    with pytest.raises(ValueError, match=r"one of 2, 4, 8, 10 in .*, got 3"):
        load(tmp_path, data=data, checkpoint=3)


def test_finished_run_that_lost_its_last_checkpoint_goes_on_before(tmp_path):
    config = small_config("conv", **{"training.checkpoint_every": 2})
    data = stripes_dataset()
    run = train(config, tmp_path, data=data)
    last = run.summary["steps"]
    (tmp_path / f"checkpoints/{last}").rename(tmp_path / "away")
    again = train(config, tmp_path, data=data)
    chex.assert_trees_all_equal(run.state, again.state)
    assert again.summary["continued_from"] == last - 2
    assert (tmp_path / f"checkpoints/{last}").is_dir()


def test_finished_run_without_checkpoints_is_told_from_one_that_has_none_yet(tmp_path):
    config, data = small_config("conv"), stripes_dataset()
    train(config, tmp_path, data=data)
    shutil.rmtree(tmp_path / "checkpoints")
    with pytest.raises(FileNotFoundError, match="results .* its checkpoints are gone"):
        train(config, tmp_path, data=data)
    (tmp_path / "summary.json").unlink()
    with pytest.raises(FileNotFoundError, match="holds no checkpoint yet"):
        load(tmp_path, data=data)


def test_a_run_that_is_being_trained_can_be_loaded(tmp_path, monkeypatch):
    kept = {"checkpoint_every": 2, "keep_checkpoints": 2}
    config = small_config("conv", **{f"training.{k}": v for k, v in kept.items()})
    data = stripes_dataset()
    run = train(config, tmp_path, data=data)
    steps = sorted(int(path.name) for path in (tmp_path / "checkpoints").iterdir())
    older, newest = (tmp_path / "checkpoints" / str(step) for step in steps)
    usual, calls = Checkpoints.restore, []

    def disturbed(self, *arguments, **options):
        calls.append(older.exists())
        if older.exists():
            shutil.rmtree(older)  # As a run does that has written a newer one.
            raise ValueError("no checkpoint can be read")
        return usual(self, *arguments, **options)

    monkeypatch.setattr(Checkpoints, "restore", disturbed)
    chex.assert_trees_all_equal(load(tmp_path, data=data).state, run.state)
    assert calls == [True, False]
    (newest / "_CHECKPOINT_METADATA").unlink()
    shutil.rmtree(newest / "state")
    with pytest.raises(ValueError, match="no checkpoint in .* can be read"):
        load(tmp_path, data=data)
    assert calls == [True, False, False]


def test_the_best_checkpoint_by_a_new_rule_may_be_gone(tmp_path):
    kept = {"keep_checkpoints": 1, "keep_best": "max loss", "checkpoint_every": 2}
    config = small_config("conv", **{f"training.{k}": v for k, v in kept.items()})
    data = stripes_dataset()
    run = train(config, tmp_path, data=data)
    tests = {r["step"]: r["loss"] for r in run.history if r["split"] == "test"}
    least = min(tests, key=tests.__getitem__)
    config.training.keep_best = "min loss"
    train(config, tmp_path, data=data)
    assert least == run.summary["steps"]
    assert load(tmp_path, data=data, checkpoint="best").summary == run.summary
    (tmp_path / f"checkpoints/{least}").rename(tmp_path / "away")
    with pytest.raises(ValueError, match=f"that of step {least}, which was not kept"):
        load(tmp_path, data=data, checkpoint="best")


def test_best_checkpoint_needs_a_rule(run):
    workdir, _ = run
    with pytest.raises(ValueError, match=r"'best' needs a run .* training\.keep_best"):
        load(workdir, data=stripes_dataset(), checkpoint="best")


def test_finished_run_is_not_trained_again(run, monkeypatch):
    workdir, run = run
    monkeypatch.setattr("ssimjax.training.fit", None)
    again = train(run.config, workdir, data=stripes_dataset())
    assert again.summary == run.summary


def test_folder_of_another_config_is_refused(run):
    workdir, run = run
    other = run.config.copy_and_resolve_references()
    with other.unlocked():
        other.seed = 1
    with pytest.raises(FileExistsError, match="a finished run of another config"):
        train(other, workdir, data=stripes_dataset())


def test_folder_of_other_data_is_refused(run):
    workdir, run = run
    data = stripes_dataset()
    swapped = Arrays(data.train.images, 1 - data.train.labels)
    with pytest.raises(FileExistsError, match="a run on other train data"):
        train(run.config, workdir, data=data._replace(train=swapped))


def test_folder_of_other_files_is_refused_and_loading_says_so(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for name in ("a/train", "a/test", "b/train", "b/test"):
        (tmp_path / name / "cat").mkdir(parents=True)
        for i in range(8):
            pixels = rng.integers(0, 256, (16, 16, 3), np.uint8)
            PIL.Image.fromarray(pixels).save(tmp_path / name / "cat" / f"{i}.png")

    def run_on(folder):
        config = small_config("conv", **{"training.batch_size": 8})
        config.data.source = "folder"
        config.data.data_dir = str(tmp_path / folder)
        return train(config, tmp_path / "run")

    done = run_on("a").summary
    (tmp_path / "a").rename(tmp_path / "moved")
    assert run_on("moved").summary == done
    for unfinished in (False, True):
        if unfinished:
            (tmp_path / "run/summary.json").unlink()
        with pytest.raises(FileExistsError, match="a run on other train data"):
            run_on("b")
    kept = json.loads((tmp_path / "run/config.json").read_text())
    assert kept["data"]["data_dir"] == str(tmp_path / "moved")
    said = []
    monkeypatch.setattr(
        "ssimjax.tasks.run.logging.warning", lambda text, *of: said.append(text % of)
    )
    load(tmp_path / "run")
    assert not said
    shutil.rmtree(tmp_path / "moved/test")
    (tmp_path / "b/test").rename(tmp_path / "moved/test")
    load(tmp_path / "run")
    assert said == [
        f"{tmp_path / 'run'}: the test examples are not those that this run began with"
    ]


def test_folder_that_another_run_holds_stays_as_it_is(tmp_path):
    config = small_config("conv", **{"training.keep_best": "max top1"})
    train(config, tmp_path, data=stripes_dataset())
    (tmp_path / "summary.json").unlink()
    before = (tmp_path / "config.json").read_bytes()
    config.training.keep_best = None
    with (
        filelock.FileLock(str(tmp_path / "run.lock")),  # As another process does.
        pytest.raises(FileExistsError, match="in use by another run"),
    ):
        train(config, tmp_path, data=stripes_dataset())
    assert (tmp_path / "config.json").read_bytes() == before


def test_attack_starts_at_clean_accuracy_and_hurts(run):
    _, run = run
    epsilons = (0.0, 0.02, 0.1, 0.5)
    rows = attack_accuracy(run, epsilons=epsilons)
    assert [(r["split"], r["epsilon"]) for r in rows] == [
        (split, epsilon) for split in ("train", "test") for epsilon in epsilons
    ]
    assert rows[0]["top1"] == run.summary["train"]["top1"]
    assert rows[4]["top1"] == run.summary["test"]["top1"]
    assert rows[7]["top1"] < 0.6 < rows[4]["top1"]
    fewer = attack_accuracy(run, epsilons=(0.0,), splits=("test",), examples=16)
    assert fewer[0]["examples"] == 16


def test_pictures(run, tmp_path):
    _, run = run
    name = run.config.model.feature_layer
    pictures = draw_training({name: run}, tmp_path)
    rows = attack_accuracy(run, epsilons=(0.0, 0.1), splits=("test",))
    pictures.append(draw_attack({name: rows}, tmp_path, classes=2))
    layers = {"ssim": {"first-layer", "ssim"}, "conv": {"first-layer"}}[name]
    assert {*run.task.kernels(run.state)} == layers
    assert {p.name for p in pictures} == {
        "training-curves.png",
        "accuracy-against-epsilon.png",
        *(f"{name}-{layer}-kernels.png" for layer in layers),
    }
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in pictures)


def test_nan_logits_are_an_error_not_robustness(run):
    _, run = run
    broken = run._replace(state=jax.tree.map(lambda x: jnp.nan * x, run.state))
    with pytest.raises(
        FloatingPointError, match=r"not finite for 100.00% of the train"
    ):
        attack_accuracy(broken, epsilons=(0.0,))


def test_nan_logits_are_no_hits(run):
    _, run = run
    batch = {"image": run.dataset.test.images[:8], "label": np.zeros(8, np.int32)}
    batch["mask"] = np.ones(8, bool)
    broken = jax.tree.map(lambda x: jnp.nan * x, run.states()[0])
    sums = jax.jit(run.task.eval_step)(broken, batch)
    # NaN is the largest for argmax: the first class would be the guess.
    assert sums["top1"] == 0 and sums["top5"] == 0 and sums["nonfinite"] == 8


def test_bad_attack_arguments(run):
    _, run = run
    with pytest.raises(ValueError, match="splits must be 'train' or 'test', got"):
        attack_accuracy(run, epsilons=(0.0,), splits=("validation",))
    with pytest.raises(ValueError, match="epsilons must be one or more numbers >= 0"):
        attack_accuracy(run, epsilons=(-0.1,))
    with pytest.raises(ValueError, match="examples must be >= 1, got 0"):
        attack_accuracy(run, epsilons=(0.0,), examples=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "sorting"}, "task must be one of .*'classification'.* got 'sorting'"),
        ({"model.name": "deep"}, "model.name must be one of .*'quick'.* got 'deep'"),
        # Of keys, two seeds that differ by 2³² would be one.
        ({"seed": 2**32}, "seed must be from 0 to 4294967295 with .* got 4294967296"),
    ],
)
def test_unknown_names_in_a_config(change, message):
    with pytest.raises(ValueError, match=message):
        train(small_config(**change), data=stripes_dataset())


def test_seed_decides_everything():
    runs = [
        train(small_config(seed=seed), data=stripes_dataset()).state
        for seed in (0, 0, 1)
    ]
    chex.assert_trees_all_equal(runs[0], runs[1])
    with pytest.raises(AssertionError):
        chex.assert_trees_all_close(runs[0].params, runs[2].params)


def test_several_seeds_are_trained_attacked_and_loaded(tmp_path):
    config = small_config(seeds=2, **{"training.epochs": 2.0})
    run = train(config, tmp_path, data=stripes_dataset())
    alone = train(
        small_config(seed=1, **{"training.epochs": 2.0}), data=stripes_dataset()
    )
    first, second = run.states()
    chex.assert_trees_all_close(second.params, alone.state.params, rtol=1e-3, atol=1e-5)
    each = run.summary["test"]["top1_each"]
    assert len(each) == 2
    for state, accuracy in zip((first, second), each):
        logits = run.task.model(state)(jnp.asarray(run.dataset.test.images))
        hits = np.asarray(logits).argmax(-1) == run.dataset.test.labels
        np.testing.assert_allclose(accuracy, hits.mean(), rtol=1e-6)
    again = load(tmp_path, data=stripes_dataset())
    chex.assert_trees_all_equal(jax.device_get(run.state), jax.device_get(again.state))
    row = attack_accuracy(again, epsilons=(0.0,), splits=("test",))[0]
    np.testing.assert_allclose(row["top1_each"], each)
    np.testing.assert_allclose(row["top1_sd"], np.std(each, ddof=1), atol=1e-9)
    assert draw_training({"ssim": again}, tmp_path)


def test_free_keys_may_change_when_a_run_goes_on(tmp_path):
    config = small_config()
    train(config, tmp_path, data=stripes_dataset())
    (tmp_path / "summary.json").unlink()
    other = small_config(
        **{"training.log_every": 1, "training.keep_checkpoints": 5, "mesh": (1, 8)}
    )
    again = train(other, tmp_path, data=stripes_dataset())
    assert again.summary["continued_from"] == again.summary["steps"]
    with pytest.raises(FileExistsError, match="optimizer.rate: 0.01 there, 0.5 here"):
        train(small_config(**{"optimizer.rate": 0.5}), tmp_path, data=stripes_dataset())


def test_tensorboard_shows_parameters_and_kernels(tmp_path):
    train(small_config(), tmp_path, data=stripes_dataset())
    (events,) = (tmp_path / "tensorboard").glob("events.*")
    text = events.read_bytes()
    for name in (b"conv1/kernel", b"features/filters", b"kernels/ssim", b"test/top1"):
        assert name in text


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("crop", -1, "augmentation.crop must be >= 0 pixels, got -1"),
        ("resized_crop", 0, "augmentation.resized_crop must be None or >= 1 .*, got 0"),
        ("resized_crop", -8, "resized_crop must be None or >= 1 pixel, got -8"),
    ],
)
def test_augmentation_out_of_its_range(key, value, message):
    config = small_config(**{f"augmentation.{key}": value})
    with pytest.raises(ValueError, match=message):
        train(config, data=stripes_dataset())
