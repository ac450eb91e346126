import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssimjax.attacks import by_name, fgsm, gradient_health, random_noise
from ssimjax.attacks.registry import NAMES

WEIGHTS = jax.random.normal(jax.random.key(0), (12, 4))
# Of the attacks that take many.
FEW = {"square": {"queries": 20}} | {
    name: {"steps": 3} for name in NAMES if "pgd" in name
}


def linear(images):
    return images.reshape(len(images), -1) @ WEIGHTS


def test_linear_model_moves_as_equation_20_says():
    images = jax.random.uniform(jax.random.key(1), (5, 2, 2, 3), minval=0.2, maxval=0.8)
    labels = jnp.array([0, 1, 2, 3, 0])
    # For softmax cross-entropy, the gradient in x is W (softmax - onehot).
    slope = jax.nn.softmax(linear(images)) - jax.nn.one_hot(labels, 4)
    target = images + 0.1 * jnp.sign(slope @ WEIGHTS.T).reshape(images.shape)
    value = jax.jit(lambda e: fgsm(linear, images, labels, epsilon=e))(0.1)
    np.testing.assert_allclose(value, target, rtol=1e-6)


def test_stays_in_range_and_within_epsilon():
    images = jax.random.uniform(jax.random.key(1), (5, 2, 2, 3))
    value = fgsm(linear, images, jnp.zeros(5, int), epsilon=0.3)
    assert value.min() >= 0 and value.max() <= 1
    assert jnp.abs(value - images).max() <= 0.3 + 1e-6
    assert jnp.array_equal(fgsm(linear, images, jnp.zeros(5, int), epsilon=0.0), images)


def test_each_image_is_attacked_as_if_alone():
    images = jax.random.uniform(jax.random.key(1), (5, 2, 2, 3))
    labels = jnp.array([0, 1, 2, 3, 0])
    together = fgsm(linear, images, labels, epsilon=0.1)
    alone = fgsm(linear, images[2:3], labels[2:3], epsilon=0.1)
    np.testing.assert_allclose(together[2:3], alone, rtol=1e-6)


def test_zero_gradient_moves_nothing():
    images = jnp.full((1, 2, 2, 3), 0.5)
    value = fgsm(lambda x: 0 * linear(x), images, jnp.array([0]), epsilon=0.1)
    assert jnp.array_equal(value, images)


def test_gradient_that_is_not_finite_moves_nothing():
    # The root has an infinite slope at 0, which the product with 0 makes NaN.
    images = jnp.full((1, 2, 2, 3), 0.5)
    images = images.at[0, 0, 0, 0].set(0.0)
    value = fgsm(
        lambda x: linear(x) + 0 * jnp.sqrt(x).sum((1, 2, 3))[:, None],
        images,
        jnp.array([0]),
        epsilon=0.1,
    )
    assert value[0, 0, 0, 0] == 0
    moved = value.at[0, 0, 0, 0].set(0.4) - images.at[0, 0, 0, 0].set(0.5)
    np.testing.assert_allclose(jnp.abs(moved), 0.1, rtol=1e-5)


def test_bad_arguments():
    images, labels = jnp.zeros((1, 2, 2, 3)), jnp.array([0])
    with pytest.raises(ValueError, match="epsilon must be >= 0, got -0.1"):
        fgsm(linear, images, labels, epsilon=-0.1)
    with pytest.raises(ValueError, match="clip_range must be"):
        fgsm(linear, images, labels, epsilon=0.1, clip_range=(1.0, 0.0))
    with pytest.raises(ValueError, match="labels must be from 0 to 3, got .* 4 to 4"):
        fgsm(linear, images, labels + 4, epsilon=0.1)


def test_one_label_is_not_for_all_images(own_errors):
    images, label = jnp.zeros((3, 2, 2, 3)), jnp.array([0])
    for function in (functools.partial(fgsm, epsilon=0.1), gradient_health):
        with pytest.raises(ValueError, match=r"labels must be \[3\], .* got \(1,\)"):
            function(linear, images, label)


@pytest.mark.parametrize("number", [np.float32, np.asarray, jnp.float32])
def test_every_known_radius_is_checked(number, own_errors):
    images = jnp.full((1, 2, 2, 3), 0.5)
    known = number(-0.1)
    with pytest.raises(ValueError, match="epsilon must be >= 0, got -0.1"):
        random_noise(jax.random.key(0), images, epsilon=known)
    with pytest.raises(ValueError, match="epsilon must be >= 0, got -0.1"):
        jax.jit(lambda x: fgsm(linear, x, jnp.array([0]), epsilon=known))(images)


def test_integers_are_attacked_as_floats(own_errors):
    integers = jax.random.randint(jax.random.key(1), (2, 2, 2, 3), 0, 256)
    integers, labels = integers.astype(jnp.uint8), jnp.array([0, 1])
    floats = integers.astype(jnp.float32)
    health = gradient_health(linear, integers, labels)
    np.testing.assert_array_equal(health, gradient_health(linear, floats, labels))
    for name in ("noise", "fgsm"):
        attack = by_name(name, clip_range=(0.0, 255.0))
        found, target = (
            attack(jax.random.key(0), linear, images, labels, epsilon=8.0)
            for images in (integers, floats)
        )
        np.testing.assert_array_equal(found, target)
        assert 0 < jnp.abs(found - floats).max() <= 8


@pytest.mark.parametrize("name", NAMES)
def test_pixels_outside_of_their_range_are_refused(name, own_errors):
    attack, labels = by_name(name), jnp.array([0, 1])
    bytes_ = np.full((2, 2, 2, 3), 7, np.uint8)
    standardised = jnp.full((2, 2, 2, 3), 0.5).at[0, 0].set(-1.5)
    for images in (bytes_, standardised):
        with pytest.raises(ValueError, match=r"images must be within clip_range=\(0"):
            attack(jax.random.key(0), linear, images, labels, epsilon=0.1)
    within = by_name(name, clip_range=(0.0, 255.0), **FEW.get(name, {}))
    found = within(jax.random.key(0), linear, bytes_, labels, epsilon=2.0)
    assert jnp.abs(found - 7).max() <= 2.0 and found.dtype == jnp.float32


@pytest.mark.parametrize("name", NAMES)
def test_images_and_not_the_radius_decide_the_precision(name, float64):
    images, labels = np.full((2, 2, 2, 3), 0.5, np.float32), jnp.array([0, 1])
    attack = by_name(name, **FEW.get(name, {}))
    for radius in (np.float64(0.1), jnp.asarray(0.1, jnp.float64)):
        found = attack(jax.random.key(0), linear, images, labels, epsilon=radius)
        assert found.dtype == jnp.float32
