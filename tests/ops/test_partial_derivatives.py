import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssimjax.ops import partial_derivatives
from ssimjax.ops.layer import ssim_conv
from ssimjax.ops.moments import Moments
from ssimjax.ops.partial_derivatives import by_partial_derivatives, over_patches
from ssimjax.ops.patches import patch_moments
from ssimjax.ops.similarity import similarity

SSIM = functools.partial(similarity, c1=1e-4, c2=9e-4)
POWERS = functools.partial(SSIM, exponents=(0.5, 0.3, 1.5))


def moments_of(rows, columns):
    rng = np.random.default_rng(0)
    mean_x, var_x = rng.random((2, rows, 1)) + 0.1
    mean_y, var_y = rng.random((2, 1, columns)) + 0.1
    correlation = rng.uniform(-1, 1, (rows, columns))
    covariance = correlation * np.sqrt(var_x * var_y)
    arrays = mean_x, mean_y, var_x, var_y, covariance
    return Moments(*map(jnp.asarray, arrays))


def derivatives(function, moments):
    def total(moments):
        return jnp.sin(3 * function(moments)).sum()

    gradients = jax.grad(total)
    along = jax.tree.map(jnp.cos, moments)
    return (
        function(moments),
        gradients(moments),
        jax.jvp(function, (moments,), (along,)),
        jax.jvp(gradients, (moments,), (along,)),
        jax.grad(lambda m: sum((g**3).sum() for g in jax.tree.leaves(gradients(m))))(
            moments
        ),
    )


@pytest.mark.parametrize(
    ("compare", "rows", "groups"),
    [
        (SSIM, 12, None),
        (SSIM, 12, 12),
        (SSIM, 12, 4),
        (SSIM, 12, 1),
        (SSIM, 7, 2),
        (SSIM, 1, 3),
        # Groups know nothing of the formula; powers compile for ten seconds.
        (POWERS, 12, None),
        (POWERS, 12, 4),
    ],
)
def test_derivatives_are_those_of_the_formula(
    compare, rows, groups, float64, monkeypatch
):
    monkeypatch.setattr("jax.device_count", lambda: 1)
    group_bytes = None if groups is None else groups * 5 * 8
    function = by_partial_derivatives(compare, group_bytes=group_bytes)
    moments = moments_of(rows, 5)
    chex.assert_trees_all_close(
        jax.jit(functools.partial(derivatives, function))(moments),
        jax.jit(functools.partial(derivatives, compare))(moments),
        rtol=1e-10,
        atol=1e-12,
    )


@pytest.mark.parametrize("name", ["mean_x", "mean_y", "var_x", "var_y", "cov_xy"])
def test_gradient_in_one_kind_of_moment(name, float64, monkeypatch):
    monkeypatch.setattr("jax.device_count", lambda: 1)
    moments = moments_of(6, 4)

    def gradient(function):
        return jax.grad(lambda v: function(moments._replace(**{name: v})).sum())(
            getattr(moments, name)
        )

    grouped = by_partial_derivatives(SSIM, group_bytes=2 * 4 * 8)
    np.testing.assert_allclose(gradient(grouped), gradient(SSIM), rtol=1e-11)


@pytest.mark.parametrize(("devices", "grouped"), [(1, True), (2, False)])
def test_the_gradient_is_made_of_some_rows_at_a_time(devices, grouped, monkeypatch):
    """Where several devices may share them, of all, or they would be sent around."""
    monkeypatch.setattr("jax.device_count", lambda: devices)
    function = by_partial_derivatives(SSIM, group_bytes=3 * 4 * 4)

    def total(moments):
        return function(moments).sum()

    text = str(jax.make_jaxpr(jax.grad(total))(moments_of(12, 4)))
    assert ("length=4" in text) == grouped
    assert ("scan" in text) == grouped


@pytest.mark.parametrize(
    ("count", "wanted", "divisor"),
    [
        (12, 4.0, 4),
        (12, 5.0, 6),
        (12, 100.0, 12),
        (12, 0.1, 1),
        (7, 2.0, 1),
        (7, 3.0, 7),
    ],
)
def test_groups_are_near_the_wanted_size(count, wanted, divisor):
    assert partial_derivatives._nearest_divisor(count, wanted) == divisor


def test_several_sets_of_filters_at_once(float64, monkeypatch):
    monkeypatch.setattr("jax.device_count", lambda: 1)
    monkeypatch.setattr(partial_derivatives, "_GROUP_BYTES", 8 * 3 * 8)
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.random((2, 6, 4, 2)))
    filters = jnp.asarray(rng.standard_normal((4, 3, 3, 2, 3)))

    def gradients(layer):
        return jax.grad(lambda x, f: (layer(x, f) ** 2).sum(), (0, 1))

    values = jax.vmap(gradients(ssim_conv), (None, 0))(x, filters)
    plain = gradients(lambda x, f: SSIM(patch_moments(x, f)))
    for index, each in enumerate(filters):
        chex.assert_trees_all_close(
            jax.tree.map(lambda a, i=index: a[i], values), plain(x, each), rtol=1e-10
        )


def test_memory_of_a_gradient(monkeypatch):
    """JAX's own takes seven maps as large as the result."""
    monkeypatch.setattr("jax.device_count", lambda: 1)
    moments = jax.tree.map(
        lambda a: (
            a.astype(jnp.float32).reshape(4, 32, -1, a.shape[-1])
            if len(a) > 1
            else a.astype(jnp.float32)[None, None]
        ),
        moments_of(4 * 32 * 32, 64),
    )

    @jax.jit
    def gradients(moments):
        return jax.grad(lambda m: (over_patches(SSIM, m) ** 2).sum())(moments)

    memory = gradients.lower(moments).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 3 * moments.cov_xy.nbytes


def test_memory_of_a_value(monkeypatch):
    """With numbers and broadcast moments written as maps it would be three maps."""
    monkeypatch.setattr("jax.device_count", lambda: 1)
    x, filters = jnp.ones((16, 16, 16, 64)), jnp.ones((3, 3, 64, 64))
    memory = jax.jit(ssim_conv).lower(x, filters).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 2 * x.nbytes
