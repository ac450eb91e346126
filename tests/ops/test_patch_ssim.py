import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssimjax.ops.moments import Moments
from ssimjax.ops.patch_ssim import patch_ssim
from ssimjax.ops.similarity import similarity
from tests.ops.test_partial_derivatives import derivatives, moments_of

C1, C2 = 1e-4, 9e-4
SSIM = functools.partial(similarity, c1=C1, c2=C2)


@pytest.mark.parametrize(("rows", "columns"), [(12, 5), (1, 5), (12, 1), (1, 1)])
def test_derivatives_are_those_of_the_formula(rows, columns, float64):
    moments = moments_of(rows, columns)
    chex.assert_trees_all_close(
        jax.jit(functools.partial(derivatives, patch_ssim(C1, C2)))(moments),
        jax.jit(functools.partial(derivatives, SSIM))(moments),
        rtol=1e-9,
        atol=1e-11,
    )


@pytest.mark.parametrize("name", ["mean_x", "mean_y", "var_x", "var_y", "cov_xy"])
def test_gradient_in_one_kind_of_moment(name, float64):
    moments = moments_of(6, 4)

    def gradient(function):
        return jax.grad(lambda v: function(moments._replace(**{name: v})).sum())(
            getattr(moments, name)
        )

    actual = gradient(patch_ssim(C1, C2))
    np.testing.assert_allclose(actual, gradient(SSIM), rtol=1e-10)


def test_gradient_in_no_moment():
    moments = jax.tree.map(jnp.float32, moments_of(2, 3))

    def scaled(scale):
        return scale * patch_ssim(C1, C2)(moments).sum()

    np.testing.assert_allclose(jax.grad(scaled)(1.0), SSIM(moments).sum(), rtol=1e-6)


@pytest.mark.parametrize("unit", [1e-12, 1e-6, 1e6, 1e12])
def test_gradient_in_any_unit(unit):
    moments = jax.tree.map(jnp.float32, moments_of(6, 4))

    def gradient(unit):
        scales = Moments(unit, unit, unit**2, unit**2, unit**2)
        function = patch_ssim(C1 * unit**2, C2 * unit**2)
        return jax.grad(
            lambda m: function(jax.tree.map(jnp.multiply, m, scales)).sum()
        )(moments)

    chex.assert_trees_all_close(gradient(unit), gradient(1.0), rtol=1e-4, atol=1e-5)


def test_gradient_of_large_moments():
    moments = jax.tree.map(jnp.float32, moments_of(3, 2))
    scales = Moments(1e9, 1e9, 1e18, 1e18, 1e18)

    def gradient(function):
        return jax.grad(
            lambda m: function(jax.tree.map(jnp.multiply, m, scales)).sum()
        )(moments)

    chex.assert_trees_all_close(
        gradient(patch_ssim(C1, C2)), gradient(SSIM), rtol=1e-4, atol=1e-5
    )
    with_overflow = jax.grad(
        lambda m: patch_ssim(C1, C2)(jax.tree.map(lambda a: 1e18 * a, m)).sum()
    )(moments)
    chex.assert_tree_all_finite(with_overflow)
