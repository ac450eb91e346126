"""Batches that are split over devices, and what that must not cost."""

import functools

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from ssimjax import losses
from ssimjax.ops import lw_ssim, ms_ssim, ms_ssim_map, ssim, ssim_conv, ssim_distance
from ssimjax.training import data_mesh

COLLECTIVES = ("all-reduce", "all-gather", "all-to-all", "collective-permute")
METRICS = {
    "ssim": ssim,
    "symmetric": functools.partial(ssim, padding="symmetric"),
    "edge": functools.partial(ssim, padding="edge"),
    "reflect": functools.partial(ssim, padding="reflect"),
    "zero": functools.partial(ssim, padding="zero"),
    "downsampled": functools.partial(ssim, downsample="matlab"),
    "ms_ssim": functools.partial(ms_ssim, weights=(0.5, 0.5)),
    "ms_ssim odd": functools.partial(ms_ssim, weights=(0.5, 0.5), odd_sizes="zero"),
    "map": lambda x, y, **o: ms_ssim_map(x, y, **o).mean((1, 2, 3)),
    "lw_ssim": lw_ssim,
    "ssim_distance": ssim_distance,
    "loss": losses.ssim,
}


def compiled(function, *arrays):
    sharding = NamedSharding(data_mesh(), P("data"))
    arrays = [jax.device_put(array, sharding) for array in arrays]
    program = jax.jit(function, out_shardings=sharding).lower(*arrays).compile()
    return program.as_text()


@pytest.mark.parametrize("name", METRICS)
def test_images_are_compared_where_they_are(name):
    metric = functools.partial(METRICS[name], data_range=1.0)
    x, y = jax.random.uniform(jax.random.key(0), (2, 16, 25, 24, 3))

    def gradient(x, y):
        return jax.grad(lambda x, y: metric(x, y).sum(), (0, 1))(x, y)

    for function in (metric, gradient):
        text = compiled(function, x, y)
        assert "fusion" in text or "dot" in text  # It is a program, and not empty.
        assert not [word for word in COLLECTIVES if word in text]


def test_the_layer_needs_no_other_device_for_its_activations():
    filters = jax.random.normal(jax.random.key(1), (5, 5, 3, 8))
    x = jnp.ones((16, 12, 12, 3))

    def activation_gradient(x):
        return jax.grad(lambda x: (ssim_conv(x, filters) ** 2).sum())(x)

    for function in (lambda x: ssim_conv(x, filters), activation_gradient):
        assert not [word for word in COLLECTIVES if word in compiled(function, x)]


def test_a_sum_over_images_would_be_noticed():
    x = jnp.ones((16, 12, 12, 3))
    assert "all-reduce" in compiled(lambda x: x - x.mean(), x)


def test_strips_stay_where_their_images_are(monkeypatch):
    jax.clear_caches()
    monkeypatch.setattr("ssimjax.ops.strips._STRIP_BYTES", 1)
    monkeypatch.setattr("ssimjax.ops.strips._HALOS", 1)
    x, y = jax.random.uniform(jax.random.key(0), (2, 16, 80, 24, 3))
    metric = functools.partial(lw_ssim, data_range=1.0)
    text = compiled(jax.grad(lambda x, y: metric(x, y).sum()), x, y)
    jax.clear_caches()
    assert " while(" in text
    assert not [word for word in COLLECTIVES if word in text]
