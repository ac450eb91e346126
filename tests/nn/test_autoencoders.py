import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ssimjax.nn import Autoencoder, UpsampleConv, VariationalAutoencoder


@pytest.mark.parametrize(
    ("size", "backend"), [(1, "cpu"), (3, "cpu"), (5, "cpu"), (7, "cpu"), (5, "gpu")]
)
@pytest.mark.parametrize("upsampling", ["nearest", "transposed"])
def test_upsampling_is_the_convolution_of_enlarged_maps(
    upsampling, size, backend, monkeypatch
):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    layer = UpsampleConv(3, 4, size, upsampling=upsampling, rngs=nnx.Rngs(0))
    layer.bias[...] = jnp.arange(4.0)
    x = jax.random.normal(jax.random.key(1), (2, 5, 6, 3))
    large = np.zeros((2, 10, 12, 3), np.float32)
    large[:, ::2, ::2] = x
    if upsampling == "nearest":
        large = np.repeat(np.repeat(x, 2, 1), 2, 2)
    expected = jax.lax.conv_general_dilated(
        large,
        layer.kernel[...],
        (1, 1),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    chex.assert_trees_all_close(
        layer(x), expected + jnp.arange(4.0).reshape(1, 1, 1, 4), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("upsampling", ["nearest", "transposed"])
def test_only_transposed_convolutions_draw_checkerboards_on_flat_maps(upsampling):
    layer = UpsampleConv(8, 1, 5, upsampling=upsampling, rngs=nnx.Rngs(0))
    inner = np.asarray(layer(jnp.ones((1, 8, 8, 8))))[0, 4:-4, 4:-4, 0]
    if upsampling == "nearest":
        np.testing.assert_allclose(inner, inner[0, 0], rtol=1e-5)
    else:
        assert inner.std() > 0.1


@pytest.mark.parametrize("upsampling", ["nearest", "transposed"])
def test_drawn_layers_keep_the_size_of_their_input(upsampling):
    layer = UpsampleConv(64, 64, 5, upsampling=upsampling, rngs=nnx.Rngs(0))
    x = nnx.relu(jax.random.normal(jax.random.key(1), (4, 16, 16, 64)))
    # Like any He-initialised layer: E[y²] = 2 E[x²].
    ratio = jnp.mean(layer(x)[:, 4:-4, 4:-4] ** 2) / jnp.mean(x**2)
    assert 1.4 < ratio < 2.6


@pytest.mark.parametrize("model_class", [Autoencoder, VariationalAutoencoder])
@pytest.mark.parametrize("shape", [(64, 64, 3), (96, 96, 1), (48, 32, 1)])
def test_shapes_and_range(model_class, shape):
    model = model_class(shape, 7, widths=(4, 6, 8), rngs=nnx.Rngs(0))
    images = jax.random.uniform(jax.random.key(0), (3, *shape))
    codes = model.encode(images)
    chex.assert_shape(codes, (3, 7))
    found = model(images)
    chex.assert_shape(found, (3, *shape))
    assert found.min() > 0 and found.max() < 1
    chex.assert_trees_all_equal(model.decode(codes).shape, found.shape)


def test_mean_of_the_posterior_is_the_code():
    model = VariationalAutoencoder((16, 16, 1), 5, widths=(4,), rngs=nnx.Rngs(0))
    images = jax.random.uniform(jax.random.key(0), (3, 16, 16, 1))
    model.eval()
    mean, log_variance = model.posterior(images)
    chex.assert_trees_all_equal(mean, model.encode(images))
    chex.assert_shape(log_variance, (3, 5))


def test_bad_arguments():
    rngs = nnx.Rngs(0)
    with pytest.raises(ValueError, match="multiples of 16 for 4 widths, got 36x64"):
        Autoencoder((36, 64, 3), 8, rngs=rngs)
    with pytest.raises(
        ValueError, match=r"widths must be one or more numbers >= 1, got \(\)"
    ):
        Autoencoder((36, 64, 3), 8, widths=(), rngs=rngs)
    with pytest.raises(ValueError, match="code must be a number >= 1, got 0"):
        Autoencoder((36, 64, 3), 0, widths=(8,), rngs=rngs)
    with pytest.raises(ValueError, match="size must be odd and >= 1, got 4"):
        UpsampleConv(1, 1, 4, rngs=rngs)
