"""JAX's own modes: calls outside of programs, `disable_jit`, `shard_map`."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

from ssimjax import losses
from ssimjax.ops import ms_ssim, ssim, ssim_conv

X, Y = jax.random.uniform(jax.random.key(0), (2, 8, 150, 14, 2))
FILTERS = jax.random.normal(jax.random.key(1), (3, 3, 2, 4))
METRICS = {
    "strips": functools.partial(ssim, data_range=1.0),
    "borders": functools.partial(ssim, data_range=1.0, padding="edge"),
    "scales": functools.partial(
        ms_ssim, data_range=1.0, weights=(0.5, 0.5), padding="symmetric"
    ),
    "levels": functools.partial(losses.lw_ssim, data_range=1.0),
}


@pytest.fixture
def mesh():
    return jax.make_mesh((8,), ("devices",), axis_types=(AxisType.Auto,))


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("shared", [False, True])
def test_images_of_each_device(name, shared, mesh):
    """With a target for each image, or one that all devices have."""
    y = Y[:1] if shared else Y

    def values_and_gradients(x, y):
        metric = METRICS[name]
        return metric(x, y), jax.grad(lambda x: metric(x, y).sum())(x)

    on_devices = jax.shard_map(
        values_and_gradients,
        mesh=mesh,
        in_specs=(P("devices"), P() if shared else P("devices")),
        out_specs=P("devices"),
    )
    values, targets = jax.jit(on_devices)(X, y), jax.jit(values_and_gradients)(X, y)
    for value, target in zip(values, targets, strict=True):
        np.testing.assert_allclose(value, target, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("patches", ["across_channels", "per_channel"])
def test_filters_that_devices_share_have_one_gradient(patches, mesh):
    def loss(x, filters):
        return (ssim_conv(x, filters, patches=patches) ** 2).sum()

    def step(x, filters):
        def total(x, filters):
            return jax.lax.psum(loss(x, filters), "devices")

        return jax.grad(total, (0, 1))(x, filters)

    x = X[:, :12]
    on_devices = jax.shard_map(
        step,
        mesh=mesh,
        in_specs=(P("devices"), P()),
        out_specs=(P("devices"), P()),
    )
    values = jax.jit(on_devices)(x, FILTERS)
    targets = jax.jit(jax.grad(loss, (0, 1)))(x, FILTERS)
    for value, target in zip(values, targets, strict=True):
        np.testing.assert_allclose(
            value, target, rtol=1e-4, atol=1e-5 * jnp.abs(target).max()
        )


@pytest.mark.parametrize(
    "function",
    [
        lambda: ssim(X[0, :12], Y[0, :12], data_range=1.0),
        lambda: METRICS["scales"](X[0, :12], Y[0, :12]),
        lambda: ssim_conv(X[:1, :6, :6], FILTERS),
    ],
)
def test_without_compilation(function):
    target = function()
    with jax.disable_jit():
        value = function()
    np.testing.assert_allclose(value, target, rtol=1e-5, atol=1e-7)
