import functools
import pathlib
import sys
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.data

from ssimjax.nn import inception_features, load_inception
from ssimjax.nn.inception import INCEPTION_SHAPES

# One feature or two of each branch of the last block, under `random_state`, of
# `photograph(64, 80)`; tests/peers computes them by torch-fidelity.
SHOWN = [0, 318, 321, 702, 706, 1085, 1088, 1471, 1472, 1855, 1857, 2047]
FEATURES = [0.092874, 0.82024, 1.3917, 0.79439, 0.29164, 0.20654]
FEATURES += [0.053866, 0.30212, 0.69124, 0.19363, 2.0485, 0.33422]


@functools.cache
def random_state():
    """A state dict under which every layer matters, and ε beside the variances."""
    rng = np.random.default_rng(0)
    state = {}
    for name, shape in INCEPTION_SHAPES.items():
        if name.endswith("conv.weight"):
            # What goes in has a variance of 1 about, what comes out that of below.
            deviation = (2 * 0.006 / np.prod(shape[1:])) ** 0.5
            drawn = rng.normal(0, deviation, shape)
        elif name.endswith("running_var"):
            drawn = rng.uniform(0.002, 0.01, shape)
        elif name.endswith("bn.weight"):
            drawn = rng.uniform(0.8, 1.2, shape)
        elif name.endswith("running_mean"):
            drawn = rng.normal(0, 0.01, shape)
        else:
            drawn = rng.normal(0, 0.1, shape)
        state[name] = drawn.astype(np.float32)
    return state


@functools.cache
def random_features():
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "weights.npz"
        np.savez(path, **random_state())
        return load_inception(path)


def photograph(height, width):
    """One picture `[1, height, width, 3]` with values of n/256."""
    image = skimage.data.astronaut()[60 : 60 + height, 120 : 120 + width]
    return image[None].astype(np.float32) / 256


def resized(image):
    """299x299, pixel by pixel: between the two nearest centres along each axis."""
    for axis in (1, 2):
        pixels = image.shape[axis]
        at = np.clip((np.arange(299) + 0.5) * pixels / 299 - 0.5, 0, pixels - 1)
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, pixels - 1)
        share = np.expand_dims(at - low, [i for i in range(4) if i != axis])
        image = (1 - share) * image.take(low, axis) + share * image.take(high, axis)
    return image.astype(np.float32)


def test_features_are_those_of_the_port():
    features = random_features()(jnp.asarray(photograph(64, 80)))
    assert features.shape == (1, 2048) and features.dtype == jnp.float32
    assert features.min() >= 0 and features.std() > 0.1
    np.testing.assert_allclose(features[0, jnp.array(SHOWN)], FEATURES, rtol=1e-3)


@pytest.mark.parametrize("size", [(20, 31), (420, 350)])
def test_images_are_resized_between_centres_without_a_filter(size):
    image = photograph(*size)
    value = random_features()(jnp.asarray(image))
    target = random_features()(jnp.asarray(resized(image)))
    np.testing.assert_allclose(value, target, atol=1e-3 * target.std())


def test_features_do_not_depend_on_the_rest_of_the_batch():
    image = photograph(40, 40)
    pair = jnp.asarray(np.concatenate([1 - image, image]))
    together, alone = random_features()(pair), random_features()(pair[1:])
    assert jnp.abs(together[0] - together[1]).max() > 0.1
    np.testing.assert_allclose(together[1:], alone, atol=1e-5 * alone.std())


def test_missing_and_misshapen_arrays_are_named(tmp_path):
    state = dict(random_state())
    path = tmp_path / "weights.npz"
    state["Conv2d_1a_3x3.conv.weight"] = np.zeros((32, 1, 3, 3), np.float32)
    for name in ("Mixed_5b.branch1x1.bn.bias", "Mixed_7c.branch_pool.conv.weight"):
        del state[name]
    # As torchvision's classifier has it.
    state["fc.weight"] = np.zeros((1000, 2048), np.float32)
    np.savez(path, **state)
    with pytest.raises(ValueError, match="path must be of a state dict of pt_") as info:
        load_inception(path)
    text = str(info.value)
    assert repr(str(path)) in text
    assert "Conv2d_1a_3x3.conv.weight must be (32, 3, 3, 3), got (32, 1, 3, 3)" in text
    assert "Mixed_7c.branch_pool.conv.weight (192, 2048, 1, 1) is missing" in text
    assert text.endswith("; and 1 more")
    np.savez(path, **{**random_state(), "fc.weight": state["fc.weight"]})
    with pytest.raises(ValueError, match=r"fc.weight must be \(1008, 2048\)"):
        load_inception(path)


def test_other_files_are_refused(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="path must end in .npz or .pth, got 'a.ckpt'"):
        load_inception("a.ckpt")
    with pytest.raises(FileNotFoundError, match="an existing file, got 'a.npz'"):
        load_inception("a.npz")
    path = tmp_path / "weights.pth"
    path.touch()
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"to convert .* python -c .*numpy.savez"):
        load_inception(path)


def test_images_are_checked(own_errors):
    weights = random_features().args[0]
    with pytest.raises(ValueError, match=r"\[n, h, w, 3\], got \(2, 8, 8, 1\)"):
        inception_features(weights, jnp.ones((2, 8, 8, 1)))
    with pytest.raises(TypeError, match=r"floats in \[0, 1\], got uint8"):
        inception_features(weights, jnp.ones((2, 8, 8, 3), jnp.uint8))


def test_is_a_pytree_of_weights():
    leaves = jax.tree.leaves(random_features())
    # Of Inception-v3 without its classifier; γ of 17,216 filters is in the kernels.
    assert sum(leaf.size for leaf in leaves) == 21_785_568 - 17_216
