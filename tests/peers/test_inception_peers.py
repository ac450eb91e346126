"""Features of Inception beside those of torch-fidelity, with the same random weights.

`make peers` installs it and runs this; plain pytest deselects it.
"""

import pathlib
import sys
import warnings
from unittest import mock

import jax.numpy as jnp
import numpy as np
import pytest

from ssimjax.nn import load_inception
from tests.nn.test_inception import (
    FEATURES,
    SHOWN,
    photograph,
    random_features,
    random_state,
)

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def fidelity():
    """Its Inception; other parts of the package import torchvision, which is absent."""
    folder = pathlib.Path(sys.prefix) / "torch-fidelity"
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # At the end: it also installs a package that is named tests.
        patch.setattr(sys, "path", [*sys.path, str(folder)])
        parts = ("", ".datasets", ".models", ".transforms", ".transforms.functional")
        for part in parts:
            patch.setitem(sys.modules, f"torchvision{part}", mock.MagicMock())
        name = "torch_fidelity.feature_extractor_inceptionv3"
        yield pytest.importorskip(name, reason="no torch-fidelity: run `make peers`")
        for name in [n for n in sys.modules if n.startswith("torch_fidelity")]:
            del sys.modules[name]


@pytest.fixture(scope="module")
def file(fidelity, tmp_path_factory):
    torch = fidelity.torch
    path = tmp_path_factory.mktemp("weights") / "random.pth"
    state = {name: torch.tensor(array) for name, array in random_state().items()}
    torch.save(state, path)
    return path


@pytest.fixture(scope="module")
def theirs(fidelity, file):
    """Features of images with values of n/256, resized as most do it, not as TF 1."""
    torch = fidelity.torch

    def resize(x, size, align_corners):
        return torch.nn.functional.interpolate(
            x, size=size, mode="bilinear", align_corners=align_corners
        )

    model = fidelity.FeatureExtractorInceptionV3(
        "inception", ["2048"], feature_extractor_weights_path=str(file)
    )

    def features(images):
        # It subtracts 128 and divides by 128, which for n/256 is 2x - 1.
        images = torch.tensor(np.moveaxis(256 * images, -1, 1).astype(np.uint8))
        name = "interpolate_bilinear_2d_like_tensorflow1x"
        with mock.patch.object(fidelity, name, resize):
            return model(images)[0].numpy()

    return features


@pytest.mark.parametrize("size", [(299, 299), (28, 28), (75, 130), (400, 330)])
def test_features(theirs, file, size):
    images = photograph(*size)
    value, target = load_inception(file)(jnp.asarray(images)), theirs(images)
    assert target.std() > 0.1
    np.testing.assert_allclose(value, target, rtol=1e-4, atol=1e-4 * target.std())


def test_the_numbers_of_the_other_test(theirs):
    np.testing.assert_allclose(
        theirs(photograph(64, 80))[0, SHOWN], FEATURES, rtol=1e-3
    )


def test_npz_and_pth_are_the_same(file):
    images = jnp.asarray(photograph(64, 80))
    np.testing.assert_array_equal(
        load_inception(file)(images), random_features()(images)
    )
