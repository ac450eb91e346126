import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssimjax.data import Arrays, Squares, decode, random_resized_crop, resized

KEY = jax.random.key(0)


def ramp(height, width):
    """Pixels that say where they are: row in the first channel, column in the next."""
    rows, columns = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    return jnp.asarray(np.stack([rows, columns], -1), jnp.float32)


def test_crops_are_rectangles_of_the_image():
    images = jnp.broadcast_to(ramp(60, 90), (500, 60, 90, 2))
    crops = random_resized_crop(KEY, images, side=16)
    assert crops.shape == (500, 16, 16, 2)
    # Away from the borders, whose pixels are means of what is inside, ramps stay ramps
    # but for what sampling a triangle at whole pixels leaves.
    inner = crops[:, 2:-2, 2:-2]
    steps = jnp.diff(inner, axis=1)[..., 0], jnp.diff(inner, axis=2)[..., 1]
    for step in steps:
        mean = jnp.broadcast_to(step.mean((1, 2), keepdims=True), step.shape)
        np.testing.assert_allclose(step, mean, rtol=0.1, atol=0.05)
    height, width = (16 * step.mean((1, 2)) for step in steps)
    share = height * width / (60 * 90)
    assert share.min() < 0.12 and share.max() > 0.9
    assert share.min() >= 0.079 and share.max() <= 1.001
    assert (height <= 60.01).all() and (width <= 90.01).all()
    free = (height < 59.9) & (width < 89.9)
    ratio = (width / height)[free]
    assert ratio.min() >= 0.749 and ratio.max() <= 1.335
    assert ratio.min() < 0.8 and ratio.max() > 1.25
    np.testing.assert_allclose(jnp.log(ratio).mean(), 0, atol=0.05)
    assert crops.min() >= 0 and crops[..., 0].max() <= 59.01


def test_crops_depend_on_the_key():
    images = jax.random.uniform(KEY, (4, 24, 24, 3))
    one, same, other = (
        random_resized_crop(jax.random.key(seed), images, side=8) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).any((1, 2, 3)).all()


def test_resized_keeps_the_mean_and_what_fits():
    images = jax.random.uniform(KEY, (4, 24, 24, 3))
    assert resized(images, side=24) is images
    small = resized(images, side=8)
    assert small.shape == (4, 8, 8, 3)
    np.testing.assert_allclose(small.mean((1, 2)), images.mean((1, 2)), atol=0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"side": 0}, "side must be >= 1 pixel, got 0"),
        ({"side": 8, "area": (0.5, 0.2)}, "area must be .* got \\(0.5, 0.2\\)"),
        ({"side": 8, "ratio": (0.0, 1.0)}, "ratio must be .* got \\(0.0, 1.0\\)"),
    ],
)
def test_bad_crops(options, message):
    with pytest.raises(ValueError, match=message):
        random_resized_crop(KEY, jnp.zeros((1, 8, 8, 1)), **options)


@pytest.mark.parametrize("channels", [1, 3])
def test_squares_are_central_and_of_one_size(channels):
    images = np.zeros((3, 20, 40, channels), np.uint8)
    images[:, :, 10:30] = 200
    source = Squares(Arrays(images, [0, 1, 2]), 8)
    arrays = decode(source)
    assert arrays.images.shape == (3, 8, 8, channels)
    assert (arrays.images == 200).all()
    np.testing.assert_array_equal(arrays.labels, [0, 1, 2])
    other = Squares(Arrays(images, [0, 1, 2]), 9)
    assert source.fingerprint != other.fingerprint
    with pytest.raises(ValueError, match="side must be >= 1 pixel, got 0"):
        Squares(Arrays(images, [0, 1, 2]), 0)


def test_squares_are_cropped_and_gray():
    images = np.zeros((2, 20, 40, 3), np.uint8)
    images[:, 5:15, 15:25] = (200, 100, 50)
    colour = decode(Squares(Arrays(images, [0, 1]), 10, crop=0.5))
    np.testing.assert_array_equal(colour.images, images[:, 5:15, 15:25])
    gray = Squares(Arrays(images, [0, 1]), 10, crop=0.5, gray=True)
    luma = round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)
    assert decode(gray).images.shape == (2, 10, 10, 1)
    assert (decode(gray).images == luma).all()
    assert gray.fingerprint != Squares(Arrays(images, [0, 1]), 10).fingerprint
    with pytest.raises(ValueError, match=r"crop must be in \(0, 1\], got 1.5"):
        Squares(Arrays(images, [0, 1]), 10, crop=1.5)


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [8, 10])
def test_squares_of_floats_are_those_of_bytes(channels, gray, side):
    images = np.random.default_rng(0).integers(0, 256, (2, 10, 13, channels), np.uint8)
    floats = Arrays(images / np.float32(255), [0, 1])
    for source, target in zip(
        Squares(floats, side, gray=gray),
        Squares(Arrays(images, [0, 1]), side, gray=gray),
    ):
        assert source["image"].dtype == np.float32
        assert source["image"].shape == target["image"].shape
        np.testing.assert_allclose(
            # Bytes are rounded as luma, and after the resizing of each axis.
            source["image"],
            target["image"] / 255,
            atol=(1.01 + 0.5 * gray) / 255,
        )
