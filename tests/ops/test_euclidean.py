import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssimjax.ops import energy_kernel, imq_kernel, mmd, rbf_kernel


def smallest_eigenvalue(gram):
    return np.linalg.eigvalsh(np.float64(gram)).min()


def test_rbf_and_imq_match_their_formulas(float64):
    rng = np.random.default_rng(0)
    # Far from 0, where ‖x‖² + ‖y‖² - 2 x·y would lose its digits.
    x, y = 1e4 + rng.random((3, 5, 2)), 1e4 + rng.random((4, 5, 2))
    squared = ((x[:, None] - y) ** 2).sum((2, 3))
    rbf = np.exp(-squared / 2) + np.exp(-squared / 18)
    np.testing.assert_allclose(rbf_kernel(x, y, bandwidths=(1.0, 3.0)), rbf, rtol=1e-10)
    imq = sum(
        (2 * 10 * 4 * s) / (2 * 10 * 4 * s + squared)
        for s in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
    )
    np.testing.assert_allclose(imq_kernel(x, y, sigma=2.0), imq, rtol=1e-10)
    for gram in (rbf_kernel(x, x, bandwidths=(1.0,)), imq_kernel(x, x)):
        assert smallest_eigenvalue(gram) > 0
    close = jnp.asarray(x, jnp.float32)
    assert rbf_kernel(close, close, bandwidths=(1e-3,)).max() <= 1.0


def test_energy_kernel_is_minus_half_the_distance(float64):
    rng = np.random.default_rng(0)
    x, y = 1e4 + rng.random((3, 5, 2)), 1e4 + rng.random((4, 5, 2))
    distance = np.sqrt(((x[:, None] - y) ** 2).sum((2, 3)))
    np.testing.assert_allclose(energy_kernel(x, y), -distance / 2, rtol=1e-9)
    # Conditionally positive semi-definite: so once it is centred.
    union = np.concatenate([x, y])
    gram = energy_kernel(union, union)
    centre = np.eye(7) - 1 / 7
    assert smallest_eigenvalue(centre @ gram @ centre) > -1e-9


@pytest.mark.parametrize("elements", [3, 784, 12288])
def test_copies_have_no_distance_and_no_gradient(elements):
    x = jax.random.uniform(jax.random.key(0), (20, elements))
    y = x.at[5:].add(0.5)
    gram = energy_kernel(x, y)
    np.testing.assert_array_equal(gram[jnp.arange(5), jnp.arange(5)], 0)
    apart = jnp.linalg.norm(x[7] - y[3])
    np.testing.assert_allclose(gram[7, 3], -apart / 2, rtol=1e-5)
    gradient = jax.grad(lambda x: mmd(x, y, energy_kernel))(x)
    assert jnp.isfinite(gradient).all() and jnp.abs(gradient).max() > 0
