import functools
import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from ssimjax.ops import mmd, permutation_test, rbf_kernel, ssim_kernel, uniform_window

RBF = functools.partial(rbf_kernel, bandwidths=(0.5, 2.0))


def normal(seed, n, shift=0.0):
    return shift + jax.random.normal(jax.random.key(seed), (n, 2))


@functools.partial(jax.jit, static_argnames=("n", "m"))
def p_values(key, shift, *, n, m):
    """Of 200 pairs of samples of two normal distributions, with 199 relabellings."""

    def of_pair(key):
        ours, x, y = jax.random.split(key, 3)
        x, y = jax.random.normal(x, (n, 2)), jax.random.normal(y, (m, 2)) + shift
        return permutation_test(ours, x, y, RBF, permutations=199).p_value

    return jax.lax.map(of_pair, jax.random.split(key, 200))


@pytest.mark.parametrize(("n", "m"), [(20, 20), (6, 25)])
def test_the_level_is_the_nominal_one(n, m):
    found = p_values(jax.random.key(0), 0.0, n=n, m=m)
    # Of 200 labellings, ours has a uniform rank: P(p <= α) = α for α = 0.005 j. Bounds
    # that a binomial count leaves once in 1000 times: 2 to 21 at α = 0.05, of 10.
    for level in (0.05, 0.2, 0.5, 0.8):
        low, high = scipy.stats.binom.interval(0.999, 200, level)
        assert low <= (found <= level + 1e-6).sum() <= high, level
    # Means a standard deviation apart, along both axes, are mostly seen.
    assert (p_values(jax.random.key(1), 1.0, n=n, m=m) <= 0.05).mean() > 0.5


def test_a_shift_is_seen():
    test = permutation_test(jax.random.key(0), normal(0, 40), normal(1, 40, 1.5), RBF)
    np.testing.assert_allclose(test.p_value, 1 / 501, rtol=1e-6)
    same = permutation_test(jax.random.key(0), normal(0, 40), normal(1, 40), RBF)
    assert same.p_value > 0.05


@pytest.mark.parametrize(("n", "m"), [(5, 9), (12, 12), (2, 3)])
def test_the_statistic_is_unbiased_mmd(n, m, float64):
    x, y = normal(0, n), normal(1, m, 0.3)
    test = permutation_test(jax.random.key(0), x, y, RBF, permutations=7)
    expected = mmd(x, y, RBF, estimator="unbiased")
    np.testing.assert_allclose(test.statistic, expected, rtol=1e-10)


def test_the_null_is_the_mmd_of_relabelled_samples(float64):
    # Of all 35 choices of 3 of 7, p is the share whose MMD is as large.
    x, y = normal(0, 3, 0.4), normal(1, 4)
    union = np.concatenate([x, y])
    orders = [
        np.r_[list(chosen), [i for i in range(7) if i not in chosen]]
        for chosen in itertools.combinations(range(7), 3)
    ]
    split = jax.jit(lambda z: mmd(z[:3], z[3:], RBF, estimator="unbiased"))
    null = np.array([split(union[order]) for order in orders])
    share = (null >= null[0] - 1e-12).mean()
    test = permutation_test(jax.random.key(0), x, y, RBF, permutations=20_000)
    assert 0.1 < share < 0.9
    assert abs(test.p_value - share) < 4 * np.sqrt(share * (1 - share) / 20_000)


def test_ties_count_whatever_the_rounding():
    # Of 3 ways to split 4 into pairs one has this statistic, and its exchange, too.
    x, y = jnp.array([[0.1], [0.2]]), jnp.array([[7.3], [7.7]])
    for seed in range(2):
        test = permutation_test(
            jax.random.key(seed), x, y, lambda a, b: a @ b.T, permutations=3000
        )
        assert abs(test.p_value - 1 / 3) < 4 * np.sqrt(2 / 9 / 3000)
    same = jnp.full((5, 3), 0.1)
    assert permutation_test(jax.random.key(0), same, same, RBF).p_value == 1


def test_one_key_gives_one_test():
    x, y = normal(0, 10), normal(1, 12, 0.5)
    first, again, other = (
        permutation_test(jax.random.key(seed), x, y, RBF) for seed in (0, 0, 1)
    )
    chex.assert_trees_all_equal(first, again)
    assert first.statistic == other.statistic and first.p_value != other.p_value
    compiled = jax.jit(lambda key: permutation_test(key, x, y, RBF))
    chex.assert_trees_all_close(compiled(jax.random.key(0)), first, rtol=1e-5)


def test_the_kernel_is_called_once():
    shapes = []

    def kernel(a, b):
        shapes.append((a.shape, b.shape))
        return RBF(a, b)

    x = np.asarray(normal(0, 4), np.float64)
    permutation_test(jax.random.key(0), x, x[:3], kernel)
    assert shapes == [((7, 2), (7, 2))]


@pytest.mark.parametrize("integers", [False, True])
def test_ssim_tells_smooth_images_from_noise(integers):
    rng = np.random.default_rng(0)
    noise = rng.random((10, 8, 8, 1))
    smooth = np.broadcast_to(rng.random((12, 1, 1, 1)), (12, 8, 8, 1))
    kernel = functools.partial(ssim_kernel, window=uniform_window(4), stride=4)
    if integers:
        noise, smooth = (np.uint8(255 * z) for z in (noise, smooth))
    else:
        kernel = functools.partial(kernel, data_range=1.0)
    test = permutation_test(jax.random.key(0), noise, smooth, kernel)
    np.testing.assert_allclose(test.p_value, 1 / 501, rtol=1e-6)
    same = permutation_test(jax.random.key(0), noise[:5], noise[5:], kernel)
    assert 0.01 < same.p_value <= 1
    assert same.p_value.dtype == same.statistic.dtype == jnp.float32


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_gives_nan(bad):
    x = normal(0, 5)
    y = x.at[1, 1].set(bad)
    for pair in ((x, y), (y, x)):
        assert all(
            jnp.isnan(v)
            for v in permutation_test(jax.random.key(0), *pair, lambda a, b: a @ b.T)
        )


def test_bad_input_names_the_argument(own_errors):
    key, x, y = jax.random.key(0), normal(0, 4), normal(1, 3)
    with pytest.raises(ValueError, match=r"y must be .* n >= 2, got shape \(1, 2\)"):
        permutation_test(key, x, y[:1], RBF)
    with pytest.raises(ValueError, match=r"of one shape, got \(4, 2\) and \(3, 1\)"):
        permutation_test(key, x, y[:, :1], RBF)
    with pytest.raises(ValueError, match="permutations must be >= 1, got 0"):
        permutation_test(key, x, y, RBF, permutations=0)
    with pytest.raises(
        ValueError, match=r"kernel must give a matrix \[7, 7\] .* got shape \(7,\)"
    ):
        permutation_test(key, x, y, lambda a, b: a[:, 0])
    with pytest.raises(TypeError, match="one dtype, got float32 and int32"):
        permutation_test(key, x, y.astype(jnp.int32), RBF)
    with pytest.raises(TypeError, match="one dtype, got uint8 and int32"):
        permutation_test(key, x.astype(jnp.uint8), y.astype(jnp.int32), RBF)
