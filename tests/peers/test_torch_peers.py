"""Values and gradients beside those that PyTorch libraries compute, in float64.

`make peers` installs the libraries and runs this; plain pytest deselects it.
"""

import importlib.util
import sys
import warnings
from unittest import mock

import jax
import numpy as np
import pytest
import skimage.data

from ssimjax.ops import (
    conventions,
    gaussian_window,
    ms_ssim,
    ssim,
    ssim_map,
    uniform_window,
)

pytestmark = [pytest.mark.peers, pytest.mark.usefixtures("float64")]

RTOL = 1e-9
GRADIENT_RTOL = 1e-7

# Height and width: MS-SSIM halves them four times.
SIZES = [(176, 176), (177, 183), (176, 183)]


def import_peer(name):
    """A library, or a skip where it is absent; what its import warns of is its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, reason=f"no {name}: run `make peers`")


@pytest.fixture(scope="module")
def torch():
    return import_peer("torch")


@pytest.fixture
def torch64(torch):
    """Makes float64 what torch takes for literals, as torchmetrics' exponents."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield torch
    torch.set_default_dtype(before)


@pytest.fixture
def pytorch_msssim(torch64):
    return import_peer("pytorch_msssim")


@pytest.fixture
def torchmetrics(torch64):
    return import_peer("torchmetrics.functional.image")


@pytest.fixture
def kornia(torch64):
    return import_peer("kornia.metrics")


@pytest.fixture(scope="module")
def piq_module(torch):
    """piq, whose other metrics import torchvision."""
    with pytest.MonkeyPatch.context() as patch:
        if importlib.util.find_spec("torchvision") is None:
            for name in ("", ".models", ".models.inception", ".transforms", ".ops"):
                patch.setitem(sys.modules, f"torchvision{name}", mock.MagicMock())
        return import_peer("piq")


@pytest.fixture
def piq(torch64, piq_module):
    return piq_module


def with_noise(clean):
    noise = np.random.default_rng(0).normal(0, 20, clean.shape)
    return clean, np.clip(clean + noise, 0, 255)


def grey(height, width):
    """One image and its noisy version, `[1, height, width, 1]`, in [0, 255]."""
    image = skimage.data.camera().astype(np.float64)
    margins = [(0, max(0, n - m)) for n, m in zip((height, width), image.shape)]
    image = np.pad(image, margins, mode="reflect")
    return with_noise(image[None, :height, :width, None])


def colour(height, width):
    """Two colour images that differ, and their noisy versions."""
    image = skimage.data.astronaut().astype(np.float64)
    first, second = image[:height, :width], image[-height:, -width:]
    return with_noise(np.stack([first, second]))


def volumes(*sides):
    """Two volumes of two channels: the photograph, moving, and its noisy version."""
    depth, height, width = sides
    image = skimage.data.camera().astype(np.float64)
    moving = [image[2 * i :, 3 * i :][:height, :width] for i in range(depth)]
    fixed = [image[i:, 100:][:height, :width] for i in range(depth)]
    pair = np.stack([np.stack(moving), np.stack(fixed)])
    return with_noise(np.stack([pair, 255 - pair[::-1]], axis=-1))


IMAGES = pytest.mark.parametrize("images", [grey, colour])
SIZE = pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))


def tensors(torch, *images):
    """Channels after the batch, as torch has them."""
    return [torch.tensor(np.moveaxis(image, -1, 1).copy()) for image in images]


def window64(torch, channels, spatial_axes=2):
    """The window of pytorch-msssim, which itself computes it in float32."""
    offsets = torch.arange(11, dtype=torch.float64) - 5
    taps = torch.exp(-(offsets**2) / (2 * 1.5**2))
    taps = (taps / taps.sum()).reshape(*[1] * (spatial_axes + 1), 11)
    return taps.repeat(channels, *[1] * (spatial_axes + 1))


def assert_same(value, target):
    """Equal, and not trivially: the images differ."""
    target = target.detach().numpy()
    assert value.dtype == np.float64
    assert value.shape == target.shape
    assert np.all(np.abs(target) < 0.999)
    np.testing.assert_allclose(value, target, rtol=RTOL, atol=0)


# pytorch-msssim


@IMAGES
@SIZE
def test_pytorch_msssim_ssim(pytorch_msssim, torch64, images, size):
    x, y = images(*size)
    value = ssim(x, y, data_range=255.0, **conventions.pytorch_msssim)
    target = pytorch_msssim.ssim(
        *tensors(torch64, x, y),
        data_range=255,
        size_average=False,
        win=window64(torch64, x.shape[-1]),
    )
    assert_same(value, target)


@IMAGES
@SIZE
def test_pytorch_msssim_ms_ssim(pytorch_msssim, torch64, images, size):
    x, y = images(*size)
    value = ms_ssim(x, y, data_range=255.0, **conventions.ms_ssim.pytorch_msssim)
    target = pytorch_msssim.ms_ssim(
        *tensors(torch64, x, y),
        data_range=255,
        size_average=False,
        win=window64(torch64, x.shape[-1]),
    )
    assert_same(value, target)


def test_pytorch_msssim_ssim_of_volumes(pytorch_msssim, torch64):
    x, y = volumes(13, 30, 33)
    value = ssim(x, y, data_range=255.0, spatial_axes=3, **conventions.pytorch_msssim)
    target = pytorch_msssim.ssim(
        *tensors(torch64, x, y),
        data_range=255,
        size_average=False,
        win=window64(torch64, 2, spatial_axes=3),
    )
    assert_same(value, target)


def test_pytorch_msssim_ms_ssim_of_volumes(pytorch_msssim, torch64):
    # It wants more than 160 pixels of the last two axes, whatever the weights.
    x, y = volumes(22, 161, 162)
    value = ms_ssim(
        x,
        y,
        data_range=255.0,
        weights=(0.4, 0.6),
        spatial_axes=3,
        **conventions.ms_ssim.pytorch_msssim,
    )
    target = pytorch_msssim.ms_ssim(
        *tensors(torch64, x, y),
        data_range=255,
        size_average=False,
        win=window64(torch64, 2, spatial_axes=3),
        weights=[0.4, 0.6],
    )
    assert_same(value, target)


@IMAGES
@pytest.mark.parametrize(
    ("function", "options"),
    [
        ("ssim", conventions.pytorch_msssim),
        ("ms_ssim", conventions.ms_ssim.pytorch_msssim),
    ],
    ids=["ssim", "ms_ssim"],
)
def test_pytorch_msssim_gradients(pytorch_msssim, torch64, images, function, options):
    x, y = images(177, 183)
    own = {"ssim": ssim, "ms_ssim": ms_ssim}[function]
    gradient = jax.grad(lambda x: own(x, y, data_range=255.0, **options).sum())(x)
    tensor, other = tensors(torch64, x, y)
    tensor.requires_grad_()
    getattr(pytorch_msssim, function)(
        tensor,
        other,
        data_range=255,
        size_average=False,
        win=window64(torch64, x.shape[-1]),
    ).sum().backward()
    target = np.moveaxis(tensor.grad.numpy(), 1, -1)
    # Where a gradient passes through 0, it has no relative precision.
    scale = np.abs(target).max()
    assert scale > 1e-6
    np.testing.assert_allclose(gradient, target, rtol=GRADIENT_RTOL, atol=1e-10 * scale)


# piq


@IMAGES
@pytest.mark.parametrize("size", [(177, 183), (383, 400), (384, 390), (512, 512)])
def test_piq_ssim(piq, torch64, images, size):
    x, y = images(*size)
    value = ssim(x, y, data_range=255.0, **conventions.piq)
    target = piq.ssim(*tensors(torch64, x, y), data_range=255, reduction="none")
    assert_same(value, target)


@pytest.mark.parametrize(
    ("size", "factor"), [((640, 640), 2), ((641, 700), 3), ((651, 640), 2)]
)
def test_piq_rounds_halves_to_even(piq, torch64, size, factor):
    x, y = grey(*size)
    value = ssim(x, y, data_range=255.0, **conventions.piq)
    pair = tensors(torch64, x, y)
    target = piq.ssim(*pair, data_range=255, reduction="none")
    assert_same(value, target)
    pooled = [torch64.nn.functional.avg_pool2d(image, factor) for image in pair]
    by_hand = piq.ssim(*pooled, data_range=255, reduction="none", downsample=False)
    assert_same(value, by_hand)


@IMAGES
@SIZE
def test_piq_ms_ssim(piq, torch64, images, size):
    x, y = images(*size)
    value = ms_ssim(x, y, data_range=255.0, **conventions.ms_ssim.piq)
    target = piq.multi_scale_ssim(
        *tensors(torch64, x, y), data_range=255, reduction="none"
    )
    assert_same(value, target)


# torchmetrics


@IMAGES
@SIZE
def test_torchmetrics_ssim(torchmetrics, torch64, images, size):
    x, y = images(*size)
    value = ssim(x, y, data_range=255.0, **conventions.torchmetrics)
    target = torchmetrics.structural_similarity_index_measure(
        *tensors(torch64, x, y), data_range=255.0, reduction="none"
    )
    assert_same(value, target)


@IMAGES
@SIZE
def test_torchmetrics_ms_ssim(torchmetrics, torch64, images, size):
    x, y = images(*size)
    value = ms_ssim(x, y, data_range=255.0, **conventions.ms_ssim.torchmetrics)
    target = torchmetrics.multiscale_structural_similarity_index_measure(
        *tensors(torch64, x, y), data_range=255.0, reduction="none"
    )
    assert_same(value, target)


@pytest.mark.parametrize("sigma", [(0.25, 0.5), (0.5, 0.25), (1.5, 0.8), 2.0])
def test_torchmetrics_sigma(torchmetrics, torch64, sigma):
    x, y = colour(64, 71)
    window = gaussian_window(sigma=sigma, truncate=3.5)
    options = {**conventions.torchmetrics, "window": window}
    value = ssim(x, y, data_range=255.0, **options)
    target = torchmetrics.structural_similarity_index_measure(
        *tensors(torch64, x, y), sigma=sigma, data_range=255.0, reduction="none"
    )
    assert_same(value, target)


@pytest.mark.parametrize("size", [7, 11, (5, 9)])
def test_torchmetrics_uniform(torchmetrics, torch64, size):
    x, y = colour(64, 71)
    options = {**conventions.torchmetrics, "window": uniform_window(size)}
    value = ssim(x, y, data_range=255.0, **options)
    target = torchmetrics.structural_similarity_index_measure(
        *tensors(torch64, x, y),
        gaussian_kernel=False,
        kernel_size=size,
        data_range=255.0,
        reduction="none",
    )
    assert_same(value, target)


def test_torchmetrics_ssim_of_volumes(torchmetrics, torch64):
    x, y = volumes(13, 30, 33)
    value = ssim(x, y, data_range=255.0, spatial_axes=3, **conventions.torchmetrics)
    target = torchmetrics.structural_similarity_index_measure(
        *tensors(torch64, x, y), data_range=255.0, reduction="none"
    )
    assert_same(value, target)


def test_torchmetrics_ms_ssim_of_volumes(torchmetrics, torch64):
    x, y = volumes(25, 32, 33)
    value = ms_ssim(
        x,
        y,
        data_range=255.0,
        weights=(0.4, 0.6),
        spatial_axes=3,
        **conventions.ms_ssim.torchmetrics,
    )
    target = torchmetrics.multiscale_structural_similarity_index_measure(
        *tensors(torch64, x, y), data_range=255.0, reduction="none", betas=(0.4, 0.6)
    )
    assert_same(value, target)


# kornia


@IMAGES
@SIZE
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_kornia_ssim(kornia, torch64, images, size, padding):
    x, y = images(*size)
    options = dict(conventions.kornia)
    if padding == "valid":
        options["padding"] = "valid"
    target = kornia.ssim(*tensors(torch64, x, y), 11, max_val=255.0, padding=padding)
    value = ssim(x, y, data_range=255.0, **options)
    assert_same(value, target.mean((1, 2, 3)))
    values = ssim_map(x, y, data_range=255.0, **options)
    np.testing.assert_allclose(
        values, np.moveaxis(target.numpy(), 1, -1), rtol=RTOL, atol=1e-12
    )


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_kornia_ssim_of_volumes(kornia, torch64, padding):
    x, y = volumes(13, 30, 33)
    options = dict(conventions.kornia)
    if padding == "valid":
        options["padding"] = "valid"
    target = kornia.ssim3d(*tensors(torch64, x, y), 11, max_val=255.0, padding=padding)
    value = ssim(x, y, data_range=255.0, spatial_axes=3, **options)
    assert_same(value, target.mean((1, 2, 3, 4)))
