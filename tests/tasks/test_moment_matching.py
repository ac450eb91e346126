import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import moment_matching
from configs import reconstruction as reconstruction_config
from ssimjax.ops import mmd, rbf_kernel
from ssimjax.tasks import load, samples, train
from ssimjax.tasks.generators import weighted_mmd
from tests.small import directions, stripes_dataset, taught

RBF = {"name": "rbf", "bandwidths": (1.0, 2.0, 4.0)}
SSIM = {
    "name": "ssim",
    "window": {"uniform": {"size": 4}},
    "stride": 4,
}


def small_config(kernel, **changes):
    config = moment_matching.defaults()
    config.kernel = kernel
    config.update_from_flattened_dict(
        {
            "model.latent": 4,
            "model.widths": (32, 64),
            "optimizer.rate": 5e-3,
            "training.epochs": 100.0,
            "training.batch_size": 160,
            "training.eval_batch_size": 80,
            "training.eval_every": 50,
            "training.visualise": False,
        }
        | changes
    )
    return config


@pytest.mark.parametrize(
    "kernel", [RBF, {"name": "energy"}, SSIM, SSIM | {"form": "energy"}]
)
def test_samples_come_to_have_the_moments_of_the_data(kernel):
    data = stripes_dataset()
    task, state = taught(small_config(kernel), data, steps=100)
    batch = jax.tree.map(
        jnp.asarray, {"image": data.test.images, "mask": np.ones(80, bool)}
    )
    near, far = (
        jax.jit(task.eval_step)(one, batch)["pixel_mmd"]
        for one in (state, task.init(jax.random.key(1)))
    )
    assert near < far / 4
    # Both kinds of stripes, and not one sample for all.
    found = directions(task.sample(jax.random.key(2), state, 80))
    assert (found > 0.05).mean() > 0.15 and (found < -0.05).mean() > 0.15


@pytest.mark.parametrize("kernel", [RBF, SSIM])
def test_conditional_samples_are_of_the_class_they_are_asked_for(kernel):
    data = stripes_dataset()
    config = small_config(kernel, **{"model.conditional": True})
    task, state = taught(config, data, steps=200)
    truth = directions(data.test.images)
    assert (np.sign(truth) == np.sign(truth[:2])[data.test.labels]).all()
    asked = jnp.arange(80) // 40
    found = directions(task.sample(jax.random.key(2), state, 80, labels=asked))
    assert (np.sign(found) == np.sign(truth[asked])).mean() > 0.9


def test_codes_of_a_trained_autoencoder_are_matched(tmp_path, monkeypatch):
    coder = reconstruction_config.defaults()
    coder.update_from_flattened_dict(
        {
            "model.code": 4,
            "model.widths": (8, 16),
            "optimizer.rate": 5e-3,
            "training.epochs": 40.0,
            "training.batch_size": 32,
            "training.eval_batch_size": 80,
            "training.visualise": False,
        }
    )
    data = stripes_dataset()
    autoencoder = train(coder, tmp_path / "autoencoder", data=data)
    config = small_config(RBF)
    config.matching.autoencoder = str(tmp_path / "autoencoder")
    run = train(config, tmp_path / "gmmn", data=data)
    codes = run.task.coder.encode(jnp.asarray(data.train.images))
    np.testing.assert_allclose(codes.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(codes.std(0), 1, atol=1e-2)
    back = run.task.coder.decode(codes[:5])
    first = jnp.asarray(data.train.images[:5])
    expected = autoencoder.task.reconstruct(autoencoder.state, first)
    np.testing.assert_allclose(back, expected, atol=1e-4)
    found = directions(samples(run, 80))
    assert (found > 0.05).mean() > 0.15 and (found < -0.05).mean() > 0.15
    again = load(tmp_path / "gmmn", data=data)
    np.testing.assert_allclose(samples(again, 5), samples(run, 5), atol=1e-6)
    other = config.copy_and_resolve_references()
    other.matching.autoencoder = str(tmp_path / "gmmn")
    with pytest.raises(ValueError, match="folder of an autoencoder, got .*matching"):
        train(other, data=data)

    coder.seed = 1
    shutil.rmtree(tmp_path / "autoencoder")
    train(coder, tmp_path / "autoencoder", data=data)
    monkeypatch.setattr("ssimjax.tasks.run.open_dataset", lambda *_, **__: data)
    with pytest.raises(ValueError, match="codes of another autoencoder than the one"):
        load(tmp_path / "gmmn")
    with pytest.raises(FileExistsError, match="a run on other autoencoder data"):
        train(config, tmp_path / "gmmn", data=data)
    (tmp_path / "autoencoder/summary.json").unlink()
    with pytest.raises(ValueError, match="folder of a finished run, and .* is not"):
        train(config, data=data)


def test_weighted_mmd_leaves_out_what_does_not_count():
    x, y = jax.random.normal(jax.random.key(0), (2, 6, 3))
    mask = jnp.array([True, True, False, True, True, False])

    def kernel(a, b):
        return rbf_kernel(a, b, bandwidths=(1.0,))

    expected = mmd(x[mask], y[mask], kernel, estimator="unbiased")
    np.testing.assert_allclose(
        weighted_mmd(x, y, mask, kernel), expected, rtol=1e-5, atol=1e-7
    )
    assert weighted_mmd(x, y, mask & (jnp.arange(6) == 0), kernel) == 0
    with pytest.raises(ValueError, match="eval_batch_size must be >= 2 .*got 1"):
        weighted_mmd(x[:1], y[:1], mask[:1], kernel)


@pytest.mark.usefixtures("own_errors")
def test_bad_configs():
    data = stripes_dataset()
    for changes, message in [
        ({"kernel.name": "laplace"}, "kernel.name must be one of .* got 'laplace'"),
        ({"model.name": "linear"}, "model.name must be .* got 'linear'"),
        ({"model.prior": "cauchy"}, "model.prior must be one of .* got 'cauchy'"),
        ({"model.latent": 0}, "model.latent must be >= 1, got 0"),
        ({"matching.ridge": 0.0}, "matching.ridge must be > 0, got 0"),
    ]:
        with pytest.raises(ValueError, match=message):
            train(small_config(RBF, **changes), data=data)
    with pytest.raises(ValueError, match="kernel 'rbf' has no argument 'width'"):
        train(small_config({"name": "rbf", "width": 1.0}), data=data)
    conditional = small_config({"name": "energy"}, **{"model.conditional": True})
    with pytest.raises(ValueError, match="positive semi-definite"):
        train(conditional, data=data)
