"""What holds for the whole family: bounds, symmetry, invariance, precision, dtypes."""

import functools

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssimjax.ops import (
    cw_ssim,
    gaussian_window,
    lw_ssim,
    ms_ssim,
    psnr,
    ssim,
    ssim_components,
    ssim_distance,
    ssim_distance_map,
    to_luma,
    uniform_window,
)
from tests.ops.pairs import check_derivatives

WINDOW = gaussian_window(5)
SIMILARITIES = {
    "ssim": functools.partial(ssim, window=WINDOW),
    "sample": functools.partial(ssim, window=uniform_window(4), sample_covariance=True),
    "reflect": functools.partial(ssim, window=WINDOW, padding="reflect"),
    "powers": functools.partial(ssim, window=WINDOW, exponents=(0.5, 1.5, 2.0)),
    "ms_ssim": functools.partial(ms_ssim, window=WINDOW, weights=(0.4, 0.6)),
    "lw_ssim": lw_ssim,
}
MAXIMUM = {"lw_ssim": 2.0}
JITTED = {
    name: jax.jit(functools.partial(metric, data_range=1.0))
    for name, metric in SIMILARITIES.items()
}
DISTANCE = jax.jit(functools.partial(ssim_distance, data_range=1.0, norm="mean"))
SETTINGS = hypothesis.settings(max_examples=25, deadline=None)


@st.composite
def image_pairs(draw):
    """Two images, from equal to opposite, of any brightness and contrast."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x, noise = rng.random((2, 16, 17, 3))
    kind = draw(st.sampled_from(["noise", "negative", "flat", "shift", "equal"]))
    amount = draw(st.floats(0, 1))
    y = {
        "noise": (1 - amount) * x + amount * noise,
        "negative": 1 - x,
        "flat": np.full_like(x, amount),
        "shift": np.roll(x, 1, 0),
        "equal": x,
    }[kind]
    contrast = draw(st.floats(0, 1))
    offset = draw(st.floats(0, 1)) * (1 - contrast)
    return tuple(jnp.float32(contrast * image + offset) for image in (x, y))


@SETTINGS
@hypothesis.given(pair=image_pairs(), name=st.sampled_from(sorted(SIMILARITIES)))
def test_bounds_identity_and_symmetry(pair, name):
    x, y = pair
    metric, top = JITTED[name], MAXIMUM.get(name, 1.0)
    value = metric(x, y)
    assert -top - 1e-5 <= value <= top + 1e-5
    np.testing.assert_allclose(metric(x, x), top, atol=1e-5)
    np.testing.assert_allclose(value, metric(y, x), atol=1e-5)
    order = [2, 0, 1]
    np.testing.assert_allclose(metric(x[..., order], y[..., order]), value, atol=1e-5)


@SETTINGS
@hypothesis.given(pair=image_pairs())
def test_the_distance_is_a_symmetric_one(pair):
    x, y = pair
    # Squares are accurate to a few units of rounding, distances to its root.
    assert 0 <= DISTANCE(x, x) < 1e-3
    assert 0 <= DISTANCE(x, y) <= 2
    np.testing.assert_allclose(DISTANCE(x, y) ** 2, DISTANCE(y, x) ** 2, atol=1e-6)


@SETTINGS
@hypothesis.given(pair=image_pairs(), shift=st.floats(-2, 2))
def test_structure_does_not_see_a_common_shift(pair, shift):
    components = functools.partial(ssim_components, data_range=1.0, window=WINDOW)
    before, after = components(*pair), components(*(i + shift for i in pair))
    np.testing.assert_allclose(after.structure, before.structure, atol=2e-3)
    np.testing.assert_allclose(after.contrast, before.contrast, atol=2e-3)


@pytest.mark.parametrize("name", SIMILARITIES)
def test_order_of_a_batch_and_broadcasting(name):
    metric = JITTED[name]
    x, y = jax.random.uniform(jax.random.key(0), (2, 4, 20, 21, 1))
    value = metric(x, y)
    # Of noise, windows of both signs cancel: means are as accurate as their terms.
    close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-7)
    close(metric(x[::-1], y[::-1]), value[::-1])
    table = metric(x[:, None], y[:3])
    assert table.shape == (4, 3)
    close(table.diagonal(), value[:3])
    close(metric(x[1], y)[2], table[1, 2])


def test_components_multiply_to_ssim(float64):
    x, y = np.random.default_rng(0).random((2, 20, 21, 3))
    maps = ssim_components(x, y, data_range=1.0)
    product = maps.luminance * maps.contrast * maps.structure
    np.testing.assert_allclose(product.mean(), ssim(x, y, data_range=1.0), rtol=1e-10)


@pytest.mark.parametrize("level", [0.02, 0.5, 0.97])
@pytest.mark.parametrize("contrast", [0.0, 0.003, 0.03])
@pytest.mark.parametrize(("dtype", "bar"), [("bfloat16", 2e-3), ("float16", 5e-4)])
def test_half_precision_is_as_exact_as_its_input(level, contrast, dtype, bar):
    x, noise = np.random.default_rng(0).random((2, 64, 64, 1)) - 0.5
    x = level + contrast * x
    x, y = (jnp.asarray(i, dtype) for i in (x, x + contrast * noise))
    for name, metric in SIMILARITIES.items():
        half = metric(x, y, data_range=1.0)
        assert half.dtype == jnp.float32
        with jax.enable_x64(True):
            exact = metric(x.astype(jnp.float64), y.astype(jnp.float64), data_range=1.0)
            assert exact.dtype == jnp.float64
        exact = float(exact)
        assert abs(half - exact) < bar, name


@pytest.mark.parametrize("level", [0.01, 0.5, 0.99])
def test_float32_is_exact_at_any_brightness(level):
    x, noise = np.random.default_rng(1).standard_normal((2, 64, 64, 1)) * 1e-3
    x, y = np.float32(level + x), np.float32(level + x + noise)
    for name, metric in SIMILARITIES.items():
        with jax.enable_x64(True):
            exact = float(metric(np.float64(x), np.float64(y), data_range=1.0))
        assert abs(metric(x, y, data_range=1.0) - exact) < 1e-6, name


def test_dtypes_mix_as_they_do_in_training():
    x = jax.random.uniform(jax.random.key(0), (16, 16, 1))
    assert ssim(x.astype(jnp.bfloat16), x, data_range=1.0).dtype == jnp.float32
    with pytest.raises(TypeError, match="integer x and y must have one dtype"):
        ssim(jnp.zeros((16, 16, 1), jnp.uint8), jnp.zeros((16, 16, 1), jnp.uint16))
    wide = jnp.array([[[0]], [[65535]]], jnp.uint16)
    assert psnr(wide, wide[::-1]) == 0  # 65535 is the range.


def test_luma_is_bt601():
    x, y = np.random.default_rng(0).random((2, 20, 20, 3)).astype(np.float32)
    weights = np.array([0.299, 0.587, 0.114], np.float32)
    np.testing.assert_allclose(to_luma(x)[..., 0], x @ weights, rtol=1e-6)
    np.testing.assert_allclose(
        ssim(x, y, data_range=1.0, luma=True),
        ssim((x @ weights)[..., None], (y @ weights)[..., None], data_range=1.0),
        rtol=1e-4,
    )


def test_lw_ssim_is_equation_6(float64):
    x, y = np.random.default_rng(0).random((2, 20, 21, 1))
    levels = []
    for size in (3, 5, 7, 11):
        maps = ssim_components(x, y, data_range=1.0, window=uniform_window(size))
        s = np.asarray(maps.structure)
        cs = maps.contrast**1.5 * np.sign(s) * abs(s) ** 0.5
        levels.append(float((maps.luminance**2 + cs).mean()))
    value = lw_ssim(
        x, y, data_range=1.0, weights=(1.0, 2.0, 3.0, 4.0), exponents=(2.0, 1.5, 0.5)
    )
    np.testing.assert_allclose(value, np.dot(levels, [1, 2, 3, 4]) / 4, rtol=1e-6)


def test_distance_is_equations_1_and_2_by_loops(float64):
    x, y = np.random.default_rng(0).random((2, 10, 9, 1))
    options = {"data_range": 1.0, "window": uniform_window(7)}
    centred = ssim_distance_map(x, y, form="centred", **options)
    full = ssim_distance_map(x, y, form="uncentred", **options)
    for i in range(4):
        for j in range(3):
            a, b = (image[i : i + 7, j : j + 7, 0] for image in (x, y))
            light = (2 * a.mean() * b.mean() + 1e-4) / (
                a.mean() ** 2 + b.mean() ** 2 + 1e-4
            )
            a, b = a - a.mean(), b - b.mean()
            square = ((a - b) ** 2).sum()
            square /= (a**2).sum() + (b**2).sum() + 48 * 9e-4
            np.testing.assert_allclose(centred[i, j, 0] ** 2, square, rtol=1e-9)
            np.testing.assert_allclose(
                full[i, j, 0] ** 2, 1 - light + square, rtol=1e-9
            )
    np.testing.assert_allclose(
        ssim_distance(x, y, **options), np.linalg.norm(full), rtol=1e-9
    )
    np.testing.assert_allclose(
        ssim_distance(x, y, norm="mean", **options) ** 2, (full**2).mean(), rtol=1e-9
    )


def test_psnr():
    x, y = np.random.default_rng(0).random((2, 12, 12, 1)).astype(np.float32)
    target = -10 * np.log10(np.mean((x - y)[2:-2, 2:-2] ** 2))
    np.testing.assert_allclose(psnr(x, y, data_range=1.0, crop=2), target, rtol=1e-5)
    assert psnr(x, x, data_range=1.0) == jnp.inf


DIFFERENTIATED = {
    "powers": functools.partial(ssim, exponents=(0.5, 0.2, 0.7)),
    "components": lambda *a, **o: sum(c.sum() for c in ssim_components(*a, **o)),
    "lw_ssim": functools.partial(lw_ssim, exponents=(0.5, 0.2, 0.7)),
    "distance": ssim_distance,
    "distance map": lambda *a, **o: ssim_distance_map(*a, form="centred", **o).sum(),
}


@pytest.mark.parametrize("name", DIFFERENTIATED)
def test_derivatives_are_finite(name):
    check_derivatives(functools.partial(DIFFERENTIATED[name], data_range=1.0))


def test_derivatives_of_psnr_are_finite():
    # Its value is infinite where images are equal.
    check_derivatives(functools.partial(psnr, data_range=1.0), finite_value=False)


@pytest.mark.parametrize(
    ("shapes", "options", "message"),
    [
        (((2, 16, 16, 1), (3, 16, 16, 1)), {}, "leading axes of x and y do not broad"),
        (((16, 16, 1),) * 2, {"crop": 3}, "crop must be >= 0 and leave something"),
        (((16, 16, 1),) * 2, {"padding": "same"}, "padding must be one of"),
        (((16, 16, 1),) * 2, {"spatial_axes": 4}, "spatial_axes must be 1, 2 or 3"),
        (((16, 16, 1),) * 2, {"luma": True}, "luma needs 3 channels"),
        (((16, 16, 1),) * 2, {"downsample": "half"}, "downsample must be 'matlab'"),
        (((16, 16, 1),) * 2, {"exponents": (0.0, 1.0, 1.0)}, "exponents must be three"),
        (((0, 16, 1),) * 2, {}, "x and y have an empty axis"),
        (
            ((16, 16, 1),) * 2,
            {"window": gaussian_window((3, 3, 3))},
            "window has weights for 3 axes, but the images have 2",
        ),
        (
            ((16, 16, 1),) * 2,
            {"window": uniform_window(1), "sample_covariance": True},
            "a window of one pixel has no sample covariance",
        ),
    ],
)
def test_bad_input_says_what_is_allowed(shapes, options, message, own_errors):
    x, y = (jnp.zeros(shape) for shape in shapes)
    with pytest.raises(ValueError, match=message):
        ssim(x, y, data_range=1.0, **options)


def test_cw_ssim_is_exported_and_one_at_identity():
    x = jax.random.uniform(jax.random.key(0), (64, 64, 1))
    np.testing.assert_allclose(cw_ssim(x, x, data_range=1.0), 1, rtol=1e-5)


def two_tone():
    image = np.full((40, 40, 1), 0.3, np.float32)
    image[:, 17:] = 0.9
    return image


def test_flat_windows_far_from_the_mean_of_an_image_have_no_deviation():
    x = two_tone()
    y = np.random.default_rng(0).random(x.shape, np.float32)
    maps = ssim_components(x, y, data_range=1.0)
    with jax.enable_x64(True):
        exact = ssim_components(x.astype(float), y.astype(float), data_range=1.0)
    for found, target in zip(maps, exact):
        np.testing.assert_allclose(found, target, atol=2e-3)
    for same in ssim_components(x, x, data_range=1.0):
        np.testing.assert_array_equal(same, np.ones_like(same))
    exponents = (2.0, 3.0, 1.0)
    assert ssim(x, x, data_range=1.0, exponents=exponents) == 1
