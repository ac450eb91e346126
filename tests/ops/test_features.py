import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from ssimjax.ops import frechet_distance, kernel_distance, polynomial_kernel


def features(count, seed, scale=1.0):
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(7).normal(size=(6, 6))
    return scale * rng.normal(size=(count, 6)) @ mixing


@pytest.mark.parametrize("counts", [(50, 40), (4, 40), (4, 5)])
def test_frechet_distance_is_the_formula(counts):
    x, y = features(counts[0], 0), features(counts[1], 1, scale=0.5) + 0.3
    sigma_x, sigma_y = np.cov(x.T), np.cov(y.T)
    roots = np.sqrt(np.clip(scipy.linalg.eigvals(sigma_x @ sigma_y).real, 0, None))
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum()
    expected += np.trace(sigma_x) + np.trace(sigma_y) - 2 * roots.sum()
    with jax.enable_x64(True):
        np.testing.assert_allclose(frechet_distance(x, y), expected, rtol=1e-6)
    found = frechet_distance(np.float32(x), np.float32(y))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_frechet_distance_of_a_sample_to_itself_is_0():
    x = np.float32(features(30, 0))
    assert abs(frechet_distance(x, x)) < 1e-3 * np.trace(np.cov(x.T))


@pytest.mark.parametrize("counts", [(20, 30), (4, 5)])
@pytest.mark.parametrize("constant", ["none", "x", "both"])
def test_gradient_is_that_of_differences(counts, constant, float64):
    x, y = (features(count, seed) for seed, count in enumerate(counts))
    x[:, 2] = x[:, 2] if constant == "none" else 0.5
    y[:, 2] = 0.5 if constant == "both" else y[:, 2]
    gradient = jax.grad(frechet_distance, (0, 1))(x, y)
    assert all(np.isfinite(g).all() for g in gradient)
    for row, column in ((0, 0), (1, 2), (3, 5)):
        step = np.zeros_like(x)
        step[row, column] = 1e-5
        rise = frechet_distance(x + step, y) - frechet_distance(x - step, y)
        np.testing.assert_allclose(
            gradient[0][row, column], rise / 2e-5, rtol=1e-4, atol=1e-5
        )


def test_polynomial_kernel_is_the_formula():
    x, y = features(3, 0), features(4, 1)
    expected = (x @ y.T / 6 + 0.5) ** 2
    found = polynomial_kernel(x, y, degree=2, offset=0.5)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_kernel_distance_is_unbiased_and_sees_a_difference():
    same = [kernel_distance(features(20, i), features(20, 100 + i)) for i in range(200)]
    error = np.std(same) / np.sqrt(200)
    assert abs(np.mean(same)) < 3 * error and min(same) < 0
    other = kernel_distance(features(20, 0), features(20, 1) + 2.0)
    assert other > 3 * np.std(same)


def test_bad_arguments():
    x = jnp.ones((3, 2))
    with pytest.raises(ValueError, match="two features or more each, got 1 and 3"):
        frechet_distance(x[:1], x)
    with pytest.raises(ValueError, match="degree must be >= 1 .* got 0"):
        polynomial_kernel(x, x, degree=0)
    with pytest.raises(ValueError, match="one shape"):
        kernel_distance(x, jnp.ones((3, 4)))
