"""Programs for batches of any size, as `jax.export` writes them."""

import functools

import chex
import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from jax import export

import ssimjax
from ssimjax.nn import Autoencoder, QuickClassifier

SHAPE = (32, 32, 3)


def classifier(**options):
    return QuickClassifier(
        SHAPE, 4, widths=(8, 8, 8), hidden=8, rngs=nnx.Rngs(0), **options
    )


def autoencoder():
    model = Autoencoder(SHAPE, 8, widths=(8, 8), rngs=nnx.Rngs(0))
    model.eval()
    return model


def gradient(x, y):
    return jax.grad(lambda x: ssimjax.ssim(x, y, data_range=1.0).sum())(x)


FUNCTIONS = {
    "ssim": functools.partial(ssimjax.ssim, data_range=1.0),
    "gradient of ssim": gradient,
    "ssim_map": functools.partial(ssimjax.ssim_map, data_range=1.0),
    "ms_ssim": functools.partial(ssimjax.ms_ssim, data_range=1.0, weights=(0.5, 0.5)),
    "lw_ssim": functools.partial(ssimjax.lw_ssim, data_range=1.0),
    "classifier": lambda x, _: classifier()(x),
    "patches per channel": lambda x, _: classifier(patches="per_channel")(x),
    "autoencoder": lambda x, _: autoencoder()(x),
}


# Type checks do not know open sizes.
@pytest.mark.usefixtures("own_errors")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_exported_for_any_batch(name, monkeypatch):
    # As where batches are visited a few images at a time.
    monkeypatch.setattr("jax.device_count", lambda: 1)
    function = jax.jit(FUNCTIONS[name])
    (count,) = export.symbolic_shape("count")
    pair = [jax.ShapeDtypeStruct((count, *SHAPE), jnp.float32)] * 2
    exported = export.export(function)(*pair)
    for count in (1, 5):
        x, y = jax.random.uniform(jax.random.key(0), (2, count, *SHAPE))
        chex.assert_trees_all_close(
            exported.call(x, y), function(x, y), rtol=1e-5, atol=1e-6
        )
