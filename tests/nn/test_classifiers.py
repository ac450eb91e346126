import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ssimjax.nn import QuickClassifier, ShallowClassifier

SMALL = {"widths": (4, 4, 6), "hidden": 8}


def make(**options):
    return QuickClassifier((9, 8, 3), 5, **SMALL, **options, rngs=nnx.Rngs(0))


@pytest.mark.parametrize("feature_layer", ["ssim", "conv"])
@pytest.mark.parametrize("relu_after", [True, False])
def test_logits(feature_layer, relu_after):
    model = make(feature_layer=feature_layer, relu_after=relu_after)
    images = jax.random.uniform(jax.random.key(0), (3, 9, 8, 3))
    logits = model(images)
    assert logits.shape == (3, 5)
    np.testing.assert_allclose(logits[1], model(images[1:2])[0], rtol=1e-5, atol=1e-6)


def test_networks_differ_only_in_their_last_feature_layer():
    shapes = {
        name: jax.tree.map(
            jnp.shape, nnx.to_pure_dict(nnx.state(make(feature_layer=name), nnx.Param))
        )
        for name in ("ssim", "conv")
    }
    ssim, conv = shapes["ssim"].pop("features"), shapes["conv"].pop("features")
    assert shapes["ssim"] == shapes["conv"]
    assert ssim == {"filters": (5, 5, 4, 6)}
    assert conv == {"kernel": (5, 5, 4, 6), "bias": (6,)}


def test_normalisation_is_inside_the_model():
    model = make(pixel_mean=0.25, pixel_std=0.5)
    plain = make(pixel_mean=0.0, pixel_std=1.0)
    images = jax.random.uniform(jax.random.key(0), (2, 9, 8, 3))
    np.testing.assert_allclose(
        model(images), plain((images - 0.25) / 0.5), rtol=1e-5, atol=1e-6
    )


def test_relu_after_ssim_changes_the_output():
    images = jax.random.uniform(jax.random.key(0), (2, 9, 8, 3))
    assert not np.allclose(make()(images), make(relu_after=False)(images))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"widths": (4, 4)}, r"widths must be 3 numbers >= 1, got \(4, 4\)"),
        ({"widths": (4, 0, 4)}, r"widths must be 3 numbers >= 1, got \(4, 0, 4\)"),
        ({"hidden": 0}, "hidden must be a number >= 1, got 0"),
    ],
)
def test_sizes_that_do_not_fit(changes, message):
    with pytest.raises(ValueError, match=message):
        QuickClassifier((8, 8, 3), 2, rngs=nnx.Rngs(0), **changes)


def test_two_widths_of_a_shallow_network():
    with pytest.raises(ValueError, match="widths must be 2 numbers >= 1, got"):
        ShallowClassifier((8, 8, 3), 2, widths=(4, 4, 4), rngs=nnx.Rngs(0))


def test_unknown_feature_layer_is_an_error(own_errors):
    with pytest.raises(ValueError, match="feature_layer must be 'ssim' or 'conv', got"):
        make(feature_layer="dense")
