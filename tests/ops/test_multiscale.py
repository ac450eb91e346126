import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssimjax.ops import MS_SSIM_WEIGHTS, gaussian_window, ms_ssim, ms_ssim_map, ssim
from ssimjax.ops.images import prepare
from ssimjax.ops.scales import halved
from tests.ops.pairs import check_derivatives

SMALL = {"data_range": 1.0, "window": gaussian_window(5), "weights": (0.3, 0.7)}
X, Y = jax.random.uniform(jax.random.key(0), (2, 33, 30, 3))


def test_weights_are_the_published_ones():
    assert MS_SSIM_WEIGHTS == (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def test_one_scale_is_ssim():
    np.testing.assert_allclose(
        ms_ssim(X, Y, data_range=1.0, weights=(1.0,), negatives="raw"),
        ssim(X, Y, data_range=1.0),
        rtol=1e-5,
    )


@pytest.mark.parametrize(
    ("rule", "target"),
    [
        ("symmetric", [0.5, 2.5, 4.0]),
        ("zero", [0.0, 1.5, 3.5]),
        ("replicate", [0.0, 1.5, 3.5]),
        ("drop", [0.5, 2.5]),
    ],
)
def test_odd_sides_are_halved_by_each_rule(rule, target):
    x = jnp.arange(5.0)[:, None]
    pair = prepare(x, x + 1, data_range=1.0, spatial_axes=1)
    small = halved(pair, odd_sizes=rule, spatial_axes=1)
    np.testing.assert_array_equal(small.x[:, 0], target)
    even = prepare(x[:4], x[:4], data_range=1.0, spatial_axes=1)
    even = halved(even, odd_sizes=rule, spatial_axes=1)
    np.testing.assert_array_equal(even.x[:, 0], [0.5, 2.5])


def test_a_zero_border_counts_only_under_its_rule():
    # Ones: means at the border are 1/2 with counted zeros, and 1 by all other rules.
    x = jnp.ones((5, 1))
    pair = prepare(x, x, data_range=1.0, spatial_axes=1)
    for rule in ("symmetric", "replicate", "drop"):
        assert (halved(pair, odd_sizes=rule, spatial_axes=1).x == 1).all()
    small = halved(pair, odd_sizes="zero", spatial_axes=1)
    np.testing.assert_array_equal(small.x[:, 0], [0.5, 1.0, 1.0])


def test_four_treatments_of_negatives():
    value = {
        n: float(ms_ssim(X, 1 - X, **SMALL, negatives=n))
        for n in ("relu", "floor", "shift", "raw")
    }
    assert value["relu"] == 0
    assert 0 <= value["floor"] < value["shift"] < 0.6
    assert value["raw"] > 0.3  # Two negative factors.
    gray, raw = X[..., :1], {"data_range": 1.0, "negatives": "raw"}
    negative = ms_ssim(gray, 1 - gray, weights=(1.0,), **raw)
    assert negative < -0.5
    squared = ms_ssim(gray, 1 - gray, weights=(2.0,), **raw)
    np.testing.assert_allclose(squared, negative**2, rtol=1e-6)
    for n in value:
        np.testing.assert_allclose(ms_ssim(X, X, **SMALL, negatives=n), 1, rtol=1e-6)


def test_joint_means_differ_from_separate_ones():
    dark = X * jnp.array([[[1.0, 0.1, 0.01]]])
    noisy = jnp.clip(dark + 0.3 * (Y - 0.5), 0, 1)
    joint = ms_ssim(dark, noisy, **SMALL, channels="joint")
    separate = ms_ssim(dark, noisy, **SMALL)
    assert abs(joint - separate) > 1e-3
    gray = functools.partial(ms_ssim, dark[..., :1], noisy[..., :1], **SMALL)
    np.testing.assert_allclose(gray(channels="joint"), gray(), rtol=1e-6)


def test_map_of_one_scale_is_ssim_of_same_size():
    x = jnp.ones((16, 16, 1)) * 0.5
    values = ms_ssim_map(X, Y, data_range=1.0, weights=(1.0,))
    assert values.shape == X.shape
    np.testing.assert_allclose(
        values.mean(), ssim(X, Y, data_range=1.0, padding="symmetric"), rtol=1e-5
    )
    np.testing.assert_allclose(ms_ssim_map(x, x, data_range=1.0), 1, rtol=1e-6)


@pytest.mark.parametrize("side", [33, 48, 96])
def test_map_of_small_images_is_local(side):
    x = jax.random.uniform(jax.random.key(1), (side, side, 1))
    values = ms_ssim_map(x, x.at[2, 2].set(0.0), data_range=1.0, weights=(1.0, 1.0))
    assert values.shape == x.shape and values[2, 2] < 0.999
    np.testing.assert_allclose(values[20:, 20:], 1, rtol=1e-6)


@pytest.mark.parametrize("negatives", ["relu", "floor", "shift", "raw"])
def test_derivatives_are_finite(negatives):
    check_derivatives(functools.partial(ms_ssim, **SMALL, negatives=negatives))


def test_derivatives_of_the_map_are_finite():
    check_derivatives(
        lambda x, y: ms_ssim_map(
            x, y, data_range=1.0, weights=(0.5, 0.5, 0.5), negatives="relu"
        ).sum()
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "5 scales are too many for images of 96x96 .* 11x11: 4 fit"),
        ({"weights": ()}, "weights must be one number >= 0 per scale"),
        ({"weights": (-1.0,)}, "weights must be one number >= 0 per scale"),
        ({"weights": (1.0,), "negatives": "abs"}, "negatives must be one of"),
        ({"weights": (1.0,), "odd_sizes": "cut"}, "odd_sizes must be one of"),
        ({"weights": (1.0,), "channels": "rgb"}, "channels must be one of"),
    ],
)
def test_bad_options_say_what_is_allowed(options, message, own_errors):
    x = jnp.zeros((96, 96, 1))
    with pytest.raises(ValueError, match=message):
        ms_ssim(x, x, data_range=1.0, **options)
    if "weights" in options and len(options) > 1 and "negatives" not in options:
        return
    with pytest.raises(ValueError, match="padding must be 'zero'"):
        ms_ssim_map(x, x, data_range=1.0, padding="valid")


def test_no_scale_is_empty(own_errors):
    x = jnp.zeros((3, 3, 1))
    options = {"padding": "symmetric", "odd_sizes": "drop", "data_range": 1.0}
    with pytest.raises(ValueError, match="4 scales are too many .* 3x3 .*: 2 fit"):
        ms_ssim(x, x, **options, weights=(1.0,) * 4)
    assert ms_ssim(x, x, **options, weights=(1.0, 1.0)) == 1


def test_161_pixels_hold_five_scales():
    x = jnp.zeros((161, 161, 1))
    np.testing.assert_allclose(ms_ssim(x, x, data_range=1.0), 1, rtol=1e-6)
    with pytest.raises(ValueError, match="4 fit"):
        ms_ssim(x[1:], x[1:], data_range=1.0)
