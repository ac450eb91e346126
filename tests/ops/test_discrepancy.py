import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.data

from ssimjax.ops.discrepancy import Grams, cmmd, gram_cmmd, gram_mmd, grams, mmd
from ssimjax.ops.euclidean import imq_kernel, rbf_kernel
from ssimjax.ops.kernels import centred, ssim_kernel
from ssimjax.ops.windows import uniform_window

FORMS = ("exponential", "energy", "squared", "product", "sum")
RBF = functools.partial(rbf_kernel, bandwidths=(1.0, 3.0))
SSIM = functools.partial(ssim_kernel, data_range=1.0, window=uniform_window(4))


def samples(n=5, m=7, shape=(4,)):
    rng = np.random.default_rng(0)
    return rng.random((n, *shape)), 0.2 + rng.random((m, *shape))


def test_mmd_matches_its_sums(float64):
    x, y = samples()
    k = np.asarray(RBF(np.concatenate([x, y]), np.concatenate([x, y])))
    xx, yy, xy = k[:5, :5], k[5:, 5:], k[:5, 5:]
    biased = xx.sum() / 25 + yy.sum() / 49 - 2 * xy.sum() / 35
    np.testing.assert_allclose(mmd(x, y, RBF), biased, rtol=1e-12)
    np.testing.assert_allclose(
        mmd(x, y, RBF, estimator="root"), np.sqrt(biased), rtol=1e-12
    )
    unbiased = (
        sum(xx[i, j] for i in range(5) for j in range(5) if i != j) / 20
        + sum(yy[i, j] for i in range(7) for j in range(7) if i != j) / 42
        - 2 * xy.mean()
    )
    np.testing.assert_allclose(
        mmd(x, y, RBF, estimator="unbiased"), unbiased, rtol=1e-12
    )


def test_linear_kernel_compares_means(float64):
    x, y = samples()
    distance = np.linalg.norm(x.mean(0) - y.mean(0))
    value = mmd(x, y, lambda a, b: a @ b.T, estimator="root")
    np.testing.assert_allclose(value, distance, rtol=1e-12)


def test_unbiased_mmd_is_0_on_average_over_permutations(float64):
    x, y = samples(6, 6)
    union = jnp.asarray(np.concatenate([x, y]))
    gram = RBF(union, union)

    @jax.jit
    @jax.vmap
    def of_split(order):
        k = gram[order][:, order]
        split = Grams(k[:6, :6], k[6:, 6:], k[:6, 6:])
        return gram_mmd(split, estimator="unbiased"), gram_mmd(split)

    keys = jax.random.split(jax.random.key(0), 20_000)
    orders = jax.vmap(lambda key: jax.random.permutation(key, 12))(keys)
    unbiased, biased = of_split(orders)
    error = unbiased.std() / np.sqrt(len(orders))
    assert abs(unbiased.mean()) < 4 * error
    assert biased.mean() > 40 * error
    assert biased.min() >= 0


@pytest.mark.parametrize("form", FORMS)
def test_centring_over_the_union_changes_no_mmd(form, float64):
    x, y = samples(5, 7, (6, 6, 1))
    union = np.concatenate([x, y])

    def split(gram):
        return Grams(gram[:5, :5], gram[5:, 5:], gram[:5, 5:])

    gram = SSIM(union, union, form=form)
    value = mmd(x, y, functools.partial(SSIM, form=form))
    assert value > 1e-3
    np.testing.assert_allclose(gram_mmd(split(centred(gram))), value, rtol=1e-10)
    # Within each sample it removes the means that MMD compares.
    xx, yy, xy = split(gram)
    h, k = np.eye(5) - 1 / 5, np.eye(7) - 1 / 7
    within = Grams(centred(xx), centred(yy), h @ xy @ k)
    np.testing.assert_allclose(gram_mmd(within), 0.0, atol=1e-15)


def test_energy_form_is_half_the_energy_distance(float64):
    x, y = samples(5, 7, (6, 6, 1))
    d = grams(x, y, lambda a, b: -2 * SSIM(a, b, form="energy"))
    energy_distance = 2 * d.xy.mean() - d.xx.mean() - d.yy.mean()
    value = mmd(x, y, functools.partial(SSIM, form="energy"))
    np.testing.assert_allclose(value, energy_distance / 2, rtol=1e-12)


def different_samples_of_equal_features(side=16, contrast=0.3):
    """A checkerboard and its negative; stripes and their negative.

    Under every window of even size all four have the same mean and variance. Of a and
    -a against any z, cs(z, a) + cs(z, -a) = 2 C2 / (var_z + var_a + C2): whatever a is.
    """
    rows, columns = np.indices((side, side))
    checkerboard = contrast * (-1.0) ** (rows + columns)
    stripes = contrast * (-1.0) ** columns
    x = 0.5 + np.stack([checkerboard, -checkerboard])
    y = 0.5 + np.stack([stripes, -stripes])
    return x[..., None], y[..., None]


@pytest.mark.parametrize("stride", [1, 8])
@pytest.mark.parametrize("form", FORMS)
def test_squared_form_is_not_universal(form, stride, float64):
    x, y = different_samples_of_equal_features()
    kernel = functools.partial(
        ssim_kernel, data_range=1.0, window=uniform_window(8), stride=stride, form=form
    )
    value = mmd(x, y, kernel)
    if form in ("exponential", "energy"):
        assert value > 0.1
    else:
        assert abs(value) < 1e-14
    # Each of the samples is told from other samples all the same.
    assert mmd(x, y[:1], kernel) > 0.1


def test_cmmd_matches_dense_matrices(float64):
    x, y = samples()
    x_given, y_given = samples(5, 7, (2,))
    kd, ks, kds = map(np.asarray, grams(x_given, y_given, RBF))
    ld, ls, lds = map(np.asarray, grams(x, y, imq_kernel))
    for ridge in (0.03, 2.0):
        inv_d = np.linalg.inv(kd + ridge * np.eye(5))
        inv_s = np.linalg.inv(ks + ridge * np.eye(7))
        target = (
            np.trace(kd @ inv_d @ ld @ inv_d)
            + np.trace(ks @ inv_s @ ls @ inv_s)
            - 2 * np.trace(kds.T @ inv_d @ lds @ inv_s)
        )
        value = cmmd(x, y, x_given, y_given, imq_kernel, RBF, ridge=ridge)
        np.testing.assert_allclose(value, target, rtol=1e-10)
        swapped = cmmd(y, x, y_given, x_given, imq_kernel, RBF, ridge=ridge)
        np.testing.assert_allclose(swapped, target, rtol=1e-10)


def test_cmmd_is_the_norm_of_a_difference_of_embeddings(float64):
    # With linear kernels the embedding is a matrix, that of ridge regression.
    x, y = samples()
    x_given, y_given = samples(5, 7, (2,))

    def regression(outcome, given):
        return outcome.T @ given @ np.linalg.inv(given.T @ given + 0.5 * np.eye(2))

    difference = regression(x, x_given) - regression(y, y_given)
    value = cmmd(
        x, y, x_given, y_given, lambda a, b: a @ b.T, lambda a, b: a @ b.T, ridge=0.5
    )
    np.testing.assert_allclose(value, (difference**2).sum(), rtol=1e-10)


def test_cmmd_sees_what_mmd_does_not():
    # Two labels whose outcomes are exchanged: the same outcomes, other conditionals.
    labels = jnp.repeat(jnp.eye(2), 4, axis=0)
    x = jax.random.normal(jax.random.key(0), (8, 3)) + 5 * labels[:, :1]
    swapped = labels[:, ::-1]
    np.testing.assert_allclose(mmd(x, x, RBF), 0.0, atol=1e-6)
    assert cmmd(x, x, labels, swapped, RBF, RBF) > 0.1
    np.testing.assert_allclose(cmmd(x, x, labels, labels, RBF, RBF), 0.0, atol=1e-5)


def degenerate():
    """Identical, flat, black, white, anti-correlated, random, one pixel different."""
    r = jax.random.uniform(jax.random.key(0), (6, 6, 1))
    images = [r, r, 1 - r, r[::-1], r.at[3, 3].add(1e-3), r.at[3, 3].set(0.0)]
    return jnp.stack(images + [jnp.full_like(r, level) for level in (0.0, 0.5, 1.0)])


def check_derivatives(value, x, y):
    def squared_gradient(x, y):
        gradients = jax.grad(value, (0, 1))(x, y)
        return sum((g**2).sum() for g in gradients), gradients

    found, gradients = jax.jit(jax.grad(squared_gradient, (0, 1), has_aux=True))(x, y)
    chex.assert_tree_all_finite((found, gradients))
    return gradients


@pytest.mark.parametrize("form", ["energy", "exponential"])
def test_derivatives_of_mmd_are_finite(form):
    x, kernel = degenerate(), functools.partial(SSIM, form=form)
    value = functools.partial(mmd, kernel=kernel, estimator="root")
    check_derivatives(value, x, x[:5])
    # Equal samples: MMD² is 0 but for rounding.
    assert value(x, x) == 0.0
    chex.assert_trees_all_equal(jax.jit(jax.grad(value))(x, x), jnp.zeros_like(x))


def test_derivatives_of_cmmd_are_finite():
    x, labels = degenerate().reshape(9, -1), jax.nn.one_hot(jnp.arange(9) % 3, 3)

    def value(x, y):
        return cmmd(x, y, labels, labels[::-1], imq_kernel, RBF)

    gradients = check_derivatives(value, x, x)
    mapped = jax.vmap(jax.grad(value, (0, 1)))(jnp.stack([x, x]), jnp.stack([x, x]))
    chex.assert_trees_all_close(
        jax.tree.map(lambda leaf: leaf[1], mapped), gradients, rtol=1e-2, atol=1e-4
    )


@pytest.mark.parametrize("estimator", ["biased", "unbiased", "root"])
def test_derivatives_match_finite_differences(estimator, float64):
    x, y = (jnp.asarray(z) for z in samples(2, 3))
    value = jax.jit(functools.partial(mmd, kernel=RBF, estimator=estimator))
    jax.test_util.check_grads(value, (x, y), order=2, rtol=1e-4)
    given = (jnp.asarray(z) for z in samples(2, 3, (2,)))
    value = jax.jit(lambda *z: cmmd(*z, RBF, imq_kernel))
    jax.test_util.check_grads(value, (x, y, *given), order=1, rtol=1e-4)


def test_mmd_of_photographs_tells_two_scenes_apart():
    def blocks(image):
        rows = image[:512, :512, None].astype(np.float32).reshape(32, 16, 32, 16)
        return rows.transpose(0, 2, 1, 3).reshape(-1, 16, 16, 1)[::8]

    camera = blocks(skimage.data.camera())
    brick = blocks(skimage.data.brick())
    kernel = functools.partial(
        ssim_kernel, data_range=255.0, window=uniform_window(8), stride=8
    )
    rng = np.random.default_rng(0)
    halves = rng.permutation(camera).reshape(2, -1, 16, 16, 1)
    same = mmd(*halves, kernel, estimator="unbiased")
    different = mmd(camera[:64], brick[:64], kernel, estimator="unbiased")
    assert different > 10 * abs(same)


def test_bad_input_names_the_argument(own_errors):
    x, y = (jnp.asarray(z) for z in samples(1, 3))
    given = jnp.ones((2, 2))
    with pytest.raises(ValueError, match="unbiased needs n, m >= 2 .* got 1 and 3"):
        mmd(x, y, RBF, estimator="unbiased")
    with pytest.raises(ValueError, match="estimator must be one of .* got 'mean'"):
        mmd(x, y, RBF, estimator="mean")
    with pytest.raises(ValueError, match=r"kernel must give matrices .* shapes \(1,\)"):
        mmd(x, y, lambda a, b: a[:, 0])
    with pytest.raises(ValueError, match="matrices must give matrices xx"):
        gram_mmd(Grams(jnp.eye(2), jnp.eye(3), jnp.ones((3, 2))))
    with pytest.raises(ValueError, match="ridge must be > 0, got 0.0"):
        cmmd(x, y, x, y, RBF, RBF, ridge=0.0)
    with pytest.raises(ValueError, match="outcomes and conditions must be of samples"):
        cmmd(x, y, given, y, RBF, lambda a, b: a[:, :1] @ b[:, :1].T)
    matrices = Grams(jnp.eye(2), jnp.eye(3), jnp.ones((2, 3)))
    with pytest.raises(ValueError, match="conditions must give matrices xx"):
        gram_cmmd(matrices, matrices._replace(xx=jnp.ones((2, 3))))
