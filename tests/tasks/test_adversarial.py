import copy

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from configs import adversarial
from configs.ghojogh2020 import aae
from ssimjax.data import Arrays
from ssimjax.tasks import image_scores, load, samples, train
from ssimjax.tasks.run import TASKS
from ssimjax.training import data_mesh, evaluator
from tests.small import directions, stripes, stripes_dataset, taught


def small_config(objective="gan", **changes):
    config = adversarial.defaults()
    config.update_from_flattened_dict(
        {
            "objective.name": objective,
            "model.latent": 4,
            "model.widths": (8, 16),
            "discriminator.widths": (8, 16),
            "discriminator.per_patch": objective.endswith(("patches", "lsgan_ssim")),
            "optimizer.rate": 2e-3,
            "training.epochs": 60.0,
            "training.batch_size": 32,
            "training.eval_batch_size": 80,
            "training.eval_every": 100,
            "training.visualise": False,
        }
        | changes
    )
    return config


def task_and_batch(**changes):
    data = stripes_dataset()
    task = TASKS["adversarial"](small_config(**changes), data)
    batch = {"image": data.train.images[:32], "label": data.train.labels[:32]}
    return task, jax.tree.map(jnp.asarray, batch)


@pytest.mark.parametrize("objective", ["gan", "lsgan"])
def test_samples_become_stripes_of_both_kinds(objective):
    data = stripes_dataset()
    task, state = taught(small_config(objective), data, steps=300)
    batch = {"image": data.test.images, "label": data.test.labels}
    batch = jax.tree.map(jnp.asarray, {**batch, "mask": np.ones(80, bool)})
    near, far = (
        jax.jit(task.eval_step)(one, batch)["loss"]
        for one in (state, task.init(jax.random.key(1)))
    )
    assert near < far / 3
    found = directions(task.sample(jax.random.key(2), state, 80))
    assert (found > 0.05).mean() > 0.1 and (found < -0.05).mean() > 0.1


def test_conditional_samples_are_of_the_class_they_are_asked_for():
    data = stripes_dataset()
    task, state = taught(small_config(**{"model.conditional": True}), data, steps=400)
    truth = directions(data.test.images)
    asked = jnp.arange(80) % 2
    found = directions(task.sample(jax.random.key(2), state, 80, labels=asked))
    assert (np.sign(found) == np.sign(truth[asked])).mean() > 0.9


@pytest.mark.parametrize("steps", [1, 4])
def test_a_step_is_so_many_of_the_discriminator_and_one_of_the_generator(steps):
    task, batch = task_and_batch(**{"adversarial.critic_steps": steps})
    state = task.init(jax.random.key(0))
    after, metrics = task.train_step(jax.random.key(1), state, batch)
    counts = [
        int(jax.tree.leaves(player.opt_state)[0])
        for player in (after.discriminator, after.generator)
    ]
    assert counts == [steps, 1]
    assert metrics["critic_loss"] > 0 and np.isfinite(metrics["loss"])
    # The average follows the generator slowly.
    expected = jax.tree.map(
        lambda old, new: 0.99 * old + 0.01 * new,
        (state.generator.params, state.generator.model_state),
        (after.generator.params, after.generator.model_state),
    )
    chex.assert_trees_all_close(after.average, expected, rtol=1e-5, atol=1e-7)
    # Running statistics are those of the weights beside them.
    _, params, rest = nnx.split(task.model(after), nnx.Param, ...)
    found = nnx.to_pure_dict(params), nnx.to_pure_dict(rest)
    chex.assert_trees_all_equal(found, after.average)


def test_the_generator_descends_on_its_own_side_alone():
    task, batch = task_and_batch()
    state = task.init(jax.random.key(0))
    after, _ = task.train_step(jax.random.key(1), state, batch)
    game = task.objective
    given = jnp.zeros((32, 0))

    def generator_loss(generator):
        critic = task.discriminator.model(after.discriminator)
        fake = critic(task.generator.model(generator)(latents), given)
        return game.generator(fake, fake, batch["image"], batch["image"])

    latents = task.prior.draw(jax.random.key(2), 32)
    assert generator_loss(after.generator) < generator_loss(state.generator)


def test_runs_can_be_loaded_and_replicas_differ(tmp_path):
    config = small_config(**{"training.epochs": 1.0})
    config.seeds = 2
    run = train(config, tmp_path, data=stripes_dataset())
    again = load(tmp_path, data=stripes_dataset())
    for replica in (0, 1):
        chex.assert_trees_all_equal(
            samples(again, 4, replica=replica), samples(run, 4, replica=replica)
        )
    assert np.abs(samples(run, 4) - samples(run, 4, replica=1)).max() > 0.01
    assert len(run.summary["test"]["loss_each"]) == 2


def test_adversarial_autoencoders_reconstruct_and_spread_their_codes():
    config = aae.get_config("mse")
    config.update_from_flattened_dict(
        {
            "model.code": 3,
            "model.widths": (8, 16),
            "discriminator.widths": (32, 32),
            "optimizer.rate": 3e-3,
            "training.epochs": 60.0,
            "training.batch_size": 32,
            "training.eval_batch_size": 80,
            "training.visualise": False,
        }
    )
    data = stripes_dataset()
    task, state = taught(config, data, steps=300)
    test = jnp.asarray(data.test.images)
    scores = image_scores(task.reconstruct(state, test), test)
    assert scores["mse"].mean() < 0.5 * test.var(0).mean()
    codes = task.encode(state, test)
    assert jnp.abs(codes.mean(0)).max() < 0.7
    assert codes.std(0).min() > 0.5 and codes.std(0).max() < 1.6


def test_bad_configs():
    data = stripes_dataset()
    for changes, message in [
        ({"objective.name": "lsgan_ssim"}, "discriminator.per_patch must be True"),
        ({"adversarial.critic_steps": 3}, "critic_steps must .* divide .* 32, got 3"),
        ({"adversarial.decay": 1.0}, r"decay must be in \[0, 1\), got 1"),
    ]:
        config = small_config()
        config.update_from_flattened_dict(changes)
        with pytest.raises(ValueError, match=message):
            train(config, data=data)


@pytest.mark.parametrize("conditional", [False, True])
def test_a_perfect_generator_scores_0_however_examples_are_stored(conditional):
    data = stripes_dataset()
    order = np.argsort(data.test.labels, kind="stable")
    by_class = Arrays(data.test.images[order], data.test.labels[order])
    config = small_config(**{"model.conditional": conditional})
    task = TASKS["adversarial"](config, data)
    state = task.init(jax.random.key(0))
    for size in (16, 48, 80):  # Of 48, the last batch has 32 examples.
        evaluate = evaluator(_Perfect(task), mesh=data_mesh(), batch_size=size)
        assert abs(evaluate(state, by_class)["pixel_mmd"]) < 0.05


class _Perfect:
    """A task whose samples are other images, of the classes that it is told."""

    def __init__(self, task):
        self._task, self._others = task, stripes(160, 2)

    def eval_step(self, state, batch):
        images = jnp.asarray(self._others.images)
        first, second = images[::2], images[1::2]

        def generate(state, inputs):
            count = len(inputs)
            if not self._task.prior.classes:
                return images[:count]
            told = batch["label"][:, None, None, None] == 1
            return jnp.where(told, second[:count], first[:count])

        task = copy.copy(self._task)
        object.__setattr__(task, "generate", generate)
        return task.eval_step(state, batch)
