import functools
import re

import chex
import jax
import jax.numpy as jnp
import pytest

from ssimjax.ops import loops, partial_derivatives, ssim, ssim_conv, strips
from ssimjax.ops.convolution import correlate
from ssimjax.ops.loops import on_all_cores

X, Y = jax.random.uniform(jax.random.key(0), (2, 4, 16, 16, 3))
FILTERS = jax.random.normal(jax.random.key(1), (3, 3, 3, 2))


def gradients(function):
    return jax.grad(lambda x, y: jnp.sin(function(x, y)).sum(), (0, 1))


def twice(function):
    along = gradients(function)

    def total(x, y):
        return sum((part**2).sum() for part in along(x, y))

    return jax.grad(total, (0, 1))


def convolution(x, filters):
    return correlate(x, filters, padding=((1, 1), (1, 1)))


def of_two_networks(x, filters):
    several = jnp.stack([filters, 2 * filters])
    return jax.vmap(convolution, (None, 0))(x, several)


SSIM = functools.partial(ssim, data_range=1.0)
PROGRAMS = {
    "ssim": (SSIM, Y),
    "gradient of ssim": (gradients(SSIM), Y),
    "gradient of the layer": (gradients(ssim_conv), FILTERS),
    "second of the layer": (twice(ssim_conv), FILTERS),
    "convolution": (convolution, FILTERS),
    "gradient of a convolution": (gradients(convolution), FILTERS),
    "two networks": (of_two_networks, FILTERS),
    "gradient of two networks": (gradients(of_two_networks), FILTERS),
}


@pytest.fixture
def many_loops(monkeypatch):
    """Loops over one image, or over a few patches."""
    monkeypatch.setattr("jax.device_count", lambda: 1)
    monkeypatch.setattr(strips, "_GROUP_BYTES", 1)
    monkeypatch.setattr(strips, "_ONE_CORE_BYTES", 0)
    monkeypatch.setattr(partial_derivatives, "_GROUP_BYTES", 512)
    monkeypatch.setattr("ssimjax.ops.convolution_products._PATCH_BYTES", 1)
    jax.clear_caches()


@pytest.mark.parametrize("on_one_core", [False, True])
@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.usefixtures("many_loops")
def test_every_loop_has_a_sort(name, on_one_core, monkeypatch):
    monkeypatch.setattr(loops, "_ON_ONE_CORE", on_one_core)
    function, other = PROGRAMS[name]
    text = jax.jit(function).lower(X, other).compile().as_text()
    count = len(re.findall(r" while\(", text))
    assert count
    if not on_one_core:
        assert " sort(" not in text
    else:
        assert "xla_cpu_small_call" not in text
        assert len(re.findall(r" sort\(", text)) >= count


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.usefixtures("many_loops")
def test_sorts_change_nothing(name, monkeypatch):
    function, other = PROGRAMS[name]
    results = []
    for on_one_core in (False, True):
        monkeypatch.setattr(loops, "_ON_ONE_CORE", on_one_core)
        jax.clear_caches()
        results.append(jax.jit(function)(X, other))
    chex.assert_trees_all_close(*results, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("step", [0, 2**31 - 1, -1])
def test_value_is_itself(step, monkeypatch):
    monkeypatch.setattr(loops, "_ON_ONE_CORE", True)
    value = jnp.array([0.1, -jnp.inf, 3e38])
    chex.assert_trees_all_equal(on_all_cores(value, jnp.int32(step)), value)
