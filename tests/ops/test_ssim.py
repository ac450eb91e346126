import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.data
from skimage.metrics import structural_similarity

from ssimjax import losses
from ssimjax.ops import (
    Window,
    gaussian_window,
    lw_ssim,
    ms_ssim,
    psnr,
    ssim,
    ssim_distance,
    ssim_map,
    uniform_window,
)
from ssimjax.ops.windows import UNIFORM_7


@pytest.fixture(scope="module")
def pair():
    clean = skimage.data.camera()[:200, :231].astype(np.float64)
    noise = np.random.default_rng(0).normal(0, 20, clean.shape)
    return clean, np.clip(clean + noise, 0, 255)


def skimage_valid(x, y, **options):
    """skimage's map without its border, where its padding enters."""
    size = options.pop("border")
    _, values = structural_similarity(x, y, data_range=255.0, full=True, **options)
    return values[size:-size, size:-size]


def test_gaussian_matches_skimage(pair, float64):
    x, y = pair
    target = skimage_valid(
        x, y, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, border=5
    )
    value = ssim_map(x[..., None], y[..., None], data_range=255.0)
    np.testing.assert_allclose(value[..., 0], target, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(
        ssim(x[..., None], y[..., None], data_range=255.0), target.mean(), rtol=1e-12
    )


@pytest.mark.parametrize("size", [7, 11])
def test_uniform_matches_skimage(pair, size, float64):
    x, y = pair
    target = skimage_valid(
        x, y, win_size=size, use_sample_covariance=False, border=size // 2
    )
    window = uniform_window(size)
    value = ssim_map(x[..., None], y[..., None], data_range=255.0, window=window)
    np.testing.assert_allclose(value[..., 0], target, rtol=1e-9, atol=1e-12)


def test_float32_is_within_2e_6_of_float64(pair):
    x, y = (image[..., None] for image in pair)
    single = ssim(
        jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32), data_range=255.0
    )
    with jax.enable_x64(True):
        double = ssim(x, y, data_range=255.0)
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, double, atol=2e-6)


def test_bright_flat_images_keep_their_digits(float64):
    rng = np.random.default_rng(0)
    x = 0.99 + 1e-3 * rng.standard_normal((64, 64, 1))
    y = x + 1e-3 * rng.standard_normal(x.shape)
    x, y = x.astype(np.float32), y.astype(np.float32)
    double = ssim(x.astype(np.float64), y.astype(np.float64), data_range=1.0)
    np.testing.assert_allclose(ssim(x, y, data_range=1.0), double, atol=1e-6)


def test_batches_channels_and_order_of_images():
    x = jax.random.uniform(jax.random.key(0), (2, 3, 20, 21, 3))
    y = jax.random.uniform(jax.random.key(1), (2, 3, 20, 21, 3))
    value = ssim(x, y, data_range=1.0)
    assert value.shape == (2, 3)
    np.testing.assert_allclose(value, ssim(y, x, data_range=1.0), rtol=1e-6)
    np.testing.assert_allclose(
        value[1, 2], ssim(x[1, 2], y[1, 2], data_range=1.0), rtol=1e-6
    )
    channels = [
        ssim(x[..., c : c + 1], y[..., c : c + 1], data_range=1.0) for c in range(3)
    ]
    np.testing.assert_allclose(value, sum(channels) / 3, rtol=1e-5)


def test_integers_take_the_range_of_their_dtype():
    x = jax.random.randint(jax.random.key(0), (16, 16, 1), 0, 256).astype(jnp.uint8)
    y = x[::-1]
    floats = x.astype(jnp.float32), y.astype(jnp.float32)
    chex.assert_trees_all_equal(ssim(x, y), ssim(*floats, data_range=255.0))


@pytest.mark.parametrize(
    "metric", [ssim, psnr, losses.mse, losses.lw_ssim, losses.ssim_distance]
)
def test_a_batch_may_be_empty(metric):
    x = jnp.zeros((0, 16, 16, 1))

    def total(x, y):
        return metric(x, y, data_range=1.0).sum()

    assert metric(x, x, data_range=1.0).shape == (0,)
    assert jax.grad(total)(x, x).shape == x.shape


def test_options_may_be_arrays_and_must_be_known(own_errors):
    x, y = jax.random.uniform(jax.random.key(0), (2, 16, 16, 1))
    target = ssim(x, y, data_range=1.0, exponents=(1.0, 2.0, 1.0), window=UNIFORM_7)
    value = ssim(
        x,
        y,
        data_range=np.float32(1.0),
        exponents=np.array([1.0, 2.0, 1.0]),
        window=Window([1 / 7] * 7),
    )
    assert value == target
    assert uniform_window(np.int64(7)) == UNIFORM_7
    with pytest.raises(TypeError, match="data_range must be known when"):
        jax.jit(lambda limit: ssim(x, y, data_range=limit))(1.0)


PAIRS = {
    "identical": lambda r: (r, r),
    "flat": lambda r: (jnp.full_like(r, 0.5), jnp.full_like(r, 0.25)),
    "black": lambda r: (jnp.zeros_like(r), jnp.zeros_like(r)),
    "white": lambda r: (jnp.ones_like(r), jnp.ones_like(r)),
    "anti-correlated": lambda r: (r, 1 - r),
    "random": lambda r: (r, r[::-1]),
    "one pixel": lambda r: (r, r.at[8, 8].set(0.0)),
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("exponents", [(1.0, 1.0, 1.0), (0.5, 0.2, 0.7)])
def test_first_and_second_derivatives_are_finite(name, exponents):
    x, y = PAIRS[name](jax.random.uniform(jax.random.key(0), (16, 16, 1)))

    def value(x, y):
        return ssim(x, y, data_range=1.0, window=uniform_window(5), exponents=exponents)

    def squared_gradient(x, y):
        return sum((g**2).sum() for g in jax.grad(value, (0, 1))(x, y))

    chex.assert_tree_all_finite(jax.jit(jax.value_and_grad(value, (0, 1)))(x, y))
    chex.assert_tree_all_finite(jax.jit(jax.grad(squared_gradient, (0, 1)))(x, y))


def test_derivatives_match_finite_differences(float64):
    rng = np.random.default_rng(0)
    x, y = (jnp.asarray(rng.random((7, 8, 1))) for _ in range(2))

    @jax.jit
    def value(x, y):
        return ssim(x, y, data_range=1.0, window=gaussian_window(3, sigma=1.0))

    jax.test_util.check_grads(value, (x, y), order=2, rtol=1e-5)


@pytest.mark.parametrize(
    ("shapes", "options", "message"),
    [
        (((16, 16, 1), (16, 15, 1)), {}, "x and y must have one shape"),
        (((8, 16, 1),) * 2, {}, "image is 8x16 pixels, smaller than the window"),
        (((16, 16),) * 2, {}, r"x must have the axes \[..., height, width, channels"),
        (((16, 16, 1),) * 2, {"data_range": None}, "data_range is required"),
        (
            ((16, 16, 1),) * 2,
            {"data_range": 0.0},
            "data_range must be > 0 and finite, got 0.0",
        ),
        (((16, 16, 1),) * 2, {"k1": 0.0}, "k1 must be > 0 and finite, got 0.0"),
        (((16, 16, 1),) * 2, {"k2": math.inf}, "k2 must be > 0 and finite, got inf"),
        # By which all images would be equal.
        (
            ((16, 16, 1),) * 2,
            {"data_range": math.inf},
            "data_range must be > 0 and finite, got inf",
        ),
        (
            ((16, 16, 1),) * 2,
            {"exponents": (1.0, 1.0, math.inf)},
            "exponents must be three finite numbers > 0",
        ),
    ],
)
def test_bad_input_names_the_argument(shapes, options, message, own_errors):
    x, y = (jnp.zeros(shape) for shape in shapes)
    with pytest.raises(ValueError, match=message):
        ssim(x, y, **({"data_range": 1.0} | options))


def test_what_is_no_window_or_no_weight_is_refused(own_errors):
    image = jnp.zeros((16, 16, 1))
    for metric, options in (
        (ssim, {"window": 3}),
        (ms_ssim, {"window": 3, "weights": (1.0,)}),
        (lw_ssim, {"windows": (3,)}),
        (ssim_distance, {"window": 3}),
    ):
        with pytest.raises(TypeError, match="window must be a Window, .* got 3"):
            metric(image, image, data_range=1.0, **options)
    with pytest.raises(TypeError, match="mask must hold numbers .* got complex64"):
        ssim(image, image, data_range=1.0, mask=jnp.ones((16, 16, 1), jnp.complex64))


def test_different_dtypes_are_refused():
    with pytest.raises(
        TypeError, match="x and y must be both floating-point or both integer"
    ):
        ssim(jnp.zeros((16, 16, 1)), jnp.zeros((16, 16, 1), jnp.uint8))
