import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssimjax import ops
from ssimjax.ops import Moments

C1, C2 = 1e-4, 9e-4


def moments(mean_x, mean_y, var_x, var_y, cov_xy):
    return Moments(*(jnp.asarray(v) for v in (mean_x, mean_y, var_x, var_y, cov_xy)))


def random_moments(seed=0):
    x, y = jax.random.normal(jax.random.key(seed), (2, 50, 9))
    return moments(
        x.mean(1),
        y.mean(1),
        x.var(1),
        y.var(1),
        ((x - x.mean(1, keepdims=True)) * (y - y.mean(1, keepdims=True))).mean(1),
    )


def test_dissimilarities_are_one_minus_the_similarities():
    m = random_moments()
    for dissimilarity, similarity in [
        (ops.luminance_dissimilarity(m, C1), ops.luminance(m, C1)),
        (ops.contrast_structure_dissimilarity(m, C2), ops.contrast_structure(m, C2)),
        (ops.dissimilarity(m, C1, C2), ops.similarity(m, C1, C2)),
    ]:
        np.testing.assert_allclose(dissimilarity, 1 - similarity, atol=1e-6)


def test_dissimilarity_sees_what_one_minus_ssim_rounds_away():
    # x against x + 1e-4 at the end of a bright ramp, exactly: d1 = 1e-8 / (...).
    m = moments(0.9, 0.9001, 0.08, 0.08, 0.08)
    exact = (1e-4) ** 2 / (0.9**2 + 0.9001**2 + C1)
    np.testing.assert_allclose(ops.dissimilarity(m, C1, C2), exact, rtol=2e-3)
    assert 1 - ops.similarity(m, C1, C2) == 0


def test_factors_multiply_to_equation_13():
    m = random_moments()
    product = ops.luminance(m, C1) * ops.contrast(m, C2) * ops.structure(m, C2 / 2)
    np.testing.assert_allclose(ops.similarity(m, C1, C2), product, rtol=1e-4)


@pytest.mark.parametrize("unit", [1e-9, 1e11, 1e15])
def test_factors_do_not_depend_on_the_unit_of_pixels(unit):
    m = random_moments()
    means, variances = (m.mean_x, m.mean_y), (m.var_x, m.var_y, m.cov_xy)
    scaled = ops.Moments(*(unit * v for v in means), *(unit**2 * v for v in variances))
    for factor in (ops.contrast, ops.structure):
        np.testing.assert_allclose(
            factor(scaled, unit**2 * C2), factor(m, C2), rtol=1e-5
        )


def test_fractional_powers_continue_as_odd_functions():
    m = moments(0.5, -0.5, 0.1, 0.1, 0.1)  # Means of opposite sign: l < 0.
    value = ops.similarity(m, C1, C2, exponents=(0.5, 1.0, 1.0))
    luminance = float(ops.luminance(m, C1))
    np.testing.assert_allclose(value, -((-luminance) ** 0.5), rtol=1e-5)


@pytest.mark.parametrize("exponent", [0.0448, 0.5, 1.0, 1.7, 2.0, 3.0])
def test_powers_equal_plain_ones_where_those_are_defined(exponent):
    m = random_moments(3)
    m = m._replace(mean_x=jnp.abs(m.mean_x), mean_y=jnp.abs(m.mean_y))
    value = ops.similarity(m, C1, C2, exponents=(exponent, 1.0, 1.0))
    target = ops.luminance(m, C1) ** exponent * ops.contrast_structure(m, C2)
    np.testing.assert_allclose(value, target, rtol=1e-4)


@pytest.mark.parametrize("name", ["c1", "c2"])
def test_stabilisers_are_positive(name):
    with pytest.raises(ValueError, match=f"{name} must be > 0 and finite, got 0"):
        ops.similarity(random_moments(), **({"c1": C1, "c2": C2} | {name: 0.0}))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("side", "size"), [(1, 1), (9, 7)])
def test_flat_images_cannot_be_told_apart_once_centred(side, size, dtype):
    # A least-squares adversary pulls scalars, images of one pixel, to 0 and 1. Of a
    # flat image the centred distance leaves nothing, and nothing is learnt.
    window = ops.uniform_window(size)
    # Means over more pixels than one are rounded.
    bound = 0 if size == 1 else 1e-9

    @jax.value_and_grad
    def centred(x, y):
        # Of the square: the root's own gradient is 0 at 0 whatever lies under it.
        m = ops.image_moments(x, y, window)
        return ops.centred_squared_distance(m, C2).sum()

    @jax.value_and_grad
    def centred_root(x, y):
        return ops.ssim_distance(
            x, y, data_range=1.0, form="centred", window=window, sample_covariance=False
        ).sum()

    @jax.value_and_grad
    def uncentred(x, y):
        return ops.squared_distance(ops.image_moments(x, y, window), C1, C2).sum()

    with jax.enable_x64(dtype == "float64"):
        x = jnp.full((3, side, side, 1), 1.0, dtype)
        x = x * jnp.asarray([0.0, 0.3, 1.0], dtype)[:, None, None, None]
        for target in (0.0, 0.7, 1.0):
            y = jnp.full_like(x, target)
            for function in (centred, centred_root):
                value, gradient = function(x, y)
                assert abs(value) <= bound and jnp.abs(gradient).max() <= bound
            # With their means they are told apart, and each is pulled to its target.
            value, gradient = uncentred(x, y)
            assert value > 0.1
            pull = gradient[:, side // 2, side // 2, 0]
            np.testing.assert_array_equal(jnp.sign(pull), jnp.sign((x - y)[:, 0, 0, 0]))
        # SSIM is the luminance alone.
        m = ops.image_moments(x, x + 0.5, window)
        chex.assert_trees_all_close(ops.similarity(m, C1, C2), ops.luminance(m, C1))
