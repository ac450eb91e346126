import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.color

from ssimjax.ops import rgb_to_ycbcr, to_luma, ycbcr_to_rgb

# BT.601: 8-bit levels of black, white and the primaries.
LEVELS = {
    (0, 0, 0): (16, 128, 128),
    (1, 1, 1): (235, 128, 128),
    (1, 0, 0): (81, 90, 240),
    (0, 1, 0): (145, 54, 34),
    (0, 0, 1): (41, 240, 110),
}


@pytest.mark.parametrize("rgb", LEVELS)
def test_levels_of_the_standard(rgb):
    found = 255 * rgb_to_ycbcr(jnp.asarray(rgb, jnp.float32)[None, None])[0, 0]
    np.testing.assert_array_equal(np.rint(found), LEVELS[rgb])


def test_is_that_of_scikit_image():
    images = np.random.default_rng(0).uniform(size=(2, 5, 4, 3)).astype(np.float32)
    expected = skimage.color.rgb2ycbcr(images)
    found = rgb_to_ycbcr(jnp.asarray(images))
    np.testing.assert_allclose(255 * found, expected, atol=2e-4)


def test_inverse():
    images = jax.random.uniform(jax.random.key(0), (2, 5, 4, 3))
    np.testing.assert_allclose(ycbcr_to_rgb(rgb_to_ycbcr(images)), images, atol=2e-6)


def test_luma_has_the_weights_of_full_range_luma():
    images = jax.random.uniform(jax.random.key(0), (5, 4, 3))
    found = rgb_to_ycbcr(images)[..., :1]
    np.testing.assert_allclose(found, (16 + 219 * to_luma(images)) / 255, atol=1e-5)


@pytest.mark.parametrize("function", [rgb_to_ycbcr, ycbcr_to_rgb])
def test_channels(function, own_errors):
    with pytest.raises(ValueError, match=r"3 channels, got shape \(4, 4, 1\)"):
        function(jnp.ones((4, 4, 1)))
    with pytest.raises(TypeError, match="images must be floats, got uint8"):
        function(jnp.ones((4, 4, 3), jnp.uint8))
