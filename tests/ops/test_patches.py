import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from ssimjax.ops.patches import window_mean_and_variance

CASES = [
    ((3, 3), (1, 1), ((1, 1), (1, 1))),
    ((2, 4), (2, 3), ((0, 1), (2, 0))),
    ((1, 5), (1, 2), ((0, 0), (0, 0))),
    ((7, 6), (1, 1), ((0, 0), (0, 0))),
]


def directly(mean, variance, kernel, strides, pads):
    """By a loop over windows."""
    margins = ((0, 0), *pads, (0, 0))
    mean, variance = np.pad(mean, margins), np.pad(variance, margins)
    starts = [
        range(0, size - taps + 1, step)
        for size, taps, step in zip(mean.shape[1:3], kernel, strides)
    ]
    results = []
    for i, j in itertools.product(*starts):
        window = np.s_[:, i : i + kernel[0], j : j + kernel[1]]
        within = variance[window].mean((1, 2))
        results.append((mean[window].mean((1, 2)), mean[window].var((1, 2)) + within))
    shape = (len(mean), len(starts[0]), len(starts[1]), mean.shape[-1])
    return [np.stack(part, 1).reshape(shape) for part in zip(*results)]


def fields():
    rng = np.random.default_rng(0)
    return rng.normal(size=(2, 7, 6, 3)), rng.random((2, 7, 6, 3))


@pytest.mark.parametrize("within", [True, False])
@pytest.mark.parametrize(("kernel", "strides", "pads"), CASES)
def test_windows_of_means_and_variances(kernel, strides, pads, within, float64):
    mean, variance = fields()
    variance *= within
    actual = window_mean_and_variance(
        jnp.asarray(mean),
        jnp.asarray(variance) if within else None,
        kernel,
        strides,
        pads,
    )
    expected = directly(mean, variance, kernel, strides, pads)
    for one, other in zip(actual, expected):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("kernel", "strides", "pads"), CASES)
def test_derivatives_are_those_of_the_value(kernel, strides, pads, float64):
    @jax.jit
    def function(mean, variance=None):
        return window_mean_and_variance(mean, variance, kernel, strides, pads)

    arrays = tuple(map(jnp.asarray, fields()))
    check_grads(function, arrays, order=2, atol=1e-6, rtol=1e-6)
    check_grads(function, arrays[:1], order=2, atol=1e-6, rtol=1e-6)


def test_gradient_of_an_image_far_from_zero():
    rng = np.random.default_rng(0)
    offsets = np.reshape([300, -70], (2, 1, 1, 1))
    x = jnp.asarray(rng.random((2, 8, 8, 3)) + offsets, jnp.float32)

    weights = rng.standard_normal((2, 6, 6, 3))

    def gradient(x):
        def total(x):
            _, variance = window_mean_and_variance(
                x, None, (3, 3), (1, 1), ((0, 0), (0, 0))
            )
            return (weights.astype(x.dtype) * variance).sum()

        return jax.grad(total)(x)

    single = gradient(x)
    with jax.enable_x64():
        exact = gradient(jnp.asarray(np.asarray(x), jnp.float64))
        # Products with such pixels, whose offset was not subtracted, would be 1e-4 off.
        np.testing.assert_allclose(single, exact, atol=1e-6 * float(abs(exact).max()))
