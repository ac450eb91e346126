import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ssimjax.nn import SSIMConv, linen
from ssimjax.ops import ssim_conv

OPTIONS = [
    {},
    {"strides": (2, 1), "padding": ((1, 0), (2, 2))},
    {"patches": "per_channel", "c1": 1.0, "c2": 2.0, "c3": 0.5},
    {"exponents": (1.0, 2.0, 1.0), "structure_form": "printed", "padding": "VALID"},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_nnx_linen_and_ops_give_the_same_numbers(options):
    x = jax.random.uniform(jax.random.key(0), (2, 9, 8, 3))
    layer = SSIMConv(3, 4, (5, 3), rngs=nnx.Rngs(1), **options)
    filters = layer.filters[...]
    target = ssim_conv(x, filters, **options)
    wrapper = linen.SSIMConv(4, (5, 3), **options)
    chex.assert_trees_all_close(
        layer(x), wrapper.apply({"params": {"filters": filters}}, x), target, rtol=1e-6
    )


def test_filters_start_from_a_standard_normal():
    key = jax.random.key(0)
    nnx_filters = SSIMConv(32, 64, (7, 7), rngs=nnx.Rngs(params=key)).filters[...]
    variables = linen.SSIMConv(64, (7, 7)).init(key, jnp.ones((1, 8, 8, 32)))
    for filters in (nnx_filters, variables["params"]["filters"]):
        assert filters.shape == (7, 7, 32, 64)
        np.testing.assert_allclose(filters.mean(), 0, atol=0.02)
        np.testing.assert_allclose(filters.std(), 1, atol=0.02)


def test_layer_trains_under_nnx_jit():
    layer = SSIMConv(1, 1, (3, 3), padding="VALID", rngs=nnx.Rngs(0))
    x = jax.random.uniform(jax.random.key(0), (1, 3, 3, 1))

    @nnx.jit
    def step(layer):
        value, gradient = nnx.value_and_grad(lambda layer: -layer(x).mean())(layer)
        layer.filters[...] -= 0.5 * gradient.filters[...]
        return value

    values = [float(step(layer)) for _ in range(200)]
    assert values[-1] < -0.95 < values[0]  # The filter has become the patch.


@pytest.mark.usefixtures("own_errors")
@pytest.mark.parametrize(
    ("kernel_size", "options", "message"),
    [
        (3, {}, "kernel_size must be a height and a width, .* got 3"),
        ((3, 0), {}, r"kernel_size must be .* >= 1, got \(3, 0\)"),
        ((3, 3), {"padding": 1}, "padding must be .* pairs .* got 1"),
    ],
)
def test_sides_come_in_pairs(kernel_size, options, message):
    x = jnp.ones((1, 8, 8, 3))
    with pytest.raises(ValueError, match=message):
        SSIMConv(3, 4, kernel_size, rngs=nnx.Rngs(0), **options)
    with pytest.raises(ValueError, match=message):
        linen.SSIMConv(4, kernel_size, **options).init(jax.random.key(0), x)
