import io

import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest
import scipy.ndimage

from ssimjax import corruptions
from ssimjax.data import photograph_patches
from ssimjax.training import root_key

KEY = jax.random.key(0)
IMAGES = photograph_patches(size=32, train_count=10, test_count=10, color=True)
PHOTOGRAPHS = jnp.asarray(IMAGES.train.images, jnp.float32) / 255
GRAY = jnp.full((4, 64, 64, 3), 0.5)


@pytest.mark.parametrize("name", corruptions.NAMES)
def test_severity_grows_and_the_range_holds(name):
    errors = []
    for severity in range(1, 6):
        noisy = corruptions.corrupt(KEY, PHOTOGRAPHS, name, severity=severity)
        assert noisy.shape == PHOTOGRAPHS.shape and noisy.dtype == jnp.float32
        assert noisy.min() >= 0 and noisy.max() <= 1
        errors.append(float(((noisy - PHOTOGRAPHS) ** 2).mean()))
    assert errors == sorted(errors) and errors[0] > 1e-5
    again = corruptions.corrupt(KEY, PHOTOGRAPHS, name, severity=5)
    np.testing.assert_array_equal(again, noisy)
    other = corruptions.corrupt(jax.random.key(1), PHOTOGRAPHS, name, severity=5)
    assert bool((other != noisy).any()) is name.endswith("noise")


def test_shot_noise_takes_keys_of_any_kind():
    flat, usual, other = (
        corruptions.shot_noise(key, GRAY)
        for key in (
            root_key(3),
            jax.random.key(3, impl="threefry2x32"),
            jax.random.key(3, impl="rbg"),
        )
    )
    np.testing.assert_array_equal(flat, usual)
    np.testing.assert_allclose(other.std(), usual.std(), rtol=0.05)


def test_noise_has_the_stated_spread():
    for severity in (1, 3, 5):
        gaussian = corruptions.gaussian_noise(KEY, GRAY, severity=severity)
        sigma = (0.04, 0.06, 0.08, 0.09, 0.10)[severity - 1]
        np.testing.assert_allclose((gaussian - GRAY).std(), sigma, rtol=0.02)
        speckle = corruptions.speckle_noise(KEY, GRAY, severity=severity)
        sigma = 0.5 * (0.06, 0.10, 0.12, 0.16, 0.20)[severity - 1]
        np.testing.assert_allclose((speckle - GRAY).std(), sigma, rtol=0.02)
        shot = corruptions.shot_noise(KEY, GRAY, severity=severity)
        photons = (500, 250, 100, 75, 50)[severity - 1]
        np.testing.assert_allclose(
            (shot - GRAY).std(), (0.5 / photons) ** 0.5, rtol=0.02
        )
        np.testing.assert_allclose(shot.mean(), 0.5, atol=0.002)
        impulse = corruptions.impulse_noise(KEY, GRAY, severity=severity)
        share = (0.01, 0.02, 0.03, 0.05, 0.07)[severity - 1]
        for value in (0.0, 1.0):
            np.testing.assert_allclose((impulse == value).mean(), share / 2, rtol=0.15)
        assert set(np.unique(impulse)) == {0.0, 0.5, 1.0}


@pytest.mark.parametrize("severity", [1, 5])
def test_blur_is_scipy_s(severity):
    sigma = (0.4, 0.6, 0.7, 0.8, 1.0)[severity - 1]
    target = scipy.ndimage.gaussian_filter(
        np.asarray(PHOTOGRAPHS, np.float64), (0, sigma, sigma, 0), mode="nearest"
    )
    value = corruptions.gaussian_blur(PHOTOGRAPHS, severity=severity)
    np.testing.assert_allclose(value, target, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_pillow_s(channels):
    images = PHOTOGRAPHS[..., :channels]
    value = corruptions.jpeg(images, severity=2)
    pixels = np.round(255 * np.asarray(images[3])).astype(np.uint8)
    file = io.BytesIO()
    squeezed = pixels[..., 0] if channels == 1 else pixels
    PIL.Image.fromarray(squeezed).save(file, "JPEG", quality=65)
    target = np.asarray(PIL.Image.open(file)).reshape(pixels.shape)
    np.testing.assert_array_equal(np.round(255 * np.asarray(value[3])), target)
    # What resizing leaves outside the range does not wrap around.
    overshoot = corruptions.jpeg(jnp.full_like(images[3], 1.01))
    np.testing.assert_array_equal(overshoot, corruptions.jpeg(0 * images[3] + 1))


def test_bad_arguments(own_errors):
    for severity in (0, 2.5, 6):
        with pytest.raises(
            ValueError,
            match=f"severity must be a whole number from 1 to 5, got {severity}",
        ):
            corruptions.gaussian_noise(KEY, GRAY, severity=severity)
    with pytest.raises(ValueError, match="name must be one of .*'jpeg'.*got 'fog'"):
        corruptions.corrupt(KEY, GRAY, "fog")
    with pytest.raises(TypeError, match=r"images must be floats in \[0, 1\], got int"):
        corruptions.jpeg(np.ones((8, 8, 1), int))
    with pytest.raises(ValueError, match="images must have 1 or 3 channels, got 2"):
        corruptions.jpeg(GRAY[..., :2])
