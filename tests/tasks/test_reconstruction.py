import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from configs import reconstruction
from ssimjax import losses
from ssimjax.data import Arrays, Dataset
from ssimjax.nn import Autoencoder, VariationalAutoencoder
from ssimjax.tasks import image_scores, load, regularisers, train

# Loss, regulariser, its weight.
STUDIED = [
    ("mse", "none", 0.0),
    ("ssim", "kl", 1e-3),
    ("lw_ssim", "mmd", 0.1),
    ("ms_ssim_per_pixel", "none", 0.0),
]


def blobs(count, seed):
    """Gray images of one soft disc each: position and brightness, three numbers."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(4, 12, (2, count, 1, 1))
    squares = (np.arange(16)[:, None] - y) ** 2 + (np.arange(16) - x) ** 2
    images = rng.uniform(0.3, 0.9, (count, 1, 1)) * np.exp(-squares / 20)
    return Arrays(images[..., None].astype(np.float32), np.zeros(count, int))


def dataset():
    return Dataset(blobs(256, 0), blobs(40, 1), ("image",), "blobs")


def small_config(**changes):
    config = reconstruction.defaults()
    config.update_from_flattened_dict(
        {
            "model.code": 4,
            "model.widths": (8, 16),
            "optimizer.rate": 5e-3,
            "training.epochs": 12.0,
            "training.batch_size": 32,
            "training.eval_batch_size": 40,
            "training.log_every": 8,
            "training.eval_every": 96,
            "training.checkpoint_every": 96,
        }
        | changes
    )
    return config


@pytest.mark.parametrize(("loss", "regulariser", "weight"), STUDIED)
def test_losses_and_regularisers_train(loss, regulariser, weight):
    config = small_config(
        **{
            "loss.name": loss,
            "regulariser.name": regulariser,
            "regulariser.weight": weight,
        }
    )
    run = train(config, data=dataset())
    # Better than the mean image, which knows nothing of the input.
    test = run.dataset.test.images
    mean = jnp.broadcast_to(run.dataset.train.images.mean(0), test.shape)
    constant = losses.by_name(loss, data_range=1.0)(mean, test).mean()
    assert run.summary["test"]["loss"] < 0.8 * constant


def test_scores_of_the_summary_are_those_of_the_reconstructions(tmp_path):
    run = train(small_config(**{"training.epochs": 1.0}), tmp_path, data=dataset())
    again = load(tmp_path, data=dataset())
    images = jnp.asarray(run.dataset.test.images)
    found = again.task.reconstruct(again.state, images)
    model = again.task.model(again.state)
    chex.assert_trees_all_equal(found, model.decode(model.encode(images)))
    for name, values in image_scores(found, images).items():
        np.testing.assert_allclose(
            run.summary["test"][name], values.mean(), rtol=1e-4, atol=1e-6
        )


def test_samples_of_a_variational_autoencoder_look_like_data():
    config = small_config(
        **{
            "regulariser.name": "kl",
            "regulariser.weight": 1e-3,
            "training.epochs": 30.0,
        }
    )
    run = train(config, data=dataset())
    samples = run.task.sample(jax.random.key(0), run.state, 64)
    chex.assert_shape(samples, (64, 16, 16, 1))
    data = run.dataset.train.images
    # Discs: bright somewhere, dark on most of the image, and not all the same.
    assert abs(samples.mean() - data.mean()) < 0.1
    assert (samples.max((1, 2, 3)) > 0.25).mean() > 0.8
    assert samples.std(0).mean() > 0.3 * data.std(0).mean()
    pictures = run.task.pictures(run.state)
    assert pictures["samples"].shape == (64, 64, 1)


def test_kl_is_the_divergence_of_normal_distributions():
    model = VariationalAutoencoder((8, 8, 1), 3, widths=(4,), rngs=nnx.Rngs(0))
    images = jax.random.uniform(jax.random.key(0), (5, 8, 8, 1))
    model.eval()
    codes, found = regularisers.kl(jax.random.key(1), model, images)
    mean, log_variance = (np.float64(x) for x in model.posterior(images))
    # ∫ q log q/p, unit by unit, on a fine grid.
    grid = np.linspace(-12, 12, 20001)[:, None, None]
    deviation = np.exp(log_variance / 2)
    log_q = -(((grid - mean) / deviation) ** 2) / 2 - log_variance / 2
    q = np.exp(log_q) / np.sqrt(2 * np.pi)
    integral = (q * (log_q + grid**2 / 2)).sum(0) * (24 / 20000)
    np.testing.assert_allclose(found, integral.sum(-1).mean(), rtol=1e-4)
    noise = (codes - mean) / deviation
    np.testing.assert_allclose(
        noise, jax.random.normal(jax.random.key(1), (5, 3)), rtol=1e-4, atol=1e-5
    )


def test_mmd_is_small_for_normal_codes_and_large_for_others():
    class Codes(Autoencoder):
        def encode(self, images):
            return images[:, 0, :, 0]

    model = Codes((2, 2, 1), 2, widths=(4,), rngs=nnx.Rngs(0))
    normal = jax.random.normal(jax.random.key(3), (500, 1, 4, 1))
    key = jax.random.key(0)
    near = regularisers.mmd_to_prior(key, model, normal)[1]
    far = regularisers.mmd_to_prior(key, model, normal + 1.0)[1]
    assert abs(near) < 0.02 < 0.1 < far


def test_bad_configs():
    with pytest.raises(ValueError, match="regulariser.name must be .*'kl'.* got 'kld'"):
        train(small_config(**{"regulariser.name": "kld"}), data=dataset())
    with pytest.raises(ValueError, match="regulariser.weight must be >= 0, got -1"):
        train(small_config(**{"regulariser.weight": -1.0}), data=dataset())
    with pytest.raises(ValueError, match="no loss is named 'sim'; did you mean 'ssim'"):
        train(small_config(**{"loss.name": "sim"}), data=dataset())
    with pytest.raises(ValueError, match="multiples of 32"):
        train(small_config(**{"model.widths": (4,) * 5}), data=dataset())


def test_scores_of_equal_images_and_of_lost_colour():
    images = jax.random.uniform(jax.random.key(0), (3, 64, 64, 3))
    scores = image_scores(images, images)
    expected = {"ssim": 1, "ms_ssim": 1, "lw_ssim": 2, "mse": 0, "mae": 0}
    expected |= {"psnr": 100, "saturation": 0, "chroma": 0}
    for name, value in expected.items():
        np.testing.assert_allclose(scores[name], value, atol=1e-5)
    gray = jnp.broadcast_to(images.mean(-1, keepdims=True), images.shape)
    lost = -(images.max(-1) - images.min(-1)).mean((1, 2))
    found = image_scores(gray, images)
    np.testing.assert_allclose(found["saturation"], lost, rtol=1e-5)
    # Another colour of the same saturation is seen by the second alone.
    turned = image_scores(images[..., ::-1], images)
    np.testing.assert_allclose(turned["saturation"], 0, atol=1e-6)
    red, _, blue = jnp.moveaxis(images, -1, 0)
    cb = np.abs(37.797 + 112.0) * (red - blue) / 255
    cr = np.abs(112.0 + 18.214) * (blue - red) / 255
    np.testing.assert_allclose(
        turned["chroma"], jnp.hypot(cb, cr).mean((1, 2)), rtol=1e-5
    )
    assert not image_scores(gray[..., :1], images[..., :1])["chroma"].any()
