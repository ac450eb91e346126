"""Masks: normalised convolution, blind to what is masked."""

import functools

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssimjax import losses
from ssimjax.ops import (
    gaussian_window,
    lw_ssim,
    ms_ssim,
    ms_ssim_map,
    psnr,
    ssim,
    ssim_components,
    ssim_distance,
    ssim_map,
)
from tests.ops.pairs import check_derivatives

WINDOW = gaussian_window(5)
METRICS = {
    "ssim": functools.partial(ssim, window=WINDOW),
    "zero": functools.partial(ssim, window=WINDOW, padding="zero"),
    "symmetric": functools.partial(ssim, window=WINDOW, padding="symmetric", crop=1),
    "sample": functools.partial(ssim, window=WINDOW, sample_covariance=True),
    "ms_ssim": functools.partial(ms_ssim, window=WINDOW, weights=(0.5, 0.5)),
    "joint": functools.partial(
        ms_ssim, window=WINDOW, weights=(0.5, 0.5), channels="joint", odd_sizes="zero"
    ),
    "map": lambda x, y, **o: ms_ssim_map(x, y, weights=(1.0, 1.0), **o).mean(
        (-3, -2, -1)
    ),
    "lw_ssim": lw_ssim,
    "distance": ssim_distance,
    "psnr": psnr,
    "mse": losses.mse,
    "bce": losses.bce,
    "loss": functools.partial(losses.ms_ssim, window=WINDOW, weights=(0.5, 0.5)),
}
X, Y = jax.random.uniform(jax.random.key(0), (2, 24, 23, 3))
# Alike enough that no scale is negative, where the gradient is 0.
Y = 0.5 * (X + Y)


@pytest.mark.parametrize("name", METRICS)
def test_ones_change_nothing(name):
    metric = METRICS[name]
    for channels in (1, 3):
        mask = jnp.ones((24, 23, channels))
        np.testing.assert_allclose(
            metric(X, Y, data_range=1.0, mask=mask),
            metric(X, Y, data_range=1.0),
            rtol=2e-5,
        )


@pytest.mark.parametrize("name", METRICS)
def test_masked_pixels_have_no_influence_even_as_nan(name):
    metric = jax.jit(functools.partial(METRICS[name], data_range=1.0))
    mask = jax.random.bernoulli(jax.random.key(1), 0.7, (24, 23, 1))
    mask = mask.at[:12, :9].set(False)
    target = metric(X, Y, mask=mask)
    x = jnp.where(mask, X, jnp.nan)
    y = jnp.where(mask, Y, 1e6)
    assert np.isfinite(target)
    np.testing.assert_array_equal(metric(x, y, mask=mask), target)
    gradient = jax.grad(lambda x: metric(x, y, mask=mask))(x)
    assert np.isfinite(gradient).all()
    assert not gradient[~jnp.broadcast_to(mask, x.shape)].any()
    assert gradient.any()


@hypothesis.settings(max_examples=20, deadline=None)
@hypothesis.given(seed=st.integers(0, 2**31), share=st.floats(0.05, 1.0))
def test_normalised_convolution_by_loops(seed, share):
    rng = np.random.default_rng(seed)
    x, y = rng.random((2, 8, 9, 1))
    mask = rng.random((8, 9, 1)) * (rng.random((8, 9, 1)) < share)
    mask[4, 4] = 1.0
    taps = np.asarray(WINDOW.taps)
    total = weight = 0.0
    for i in range(4):
        for j in range(5):
            w = np.outer(taps, taps) * mask[i : i + 5, j : j + 5, 0]
            if w.sum() == 0:
                continue
            w, seen = w / w.sum(), w.sum()
            a, b = (image[i : i + 5, j : j + 5, 0] for image in (x, y))
            ma, mb = (w * a).sum(), (w * b).sum()
            va, vb = (w * (a - ma) ** 2).sum(), (w * (b - mb) ** 2).sum()
            cov = (w * (a - ma) * (b - mb)).sum()
            value = (2 * ma * mb + 1e-4) / (ma**2 + mb**2 + 1e-4)
            value *= (2 * cov + 9e-4) / (va + vb + 9e-4)
            total, weight = total + seen * value, weight + seen
    with jax.enable_x64(True):
        value = ssim(x, y, data_range=1.0, window=WINDOW, mask=mask)
    np.testing.assert_allclose(value, total / weight, rtol=1e-9, atol=1e-12)


def test_windows_that_see_nothing_are_blank():
    mask = jnp.ones((24, 23, 1)).at[:, :10].set(0)
    values = ssim_map(X, X, data_range=1.0, window=WINDOW, mask=mask)
    assert not values[:, :6].any()
    np.testing.assert_allclose(values[:, 6:], 1, rtol=1e-6)
    maps = ssim_components(X, Y, data_range=1.0, window=WINDOW, mask=mask)
    assert not any(values[:, :6].any() for values in maps)


def test_masks_broadcast_and_may_be_weights_integers_or_booleans():
    masks = jax.random.bernoulli(jax.random.key(2), 0.5, (4, 24, 23, 1))
    values = ssim(X, Y, data_range=1.0, mask=masks)
    assert values.shape == (4,)
    for mask, value in zip(masks, values):
        for same in (mask, mask.astype(int), 7.0 * mask):
            alone = ssim(X, Y, data_range=1.0, mask=same)
            np.testing.assert_allclose(alone, value, rtol=1e-5)


@pytest.mark.parametrize("name", ["zero", "joint", "map", "distance", "psnr"])
def test_weights_have_no_unit(name):
    metric = functools.partial(METRICS[name], X, Y, data_range=1.0)
    mask = jax.random.uniform(jax.random.key(4), (24, 23, 1))
    np.testing.assert_allclose(metric(mask=255 * mask), metric(mask=mask), rtol=1e-5)
    # Borders of zeros have the largest weight, where all weigh the same as without.
    np.testing.assert_allclose(
        metric(mask=255 * jnp.ones_like(mask)), metric(), rtol=2e-5
    )


def test_channels_of_ms_ssim_have_the_weights_of_their_masks():
    x, y = jax.random.uniform(jax.random.key(0), (2, 12, 12, 2))
    y = y.at[..., 0].set(x[..., 0])
    options = {"data_range": 1.0, "window": WINDOW, "weights": (1.0,)}
    mask = jnp.ones((12, 12, 2)).at[..., 1].set(0.1)
    one, other = (ms_ssim(x[..., [c]], y[..., [c]], **options) for c in (0, 1))
    assert other < one - 0.5
    value = ms_ssim(x, y, mask=mask, **options)
    np.testing.assert_allclose(value, (one + 0.1 * other) / 1.1, rtol=1e-5)


def test_a_border_of_zeros_has_the_largest_weight_of_its_image():
    x, y = jax.random.uniform(jax.random.key(0), (2, 9, 9, 1))
    heavy = jnp.ones((9, 9, 1)).at[4, 4].set(10.0)  # Not under the corner's window.
    bordered = functools.partial(jnp.pad, pad_width=((2, 2), (2, 2), (0, 0)))
    mask = jnp.pad(heavy, ((2, 2), (2, 2), (0, 0)), constant_values=10.0)
    value = ssim_map(x, y, data_range=1.0, window=WINDOW, padding="zero", mask=heavy)
    target = ssim_map(
        bordered(x), bordered(y), data_range=1.0, window=WINDOW, mask=mask
    )
    np.testing.assert_allclose(value, target, rtol=1e-5)
    light = ssim_map(x, y, data_range=1.0, window=WINDOW, padding="zero")
    assert abs(value - light)[0, 0, 0] > 0.01


def test_range_of_masked_pixels_is_not_checked(own_errors):
    mask = jnp.ones((24, 23, 1)).at[3, 4].set(0)
    options = {"data_range": 1.0, "check_range": True, "mask": mask}
    target = ssim(X, Y, **options)
    for pixel in (7.0, jnp.nan):
        assert ssim(X.at[3, 4].set(pixel), Y, **options) == target
    with pytest.raises(ValueError, match=r"x must lie in \[0, 1.0\], got .* to 7.0"):
        ssim(X.at[3, 5].set(7.0), Y, **options)


def test_downsampling_takes_weighted_means():
    x, y = jax.random.uniform(jax.random.key(3), (2, 512, 514, 1))
    mask = jnp.ones_like(x).at[:100].set(0)
    poisoned = x.at[:100].set(jnp.nan)
    for rule in ("matlab", "average_pool"):
        options = {"data_range": 1.0, "downsample": rule}
        value = ssim(poisoned, y, mask=mask, **options)
        np.testing.assert_allclose(value, ssim(x, y, mask=mask, **options))
        cut = ssim(x[100:], y[100:], downsample=None, data_range=1.0)
        assert abs(value - cut) < 0.1


def test_derivatives_are_finite_under_a_mask():
    mask = jnp.ones((24, 25, 1)).at[:, :12].set(0)
    for metric in (METRICS["ssim"], METRICS["ms_ssim"], METRICS["distance"]):
        check_derivatives(functools.partial(metric, data_range=1.0, mask=mask))


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.ones((24, 23)), r"mask must have the shape \[..., 24, 23, 1 or 3\]"),
        (np.ones((24, 23, 2)), "mask must have the shape"),
        (np.zeros((24, 23, 1)), "mask is zero at every pixel of an image"),
        (-np.ones((24, 23, 1)), "mask must hold finite weights >= 0"),
        (np.full((24, 23, 1), np.nan), "mask must hold finite weights >= 0, got"),
        (np.full((24, 23, 1), np.inf), "mask must hold finite weights >= 0, got"),
    ],
)
def test_bad_masks_say_what_is_wrong(mask, message, own_errors):
    with pytest.raises(ValueError, match=message):
        ssim(X, Y, data_range=1.0, mask=mask)


def test_an_empty_mask_gives_nan_where_it_cannot_raise():
    value = jax.jit(lambda m: ssim(X, Y, data_range=1.0, mask=m))(
        jnp.zeros((24, 23, 1))
    )
    assert np.isnan(value)


@pytest.mark.parametrize("channels", ["separate", "joint"])
def test_channels_that_a_coarser_scale_drops_do_not_count(channels):
    x, y = jax.random.uniform(jax.random.key(0), (2, 23, 23, 3))
    mask = jnp.zeros((23, 23, 3)).at[-1, :, 0].set(1.0)
    options = {"weights": (0.5, 0.5), "odd_sizes": "drop", "channels": channels}

    def of(x, y, mask):
        return ms_ssim(x, y, mask=mask, data_range=1.0, window=WINDOW, **options)

    assert jnp.isnan(of(x, x, mask))
    more = mask.at[:, :, 2].set(1.0)
    np.testing.assert_allclose(of(x, x, more), 1.0, rtol=1e-6)
    if channels == "separate":
        only = of(x[..., 2:], y[..., 2:], jnp.ones((23, 23, 1)))
        np.testing.assert_allclose(of(x, y, more), only, rtol=1e-5)
    for some in (mask, more):
        error = losses.ms_ssim(
            x, y, mask=some, data_range=1.0, window=WINDOW, **options
        )
        np.testing.assert_allclose(error, 1 - of(x, y, some), rtol=1e-5)
    if channels == "separate":
        assert jnp.isfinite(jax.grad(of)(x, y, more)).all()
