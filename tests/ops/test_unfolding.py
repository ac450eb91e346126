import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from ssimjax.ops.unfolding import unfold

CASES = [((3, 2), (1, 1)), ((1, 4), (2, 1)), ((5, 3), (3, 2)), ((7, 9), (1, 1))]


def plain(x, kernel, *, strides):
    reach = [
        (side - size) // stride * stride + 1
        for side, size, stride in zip(x.shape[-2:], kernel, strides)
    ]
    taps = [
        x[..., u : u + reach[0] : strides[0], v : v + reach[1] : strides[1]]
        for u in range(kernel[0])
        for v in range(kernel[1])
    ]
    return jnp.stack(taps).reshape(*kernel, *taps[0].shape)


@pytest.mark.parametrize(("kernel", "strides"), CASES)
def test_taps_are_those_of_sliding_windows(kernel, strides):
    x = np.random.default_rng(0).random((2, 3, 7, 9))
    views = sliding_window_view(x, kernel, (2, 3))[:, :, :: strides[0], :: strides[1]]
    value = unfold(jnp.asarray(x, jnp.float32), kernel, strides=strides)
    np.testing.assert_array_equal(
        value, np.moveaxis(views, (4, 5), (0, 1)).astype(np.float32)
    )


@pytest.mark.parametrize(("kernel", "strides"), CASES)
def test_derivatives_are_those_of_slices(kernel, strides, float64):
    x = jnp.asarray(np.random.default_rng(1).random((2, 7, 9)))

    def derivatives(function):
        def total(x):
            return jnp.sin(3 * function(x, kernel, strides=strides)).sum()

        def along(x):
            return jnp.cos(jax.grad(total)(x)).sum()

        return (
            jax.grad(total)(x),
            jax.grad(along)(x),
            jax.jvp(jax.grad(total), (x,), (jnp.cos(x),))[1],
        )

    for value, target in zip(derivatives(unfold), derivatives(plain)):
        np.testing.assert_allclose(value, target, rtol=1e-12)


@pytest.mark.parametrize("axis", [0, 1, 3])
def test_vmap(axis):
    x = jnp.asarray(np.random.default_rng(2).random((2, 7, 9)), jnp.float32)
    stacked = jnp.stack([x, 2 * x], axis)

    def total(x):
        return (unfold(x, (3, 2), strides=(2, 1)) ** 2).sum()

    values = jax.vmap(lambda x: unfold(x, (3, 2), strides=(2, 1)), axis)(stacked)
    np.testing.assert_array_equal(values[1], unfold(2 * x, (3, 2), strides=(2, 1)))
    gradients = jax.vmap(jax.grad(total), axis)(stacked)
    np.testing.assert_allclose(gradients[1], jax.grad(total)(2 * x), rtol=1e-6)
