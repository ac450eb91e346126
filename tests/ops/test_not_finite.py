"""What is not finite stays so, and stays where it is: a broken image is not perfect."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssimjax import losses, ops

IMAGES = jax.random.uniform(jax.random.key(0), (3, 24, 24, 3))
OTHERS = jax.random.uniform(jax.random.key(1), (3, 24, 24, 3))
OF_TWO = {"weights": (0.5, 0.5)}
METRICS = {
    "ssim": ops.ssim,
    "ssim of powers": functools.partial(ops.ssim, exponents=(0.5, 0.5, 1.5)),
    "ms_ssim": functools.partial(ops.ms_ssim, **OF_TWO),
    "lw_ssim": ops.lw_ssim,
    "iw_ssim": functools.partial(ops.iw_ssim, **OF_TWO),
    "cw_ssim": functools.partial(ops.cw_ssim, levels=1),
    "ssim_distance": ops.ssim_distance,
    "psnr": ops.psnr,
    "mean contrast": lambda *pair, data_range: ops.ssim_components(
        *pair, data_range=data_range
    ).contrast.mean((1, 2, 3)),
    "mean structure": lambda *pair, data_range: ops.ssim_components(
        *pair, data_range=data_range
    ).structure.mean((1, 2, 3)),
    "losses.ssim": losses.ssim,
    "losses.ms_ssim": functools.partial(losses.ms_ssim, **OF_TWO),
    "losses.ms_ssim_per_pixel": functools.partial(losses.ms_ssim_per_pixel, **OF_TWO),
    "losses.lw_ssim": losses.lw_ssim,
    "losses.ssim_distance": functools.partial(losses.ssim_distance, squared=False),
    "losses.bce": losses.bce,
}
KERNELS = {
    "rbf": functools.partial(ops.rbf_kernel, bandwidths=(1.0,)),
    "imq": ops.imq_kernel,
    "energy": ops.energy_kernel,
    "ssim distance": functools.partial(ops.ssim_distance_matrix, data_range=1.0),
} | {
    f"ssim {form}": functools.partial(ops.ssim_kernel, form=form, data_range=1.0)
    for form in ("exponential", "energy", "squared", "product", "sum")
}


def broken(kind):
    """Images of which the second is not finite."""
    if kind == "all NaN":
        return IMAGES.at[1].set(jnp.nan)
    return IMAGES.at[1, 12, 12, 1].set(jnp.nan if kind == "NaN" else jnp.inf)


@pytest.mark.parametrize("kind", ["all NaN", "NaN", "inf"])
@pytest.mark.parametrize("name", METRICS)
def test_a_metric_is_nan_for_that_image_alone(name, kind):
    metric = functools.partial(METRICS[name], data_range=1.0)
    # The mean squared error of an infinite pixel is infinite.
    expected = -np.inf if (name, kind) == ("psnr", "inf") else np.nan
    for sound, pair in [
        ((IMAGES, OTHERS), (broken(kind), OTHERS)),
        ((OTHERS, IMAGES), (OTHERS, broken(kind))),
    ]:
        target = np.asarray(metric(*sound)).copy()
        target[1] = expected
        np.testing.assert_allclose(metric(*pair), target, rtol=1e-5)


@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_is_nan_in_the_rows_and_columns_of_that_image(name):
    kernel = KERNELS[name]
    target = np.asarray(kernel(IMAGES, OTHERS))
    rows = np.asarray(kernel(broken("NaN"), OTHERS))
    columns = np.asarray(kernel(OTHERS, broken("NaN")))
    assert np.isnan(rows[1]).all() and np.isnan(columns[:, 1]).all()
    np.testing.assert_allclose(rows[[0, 2]], target[[0, 2]], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        columns[:, [0, 2]], target.T[:, [0, 2]], rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("estimator", ["root", "biased", "unbiased"])
@pytest.mark.parametrize("name", KERNELS)
def test_the_discrepancy_of_a_broken_sample_is_nan(name, estimator):
    value = ops.mmd(broken("NaN"), OTHERS, KERNELS[name], estimator=estimator)
    assert jnp.isnan(value)
    assert jnp.isfinite(ops.mmd(IMAGES, OTHERS, KERNELS[name], estimator=estimator))


def test_the_permutation_test_of_a_broken_sample_is_nan():
    test = ops.permutation_test(
        jax.random.key(0), broken("NaN"), OTHERS, ops.energy_kernel
    )
    assert jnp.isnan(test.statistic) and jnp.isnan(test.p_value)


def test_nearest_is_never_nan_while_there_is_something_else():
    points = np.random.default_rng(0).random((60, 5)).astype(np.float32)
    queries = np.random.default_rng(1).random((4, 5)).astype(np.float32)
    distances = np.linalg.norm(queries[:, None] - points[None], axis=-1)
    distances[:, 40] = np.inf
    points[40], queries[3] = np.nan, np.nan
    found = ops.nearest(queries, points, count=2)
    expected = np.argsort(distances, 1)[:, :2]
    np.testing.assert_array_equal(found.indices[:3], expected[:3])
    np.testing.assert_allclose(
        found.distances[:3], np.sort(distances, 1)[:3, :2], rtol=1e-5
    )
    assert np.isnan(found.distances[3]).all()
    every = ops.nearest(queries[:1], points[38:42], count=4)
    assert every.indices[0, -1] == 2 and np.isnan(every.distances[0, -1])


def test_an_outlier_leaves_other_distances_as_they_are():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 4)), rng.normal(size=(50, 4)) + 1
    y[0] = 1e3
    target = np.linalg.norm(x[:, None] - y[None], axis=-1)
    value = -2 * np.asarray(
        ops.energy_kernel(x.astype(np.float32), y.astype(np.float32))
    )
    np.testing.assert_allclose(value, target, rtol=0.02)


def test_energy_of_small_units_is_that_of_large_ones():
    x = jnp.array([[0.0], [1.0], [3.0]])
    small = ops.energy_kernel(1e-9 * x, 1e-9 * x)
    np.testing.assert_allclose(1e9 * small, ops.energy_kernel(x, x), rtol=1e-5)
