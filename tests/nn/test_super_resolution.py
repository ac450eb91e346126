import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ssimjax.nn import SRCNN
from ssimjax.nn.convolution import convolve_to_few


def convolved(image, layer):
    """A layer of SRCNN on one image, tap by tap, in NumPy."""
    kernel = np.asarray(layer.kernel[...], np.float64)
    size = kernel.shape[0]
    margin = size // 2
    padded = np.pad(image, ((margin, margin), (margin, margin), (0, 0)), "edge")
    height, width = image.shape[:2]
    out = np.zeros((height, width, kernel.shape[3])) + np.asarray(layer.bias[...])
    for i in range(size):
        for j in range(size):
            out += padded[i : i + height, j : j + width] @ kernel[i, j]
    return out


def large_weights(model):
    """So large that every layer matters."""
    for number, layer in enumerate((model.features, model.mapping)):
        keys = jax.random.split(jax.random.key(number))
        layer.kernel[...] = 0.1 * jax.random.normal(keys[0], layer.kernel.shape)
        layer.bias[...] = 0.1 * jax.random.normal(keys[1], layer.bias.shape)
    shape = model.reconstruction.kernel.shape
    model.reconstruction.kernel[...] = jax.random.normal(jax.random.key(9), shape)
    return model


@pytest.mark.parametrize("output", ["image", "residual"])
def test_is_three_convolutions(output):
    model = large_weights(SRCNN(widths=(6, 4), output=output, rngs=nnx.Rngs(0)))
    image = np.random.default_rng(0).uniform(size=(14, 11, 1))
    x = np.maximum(convolved(image, model.features), 0)
    x = convolved(np.maximum(convolved(x, model.mapping), 0), model.reconstruction)
    expected = x + image if output == "residual" else x
    found = model(jnp.asarray(image, jnp.float32)[None])[0]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_published_network():
    model = SRCNN(rngs=nnx.Rngs(0))
    shapes = [
        layer.kernel.shape
        for layer in (model.features, model.mapping, model.reconstruction)
    ]
    assert shapes == [(9, 9, 1, 64), (5, 5, 64, 32), (5, 5, 32, 1)]
    for layer in (model.features, model.mapping, model.reconstruction):
        kernel = layer.kernel[...]
        # Ten standard errors.
        tolerance = 10 * 0.001 / np.sqrt(2 * kernel.size)
        assert abs(kernel.std() - 0.001) < tolerance
        assert not layer.bias[...].any()
    assert jnp.abs(model(jnp.ones((1, 9, 9, 1)))).max() < 1e-3


def test_he_residual_begins_at_its_input():
    model = SRCNN(initial="he", output="residual", rngs=nnx.Rngs(0))
    images = jax.random.uniform(jax.random.key(0), (2, 20, 20, 1))
    difference = jnp.abs(model(images) - images)
    assert 1e-4 < difference.max() < 0.2
    np.testing.assert_allclose(
        model.mapping.kernel[...].std(), np.sqrt(2 / (25 * 64)), rtol=0.05
    )


def test_nothing_beyond_its_reach_has_an_influence():
    model = large_weights(SRCNN(widths=(6, 4), rngs=nnx.Rngs(0)))
    assert model.reach == 8
    images = jax.random.uniform(jax.random.key(0), (1, 40, 40, 1))
    changed = model(images.at[0, 20, 20].add(1.0)) - model(images)
    rows, columns = np.nonzero(np.abs(changed[0, :, :, 0]) > 1e-7)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (12, 28, 12, 28)


def test_few_filters_are_convolved_as_any():
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (3, 12, 10, 7))
    kernel = jax.random.normal(keys[1], (5, 3, 7, 2))
    probe = jax.random.normal(keys[2], (3, 8, 8, 2))

    def value(convolution, x, kernel):
        return (convolution(x, kernel, (1, 1), "VALID") * probe).sum()

    plain = jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    found = convolve_to_few(x, kernel, (1, 1), "VALID")
    np.testing.assert_allclose(found, plain, rtol=1e-4, atol=1e-4)

    def lax(x, kernel, strides, padding):
        return jax.lax.conv_general_dilated(
            x, kernel, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    for argument in (1, 2):
        np.testing.assert_allclose(
            jax.grad(value, argument)(convolve_to_few, x, kernel),
            jax.grad(value, argument)(lax, x, kernel),
            rtol=1e-4,
            atol=1e-4,
        )
    with pytest.raises(ValueError, match=r"strides must be \(1, 1\).* got \(2, 2\)"):
        convolve_to_few(x, kernel, (2, 2), "VALID")
    with pytest.raises(ValueError, match="padding 'VALID', got .*'SAME'"):
        convolve_to_few(x, kernel, (1, 1), "SAME")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": (64,)}, r"widths must be 2 numbers >= 1, got \(64,\)"),
        ({"sizes": (9, 4, 5)}, r"three odd numbers >= 1, got \(9, 4, 5\)"),
        ({"initial": "xavier"}, "initial must be one of .*'he'.* got 'xavier'"),
        ({"output": "luma"}, "output must be one of .*'residual'.* got 'luma'"),
    ],
)
def test_errors(options, message, own_errors):
    with pytest.raises(ValueError, match=message):
        SRCNN(**options, rngs=nnx.Rngs(0))
