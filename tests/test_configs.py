import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import quickstart
from configs.abobakr2018 import fig6, fig7, table1, table2
from configs.ghojogh2020 import (
    aae,
    autoencoder,
    code_gmmn,
    conditional_gan,
    conditional_gmmn,
    gan,
    gmmn,
    lsgan,
    vae,
)
from configs.lu2019 import table1 as lu
from configs.snell2017 import stl10, yale_b
from configs.snell2017 import super_resolution as srcnn
from ssimjax.data import Arrays, Dataset
from ssimjax.tasks import classification, reconstruction, super_resolution, train
from ssimjax.tasks.run import TASKS

PAPER = [table1, fig6, table2]
CONFIGS = [
    (quickstart, "ssim"),
    (quickstart, "conv"),
    *((paper, name) for paper in PAPER for name in ("ssim", "ssim_literal", "conv")),
    (fig7, "with_relu"),
    (fig7, "without_relu"),
]


@pytest.mark.parametrize(("module", "network"), CONFIGS)
def test_every_config_runs_two_steps(module, network):
    config = module.get_config(network)
    channels = 3 if config.data.source == "tfds" else 1
    images = np.random.default_rng(0).integers(0, 256, (64, 32, 32, channels), np.uint8)
    arrays = Arrays(images, np.arange(64) % 10)
    data = Dataset(arrays, arrays, tuple("abcdefghij"), "noise")
    config.training.epochs = 2 * config.training.batch_size / 64
    run = train(config, data=data)
    assert run.summary["steps"] == 2
    assert np.isfinite(run.summary["test"]["loss"])


@pytest.fixture
def gpu(monkeypatch):
    """Several functions have a form of their own on CPUs, which other tests run."""
    jax.clear_caches()
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    yield
    jax.clear_caches()


def traced(task, images):
    """Shapes of the state before and after a step, which computes nothing."""
    key = jax.random.key(0)
    batch = {"image": images, "label": np.zeros(len(images), int)}
    state = jax.eval_shape(task.init, key)
    after, metrics = jax.eval_shape(task.train_step, key, state, batch)
    assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, state)
    assert metrics["loss"].shape == ()
    return state.params


@pytest.mark.parametrize("network", ["ssim", "conv"])
@pytest.mark.parametrize("module", [table1, fig6])
@pytest.mark.usefixtures("gpu")
def test_classifiers_can_be_traced(module, network):
    config = module.get_config(network)
    images = np.zeros((8, 32, 32, 3), np.uint8)
    arrays = Arrays(images, np.arange(8))
    data = Dataset(arrays, arrays, tuple("abcdefgh"), "noise")
    traced(classification.from_config(config, data), images)


AUTOENCODERS = [
    *((lu, f"{m}-{loss}", (64, 64, 3)) for m in lu.MODELS for loss in lu.LOSSES),
    *((stl10, loss, (96, 96, 1)) for loss in stl10.LOSSES),
    *((yale_b, loss, (48, 48, 1)) for loss in yale_b.stl10.LOSSES),
]


@pytest.mark.parametrize(("module", "cell", "shape"), AUTOENCODERS)
@pytest.mark.usefixtures("gpu")
def test_every_autoencoder_can_be_traced(module, cell, shape):
    config = module.get_config(cell)
    images = np.zeros((8, *shape), np.uint8)
    arrays = Arrays(images, np.zeros(8, int))
    task = reconstruction.from_config(config, Dataset(arrays, arrays, ("a",), "noise"))
    params = traced(task, images)
    assert params["decoder"]["dense"]["kernel"].shape[0] == config.model.code


@pytest.mark.parametrize("loss", srcnn.stl10.LOSSES)
@pytest.mark.usefixtures("gpu")
def test_every_super_resolution_can_be_traced(loss):
    config = srcnn.get_config(loss)
    images = np.zeros((8, config.data.size, config.data.size, 3), np.uint8)
    arrays = Arrays(images, np.zeros(8, int))
    data = Dataset(arrays, arrays, ("image",), "noise")
    task = super_resolution.from_config(config, data)
    params = traced(task, images)
    assert params["features"]["kernel"].shape == (9, 9, 1, 64)


DIGITS = [
    *((gmmn, kernel) for kernel in gmmn.KERNELS),
    *((conditional_gmmn, kernel) for kernel in conditional_gmmn.KERNELS),
    *((gan, objective) for objective in gan.OBJECTIVES),
    *((lsgan, objective) for objective in lsgan.OBJECTIVES),
    *((conditional_gan, objective) for objective in gan.OBJECTIVES),
    *((module, loss) for module in (vae, aae, autoencoder) for loss in vae.LOSSES),
]
FACES = [(gmmn, "rbf"), (gmmn, "ssim"), (gan, "gan_ssim_energy"), (lsgan, "lsgan_ssim")]
FACES += [(vae, "bce"), (aae, "ssim_distance")]


@pytest.mark.parametrize(
    ("module", "name", "shape"),
    [(m, n, (28, 28, 1)) for m, n in DIGITS]
    + [(m, f"celeb_a-{n}", (64, 64, 3)) for m, n in FACES],
)
@pytest.mark.usefixtures("gpu")
def test_every_generative_model_can_be_traced(module, name, shape):
    config = module.get_config(name)
    arrays = Arrays(np.zeros((20, *shape), np.uint8), np.arange(20) % 10)
    data = Dataset(arrays, arrays, tuple("0123456789"), "noise")
    task = TASKS[config.task](config, data)
    params = traced(task, arrays.images)
    assert params
    inputs = jax.eval_shape(
        lambda key: task.prior.inputs(key, 4, None), jax.random.key(0)
    )
    state = jax.eval_shape(task.init, jax.random.key(0))
    assert jax.eval_shape(task.generate, state, inputs).shape == (4, *shape)


def test_unknown_generative_model():
    with pytest.raises(ValueError, match="one of rbf, imq, .* got 'celeb_a-laplace'"):
        gmmn.get_config("celeb_a-laplace")
    for module in (conditional_gmmn, conditional_gan, code_gmmn, vae, lsgan):
        with pytest.raises(ValueError, match="argument must be one of .* got 'wgan'"):
            module.get_config("wgan")


def test_unknown_super_resolution():
    with pytest.raises(ValueError, match="one of mse, mae, ms_ssim.* got 'ssim'"):
        srcnn.get_config("ssim")


def test_unknown_autoencoder():
    with pytest.raises(ValueError, match="MODEL-LOSS .*mmd_ae.* got 'gan-mse'"):
        lu.get_config("gan-mse")
    with pytest.raises(ValueError, match="one of mse, mae, ms_ssim.* got 'ssim'"):
        yale_b.get_config("ssim")


@pytest.mark.parametrize("module", [quickstart, *PAPER])
def test_unknown_network(module):
    with pytest.raises(ValueError, match="argument must be .*conv.* got 'dense'"):
        module.get_config("dense")
