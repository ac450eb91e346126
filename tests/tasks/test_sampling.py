import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssimjax.ops import frechet_distance, kernel_distance, mmd
from ssimjax.tasks import (
    generation_scores,
    latent_interpolations,
    nearest_training_images,
    samples,
    set_scores,
    spread_images,
    train,
)
from ssimjax.tasks.sampling import image_kernels
from tests.small import small_config as classifier_config
from tests.small import stripes_dataset
from tests.tasks.test_adversarial import small_config


@pytest.fixture(scope="module")
def run():
    changes = {"training.epochs": 2.0, "model.conditional": True}
    return train(small_config(**changes), data=stripes_dataset())


@pytest.fixture(scope="module")
def judge():
    config = classifier_config("conv", **{"training.epochs": 8.0})
    config.model.name = "quick"
    return train(config, data=stripes_dataset())


def halves():
    data = stripes_dataset()
    test = spread_images(data.test, 80)
    return test[:40], test[40:], spread_images(data.train, 160)


def test_samples_are_the_same_for_the_same_seed(run):
    first = samples(run, 30, seed=1)
    np.testing.assert_array_equal(first, samples(run, 30, seed=1))
    assert first.shape == (30, 12, 12, 1)
    assert np.abs(first - samples(run, 30, seed=2)).max() > 0.01
    # Not by how they are batched.
    run.config.training.eval_batch_size = 8
    np.testing.assert_allclose(samples(run, 30, seed=1), first, atol=1e-6)
    run.config.training.eval_batch_size = 80


def test_interpolations_begin_and_end_at_samples(run):
    lines = latent_interpolations(run, rows=3, steps=5)
    assert lines.shape == (3, 5, 12, 12, 1)
    prior = run.task.prior
    ends = prior.draw(jax.random.key(0), 6).reshape(2, 3, -1)
    given = prior.conditions(jnp.array([0, 1, 0]))
    first = run.task.generate(run.state, jnp.concatenate([ends[0], given], -1))
    np.testing.assert_allclose(lines[:, 0], first, atol=1e-6)
    with pytest.raises(ValueError, match="steps must be >= 2, got 1"):
        latent_interpolations(run, steps=1)


def test_the_nearest_training_image_of_a_training_image_is_itself(run):
    train_images = run.dataset.train.images
    shifted = np.clip(train_images[5:9] + 0.01, 0, 1)
    np.testing.assert_array_equal(
        nearest_training_images(run, shifted), train_images[5:9]
    )


def test_real_images_have_the_scores_of_real_images(judge):
    real, other, known = halves()
    found = set_scores(jax.random.key(0), real, other, train=known, judge=judge)
    assert abs(found["rbf mmd"]) < 0.05 and found["rbf p"] > 0.01
    assert found["ssim p"] > 0.01
    np.testing.assert_allclose(found["diversity"], 1, atol=0.2)
    np.testing.assert_allclose(found["novelty"], 1, atol=0.4)
    assert found["precision"] > 0.7 and found["recall"] > 0.7
    assert found["classes"] == 2
    kernel = image_kernels(real)["rbf"]
    np.testing.assert_allclose(
        found["rbf mmd"], mmd(real, other, kernel, estimator="unbiased"), rtol=1e-3
    )


def test_repeated_training_images_are_not_new_and_one_image_is_not_varied(judge):
    real, _, known = halves()
    copies = set_scores(jax.random.key(0), real, known[:40], train=known)
    assert copies["novelty"] == 0
    one = jnp.broadcast_to(known[:1], (40, *known.shape[1:]))
    collapsed = set_scores(jax.random.key(0), real, one, train=known, judge=judge)
    np.testing.assert_allclose(collapsed["diversity"], 0, atol=1e-5)
    assert collapsed["recall"] == 0 and collapsed["classes"] == 1
    assert collapsed["rbf p"] < 0.01 and collapsed["ssim p"] < 0.01


def test_scores_of_a_run(run, judge):
    row = generation_scores(run, judge=judge, count=40)
    assert {"rbf mmd", "rbf p", "frechet", "recall", "label_accuracy"} <= set(row)
    fake = jnp.asarray(samples(run, 40))
    seen = np.asarray(judge.task.model(judge.state)(fake).argmax(-1))
    right = np.mean(seen == np.arange(40) % 2)
    assert right != 0.5  # Else labels the other way round would do, too.
    np.testing.assert_allclose(row["label_accuracy"], right, rtol=1e-6)
    real = spread_images(run.dataset.test, 40)
    expected = mmd(real, fake, image_kernels(real)["rbf"], estimator="unbiased")
    np.testing.assert_allclose(row["rbf mmd"], expected, rtol=1e-3)


def colour_moments(images):
    """Stands for Inception, which wants three channels."""
    assert images.shape[1:] == (12, 12, 3) and len(images) == 25
    return jnp.concatenate([images.mean((1, 2)), images.std((1, 2))], -1)


def moments(images):
    """The same features of gray images, without batches."""
    parts = [jnp.tile(f((1, 2)), 3) for f in (images.mean, images.std)]
    return jnp.concatenate(parts, -1)


def test_fid_and_kid_are_there_where_inception_is(run):
    real, other, known = halves()
    plain = set_scores(jax.random.key(0), real, other, train=known)
    found = set_scores(
        jax.random.key(0), real, other, train=known, inception=colour_moments
    )
    assert set(found) - set(plain) == {"fid", "kid"}
    pair = moments(real), moments(other)
    np.testing.assert_allclose(found["fid"], frechet_distance(*pair), atol=1e-5)
    np.testing.assert_allclose(found["kid"], kernel_distance(*pair), atol=1e-5)

    assert not {"fid", "kid"} & set(generation_scores(run, count=40))
    row = generation_scores(run, inception=colour_moments, count=40)
    real = spread_images(run.dataset.test, 40)
    pair = moments(real), moments(jnp.asarray(samples(run, 40)))
    assert row["fid"] > 1e-3
    np.testing.assert_allclose(row["fid"], frechet_distance(*pair), rtol=1e-3)
    np.testing.assert_allclose(row["kid"], kernel_distance(*pair), rtol=1e-3)


def test_labels_are_checked(run):
    with pytest.raises(ValueError, match="labels must be < 2, .* got 2"):
        samples(run, 2, labels=[0, 2])
    with pytest.raises(ValueError, match="labels must be 3 numbers >= 0"):
        samples(run, 3, labels=[0, 1])


def test_other_runs_make_no_samples(judge):
    with pytest.raises(TypeError, match="generative model, got .*'classification'"):
        samples(judge, 2)
