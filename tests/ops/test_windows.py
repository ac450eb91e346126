import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from ssimjax.ops import (
    Window,
    gaussian_window,
    local_mean,
    pad_to_same,
    uniform_window,
)


@pytest.mark.parametrize("window", [gaussian_window(), uniform_window(4)])
@pytest.mark.parametrize("shape", [(11, 11, 1), (60, 130, 2), (3, 49, 97, 1)])
def test_local_mean_is_the_valid_correlation(window, shape, float64):
    image = np.random.default_rng(0).random(shape)
    value = local_mean(image, window)
    target = image
    for axis in (-3, -2):
        windows = np.lib.stride_tricks.sliding_window_view(
            target, len(window.taps), axis
        )
        target = windows @ np.asarray(window.taps)
    np.testing.assert_allclose(value, target, rtol=1e-12)


def test_gaussian_taps_are_scipys():
    # scipy's filter of an impulse shows its taps.
    impulse = np.eye(1, 31, 15)[0]
    taps = scipy.ndimage.gaussian_filter1d(impulse, 1.5, truncate=5 / 1.5)[10:21]
    np.testing.assert_allclose(gaussian_window(11, sigma=1.5).taps, taps, atol=1e-12)


def test_gradient_is_the_transpose():
    window = gaussian_window(5, sigma=1.0)
    image = jax.random.normal(jax.random.key(0), (70, 9, 1))
    cotangent = jax.random.normal(jax.random.key(1), (66, 5, 1))
    value, pull = jax.vjp(lambda i: local_mean(i, window), image)
    np.testing.assert_allclose(
        jnp.vdot(value, cotangent), jnp.vdot(image, pull(cotangent)[0]), rtol=1e-4
    )


@pytest.mark.parametrize("size", [0, 4, -1])
def test_gaussian_window_has_a_centre(size):
    with pytest.raises(ValueError, match=f"must be odd and >= 1, got {size}"):
        gaussian_window(size)


def test_local_mean_is_of_floats(own_errors):
    with pytest.raises(TypeError, match="image must be floats, got int32"):
        local_mean(jnp.ones((4, 4, 1), jnp.int32), uniform_window(3))


def test_windows_refuse_nonsense():
    with pytest.raises(ValueError, match="sigma must be > 0 pixels, got 0"):
        gaussian_window(3, sigma=0.0)
    with pytest.raises(ValueError, match="size of a uniform window must be >= 1"):
        uniform_window(0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 5, "truncate": 3.5}, "give size or truncate, not both"),
        ({"truncate": 0.0}, "truncate must be > 0 deviations"),
        ({"size": (3, 4)}, "must be odd"),
        ({"sigma": (1.5, -1.0)}, "sigma must be > 0"),
        ({"size": (3, 5), "sigma": (1.0, 1.0, 1.0)}, "different numbers of axes"),
    ],
)
def test_gaussian_options_are_checked(options, message, own_errors):
    with pytest.raises(ValueError, match=message):
        gaussian_window(**options)


@pytest.mark.parametrize("spatial_axes", [1, 2, 3])
def test_windows_by_axis(spatial_axes, float64):
    shape = (12, 13, 14)[:spatial_axes]
    image = np.random.default_rng(0).random((2, *shape, 2))
    sigma = (0.5, 1.0, 1.5)[:spatial_axes]
    window = gaussian_window(sigma=sigma, truncate=2.0)
    assert window.sizes(spatial_axes) == (3, 5, 7)[:spatial_axes]
    padded = pad_to_same(
        jnp.asarray(image), window, padding="symmetric", spatial_axes=spatial_axes
    )
    value = local_mean(padded, window, spatial_axes=spatial_axes)
    target = scipy.ndimage.gaussian_filter(
        image, (0, *sigma, 0), truncate=2.0, mode="reflect"
    )
    np.testing.assert_allclose(value, target, rtol=1e-10)


@pytest.mark.parametrize(
    ("padding", "numpy"),
    [("zero", "constant"), ("reflect", "reflect"), ("edge", "edge")],
)
def test_padding_is_numpys(padding, numpy):
    image = np.random.default_rng(0).random((4, 5, 1)).astype(np.float32)
    for size, margins in ((11, (5, 5)), (4, (1, 2))):
        padded = pad_to_same(jnp.asarray(image), uniform_window(size), padding=padding)
        target = np.pad(image, (margins, margins, (0, 0)), mode=numpy)
        np.testing.assert_array_equal(padded, target)


@pytest.mark.parametrize(
    "taps",
    [
        (),
        (1.0, 1.0),
        (1.5, -0.5),
        (0.5, np.nan),
        (np.inf, 0.0),
        ((0.5, 0.5), (0.5, 0.6)),
        ((0.5, 0.5), 1.0),
    ],
)
def test_taps_are_weights_of_a_mean(taps, own_errors):
    with pytest.raises(ValueError, match="taps must be finite, >= 0 and sum to 1"):
        Window(taps)


def test_taps_may_be_rounded(own_errors):
    taps = np.random.default_rng(0).random(101).astype(np.float32)
    assert Window(taps / taps.sum()).sizes(2) == (101, 101)
