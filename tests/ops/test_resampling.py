import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssimjax.ops import resize_bicubic

SHAPES = [(16, 9, 4, 3), (12, 12, 48, 48), (13, 10, 13, 25), (7, 30, 21, 8)]


def kernel(t):
    t = abs(t)
    if t <= 1:
        return 1.5 * t**3 - 2.5 * t**2 + 1
    return -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2 if t < 2 else 0.0


def mirrored(pixels, index):
    """A pixel of a signal that repeats forwards and backwards."""
    twice = np.concatenate([pixels, pixels[::-1]])
    return twice[index % len(twice)]


def resized_signal(pixels, after):
    """The definition, number by number; every tap within reach, zero or not."""
    before = len(pixels)
    wide = max(before / after, 1)
    out = []
    for i in range(after):
        centre = (i + 0.5) * before / after - 0.5
        taps = range(int(centre - 2 * wide) - 3, int(centre + 2 * wide) + 4)
        weights = [kernel((centre - j) / wide) for j in taps]
        values = [mirrored(pixels, j) for j in taps]
        out.append(np.dot(weights, values) / sum(weights))
    return np.array(out)


def resized(image, height, width):
    down = np.stack([resized_signal(x, height) for x in image.T], 1)
    return np.stack([resized_signal(x, width) for x in down])


@pytest.mark.parametrize("shape", SHAPES)
def test_is_the_definition(shape, float64):
    before, after = shape[:2], shape[2:]
    images = np.random.default_rng(0).uniform(size=(2, *before, 3))
    found = resize_bicubic(jnp.asarray(images), after)
    assert found.shape == (2, *after, 3) and found.dtype == np.float64
    for i in range(2):
        for c in range(3):
            np.testing.assert_allclose(
                found[i, :, :, c], resized(images[i, :, :, c], *after), atol=1e-12
            )


def test_single_precision_keeps_its_digits():
    images = np.random.default_rng(0).uniform(size=(40, 32, 1)).astype(np.float32)
    found = resize_bicubic(jnp.asarray(images), (10, 8))
    assert found.dtype == np.float32
    exact = resized(images[..., 0].astype(np.float64), 10, 8)
    np.testing.assert_allclose(found[..., 0], exact, atol=3e-7)


def test_enlarging_reproduces_quadratic_polynomials_inside(float64):
    # Keys chose a = -1/2 so that his kernel does; other cubic kernels stop at lines.
    x = np.arange(20.0)
    found = resize_bicubic(jnp.asarray((x**2 - 3 * x)[None, :, None]), (1, 80))
    u = (np.arange(80) + 0.5) / 4 - 0.5
    inside = (u >= 1) & (u <= 18)
    np.testing.assert_allclose(
        found[0, inside, 0], (u**2 - 3 * u)[inside], rtol=0, atol=1e-11
    )


def test_constant_images_stay_constant_to_their_borders():
    found = resize_bicubic(jnp.full((1, 30, 22, 2), 0.7), (8, 44))
    np.testing.assert_allclose(found, 0.7, rtol=1e-6)


def test_same_size_is_the_same_image():
    images = jax.random.uniform(jax.random.key(0), (2, 9, 8, 1))
    np.testing.assert_array_equal(resize_bicubic(images, (9, 8)), images)


@pytest.mark.parametrize(("side", "margin"), [(12, 2), (96, 8)])
def test_inside_it_is_jax_image_resize(side, margin):
    # Which has Keys' kernel and widens it, too, but no pixels beyond the borders.
    images = jax.random.uniform(jax.random.key(0), (1, 48, 48, 1))
    found = resize_bicubic(images, (side, side))
    other = jax.image.resize(images, (1, side, side, 1), "cubic")
    inner = slice(margin, -margin)
    np.testing.assert_allclose(
        found[:, inner, inner], other[:, inner, inner], atol=2e-6
    )
    assert jnp.abs(found - other)[:, 0].max() > 1e-3


def test_gradient_is_the_transpose(float64):
    first, second = jax.random.split(jax.random.key(0))
    x = jax.random.normal(first, (1, 12, 8, 1))
    y = jax.random.normal(second, (1, 3, 16, 1))
    gradient = jax.grad(lambda x: (resize_bicubic(x, (3, 16)) * y).sum())(x)
    other = jax.random.normal(jax.random.key(1), x.shape)
    expected = (resize_bicubic(other, (3, 16)) * y).sum()
    np.testing.assert_allclose((gradient * other).sum(), expected, rtol=1e-10)


def test_half_precision_stays():
    found = resize_bicubic(jnp.ones((8, 8, 1), jnp.bfloat16), (2, 2))
    assert found.dtype == jnp.bfloat16


@pytest.mark.parametrize(
    ("images", "shape", "error", "message"),
    [
        (np.zeros((8, 8, 1), np.uint8), (2, 2), TypeError, "floats, got uint8"),
        (np.zeros((8, 8), np.float32), (2, 2), ValueError, r"got shape \(8, 8\)"),
        (np.zeros((0, 8, 1), np.float32), (2, 2), ValueError, "none of them empty"),
        (np.zeros((8, 8, 1), np.float32), (0, 2), ValueError, r"got \(0, 2\)"),
        (np.zeros((8, 8, 1), np.float32), (2, 2, 1), ValueError, "height, width"),
    ],
)
def test_errors(images, shape, error, message, own_errors):
    with pytest.raises(error, match=message):
        resize_bicubic(jnp.asarray(images), shape)
