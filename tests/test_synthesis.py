import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.data

from ssimjax.ops import ssim
from ssimjax.synthesis import maximally_differentiating

CAMERA = jnp.asarray(skimage.data.camera()[::8, ::8, None] / 255, jnp.float32)
compete = functools.partial(maximally_differentiating, jax.random.key(0))


@pytest.fixture(scope="module")
def images():
    return compete(CAMERA, data_range=1.0)


def test_measures_are_those_of_the_images(images):
    for i, image in enumerate(images[1:5]):
        value = ssim(CAMERA, image, data_range=1.0)
        np.testing.assert_allclose(images.metric_trace[-1, i], value, atol=1e-5)
        mse = ((CAMERA - image) ** 2).mean()
        np.testing.assert_allclose(images.mse_trace[-1, i], mse, rtol=1e-5)
    value = ssim(CAMERA, images.initial, data_range=1.0)
    np.testing.assert_allclose(images.metric_trace[0], value, atol=1e-5)
    assert images.metric_trace.shape == images.mse_trace.shape == (201, 4)


def test_one_measure_is_held_at_every_step(images):
    np.testing.assert_allclose(images.mse_trace[:, :2], 0.01, rtol=1e-5)
    held = images.metric_trace[0, 2]
    np.testing.assert_allclose(
        images.metric_trace[:, 2:], held, atol=1e-3 * (1 - held) + 1e-6
    )


def test_the_other_goes_far_and_never_back(images):
    highest, lowest = images.metric_trace[:, 0], images.metric_trace[:, 1]
    assert highest[-1] > 0.97 and lowest[-1] < 0.1
    assert (jnp.diff(highest) >= 0).all() and (jnp.diff(lowest) <= 0).all()
    highest, lowest = images.mse_trace[:, 2], images.mse_trace[:, 3]
    assert highest[-1] > 0.15 and lowest[-1] < 0.002
    assert (jnp.diff(highest) >= 0).all() and (jnp.diff(lowest) <= 0).all()


def test_pixels_stay_in_range_only_if_asked(images):
    assert all(image.min() >= 0 and image.max() <= 1 for image in images[:5])
    free = compete(255 * CAMERA, data_range=255.0, steps=10, clip=False)
    assert free.initial.min() < 0
    np.testing.assert_allclose(free.mse_trace[:, :2], 0.01 * 255**2, rtol=1e-5)
    held = free.metric_trace[0, 2]
    np.testing.assert_allclose(
        free.metric_trace[:, 2:], held, atol=1e-3 * (1 - held) + 1e-6
    )
    assert free.mse_trace[-1, 3] < free.mse_trace[0, 3] / 2


def test_same_key_same_images(images):
    again = compete(CAMERA, data_range=1.0)
    for a, b in zip(images, again):
        np.testing.assert_array_equal(a, b)
    other = maximally_differentiating(jax.random.key(1), CAMERA, data_range=1.0)
    assert not jnp.array_equal(images.initial, other.initial)


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_flat_images(level):
    images = compete(jnp.full((16, 16, 1), level), data_range=1.0, steps=30)
    assert all(jnp.isfinite(value).all() for value in images)
    np.testing.assert_allclose(images.mse_trace[:, :2], 0.01, rtol=1e-5)
    assert images.metric_trace[-1, 0] > images.metric_trace[0, 0]
    assert images.mse_trace[-1, 3] < 0.01 < images.mse_trace[-1, 2]


def test_mse_without_room_is_as_large_as_it_can_be():
    black = jnp.zeros((16, 16, 1))
    images = compete(black, data_range=1.0, mse=0.99, steps=30)
    assert set(np.unique(images.initial)) == {0.0, 1.0}
    np.testing.assert_allclose(
        images.mse_trace[:, :2], images.initial.mean(), rtol=1e-5
    )


def test_constant_metric_moves_nothing_it_cannot():
    images = compete(
        CAMERA,
        data_range=1.0,
        metric=lambda x, y: 0 * (x + y).sum((-3, -2, -1)),
        steps=3,
    )
    assert all(jnp.isfinite(value).all() for value in images)
    np.testing.assert_array_equal(images.highest_metric, images.initial)


def test_batches_colours_and_other_metrics():
    def error(x, y):
        return jnp.abs(x - y).mean((-3, -2, -1))

    photograph = jnp.asarray(skimage.data.astronaut()[::16, ::16] / 255, jnp.float32)
    batch = jnp.stack([photograph, photograph[::-1]])
    run = jax.jit(lambda x: compete(x, data_range=1.0, metric=error, steps=20))
    images = run(batch)
    assert images.initial.shape == images.lowest_mse.shape == batch.shape
    assert images.metric_trace.shape == (21, 4, 2)
    first, last = images.metric_trace[0], images.metric_trace[-1]
    assert (last[0] > first[0]).all() and (last[1] < first[1]).all()
    np.testing.assert_allclose(last[2:], first[2:], rtol=1e-3)
    np.testing.assert_allclose(images.mse_trace[:, :2], 0.01, rtol=1e-5)


@pytest.mark.parametrize(
    "image, changes, message",
    [
        (CAMERA[..., 0], {}, r"\[..., height, width, channels\], got \(64, 64\)"),
        (CAMERA, {"data_range": 0.0}, "data_range must be > 0 and finite, got 0.0"),
        (CAMERA, {"mse": 0.0}, r"mse must lie in \(0, 1.0\), got 0.0"),
        (CAMERA, {"mse": 1.5}, r"mse must lie in \(0, 1.0\), got 1.5"),
        (CAMERA, {"steps": 0}, "steps must be >= 1, got 0"),
        (CAMERA, {"rate": 0.6}, r"rate must lie in \(0, 0.5\], got 0.6"),
        (CAMERA + 1, {}, r"image must lie in \[0, 1.0\], got values from 1.0"),
        (CAMERA * jnp.nan, {}, r"image must lie in \[0, 1.0\], got values from nan"),
    ],
)
@pytest.mark.usefixtures("own_errors")
def test_errors(image, changes, message):
    with pytest.raises(ValueError, match=message):
        compete(image, **{"data_range": 1.0, **changes})


@pytest.mark.usefixtures("own_errors")
def test_the_range_may_be_a_number_of_jax():
    target = compete(CAMERA, data_range=1.0, steps=2)
    for number in (np.float32(1), jnp.float32(1)):
        images = compete(CAMERA, data_range=number, steps=2)
        np.testing.assert_array_equal(images.lowest_mse, target.lowest_mse)


@pytest.mark.parametrize("mse", [0.25, 0.3])
def test_the_mse_is_held_where_most_pixels_have_no_room(mse):
    binary = jnp.round(jax.random.uniform(jax.random.key(7), (32, 32, 1)))
    for seed in range(3):
        images = maximally_differentiating(
            jax.random.key(seed), binary, data_range=1.0, mse=mse, steps=30
        )
        np.testing.assert_allclose(images.mse_trace[0], mse, rtol=1e-5)
        np.testing.assert_allclose(images.mse_trace[:, :2], mse, rtol=2e-5)
