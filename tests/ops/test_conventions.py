"""What each library computes itself, on photographs beside the checkout."""

import jax.numpy as jnp
import numpy as np
import pytest
import skimage.data
from PIL import Image
from skimage.metrics import structural_similarity

from ssimjax.ops import conventions, gaussian_window, ms_ssim, ssim, uniform_window
from tests.conftest import SHARED


def load(name):
    path = SHARED / "ssim_reference" / name
    if not path.exists():
        pytest.skip(f"no {path}: reference values are tested only where it is")
    image = np.asarray(Image.open(path)).astype(np.float64)
    return image[..., None] if image.ndim == 2 else image


def goldhill():
    return load("goldhill.png"), load("goldhill_jpeg.png")


def goldhill_odd():
    return tuple(image[:509, :511] for image in goldhill())


def tid2013():
    return load("tid2013_I01.png"), load("tid2013_i01_01_5.png")


# In float64, in which some libraries only compute when they are told to (tests/peers).
SSIM = [
    (conventions.matlab, 0.682372, 0.527070),
    (conventions.matlab_downsample, 0.820202, 0.781962),
    (conventions.tensorflow, 0.682372, 0.527070),
    (conventions.skimage, 0.692595, 0.547458),
    (conventions.skimage_gaussian, 0.681492, 0.526787),
    (conventions.pytorch_msssim, 0.682372, 0.527070),
    (conventions.piq, 0.820202, 0.781962),
    ({**conventions.piq, "downsample": None}, 0.682372, 0.527070),
    (conventions.torchmetrics, 0.684812, 0.520919),
    (conventions.kornia, 0.684812, 0.520919),
    ({**conventions.kornia, "padding": "valid"}, 0.682372, 0.527070),
    (conventions.fused_ssim, 0.690834, 0.534399),
]
MS_SSIM = [
    (conventions.ms_ssim.matlab, 0.901163, 0.901277),
    (conventions.ms_ssim.tensorflow, 0.901163, 0.901277),
    (conventions.ms_ssim.pytorch_msssim, 0.901163, 0.913348),
    (conventions.ms_ssim.piq, 0.901163, 0.913928),
    (conventions.ms_ssim.torchmetrics, 0.900991, 0.901740),
]


@pytest.mark.parametrize(("convention", "gray", "colour"), SSIM)
def test_ssim_of_the_reference_pairs(convention, gray, colour, float64):
    for (x, y), target in ((goldhill(), gray), (tid2013(), colour)):
        double = float(ssim(x, y, data_range=255.0, **convention))
        assert round(double, 6) == target
        x, y = x.astype(np.float32), y.astype(np.float32)
        single = ssim(x, y, data_range=255.0, **convention)
        assert single.dtype == jnp.float32
        np.testing.assert_allclose(single, double, rtol=0, atol=2e-6)


@pytest.mark.parametrize(("convention", "even", "odd"), MS_SSIM)
def test_ms_ssim_of_the_reference_pairs(convention, even, odd, float64):
    for (x, y), target in ((goldhill(), even), (goldhill_odd(), odd)):
        double = float(ms_ssim(x, y, data_range=255.0, **convention))
        assert round(double, 6) == target
        x, y = x.astype(np.float32), y.astype(np.float32)
        single = ms_ssim(x, y, data_range=255.0, **convention)
        assert single.dtype == jnp.float32
        np.testing.assert_allclose(single, double, rtol=0, atol=2e-6)


# Two binary images in the tests of torchmetrics (test_ssim_unequal_kernel_size).
BINARY = (
    "1101101 1011000 1000000 0010001 0010010 0100111 1101101",
    "1101101 0001110 1110101 1000101 1111011 0010100 0100110",
)


@pytest.mark.parametrize(
    ("sigma", "target"), [((0.25, 0.5), 0.20977284), ((0.5, 0.25), 0.13884787)]
)
def test_windows_that_differ_by_axis(sigma, target, float64):
    x, y = (
        np.array([[float(pixel) for pixel in row] for row in rows.split()])[..., None]
        for rows in BINARY
    )
    window = gaussian_window(sigma=sigma, truncate=3.5)
    value = ssim(x, y, data_range=1.0, window=window, padding="reflect")
    np.testing.assert_allclose(value, target, atol=5e-9)


def noisy_camera():
    clean = skimage.data.camera().astype(np.float64)
    noise = np.random.RandomState(5).normal(0, 20, clean.shape)
    return clean, np.floor(np.clip(clean + noise, 0, 255))


def test_skimage_default_of_noisy_camera(float64):
    x, y = noisy_camera()
    value = ssim(x[..., None], y[..., None], data_range=255.0, **conventions.skimage)
    np.testing.assert_allclose(value, 0.3674518327910367, rtol=1e-12)


@pytest.mark.parametrize(
    ("options", "theirs"),
    [
        (conventions.skimage, {}),
        ({**conventions.skimage, "window": uniform_window(9)}, {"win_size": 9}),
        (conventions.skimage_gaussian, {"gaussian_weights": True}),
        (
            {
                "window": gaussian_window(sigma=2.5, truncate=3.5),
                "k1": 0.02,
                "k2": 0.05,
            },
            {
                "gaussian_weights": True,
                "sigma": 2.5,
                "use_sample_covariance": False,
                "K1": 0.02,
                "K2": 0.05,
            },
        ),
    ],
)
@pytest.mark.parametrize("spatial_axes", [1, 2, 3])
def test_skimage_live_in_one_to_three_axes(options, theirs, spatial_axes, float64):
    rng = np.random.default_rng(0)
    shape = {1: (400,), 2: (60, 71), 3: (24, 25, 26)}[spatial_axes]
    x = rng.uniform(0, 255, (*shape, 2))
    y = np.clip(x + rng.normal(0, 30, x.shape), 0, 255)
    target = structural_similarity(x, y, data_range=255.0, channel_axis=-1, **theirs)
    value = ssim(x, y, data_range=255.0, spatial_axes=spatial_axes, **options)
    np.testing.assert_allclose(value, target, rtol=1e-10)


def test_piq_refuses_pixels_out_of_range(own_errors):
    x = np.zeros((16, 16, 1), np.float32)
    with pytest.raises(ValueError, match=r"y must lie in \[0, 1.0\], got values"):
        ssim(x, x + 2, data_range=1.0, **conventions.piq)
    assert np.isfinite(ssim(x, x + 2, data_range=1.0, **conventions.pytorch_msssim))
