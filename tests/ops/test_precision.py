"""Products on accelerators, whose own choice would be TF32 or bfloat16.

Those round to three digits, and variances are differences of nearly equal numbers.
"""

import functools
import re

import jax
import jax.numpy as jnp
import pytest
from jax import export

import ssimjax
from ssimjax.ops import windows

IMAGES = ((4, 48, 48, 3), (4, 48, 48, 3))
MAPS = ((4, 12, 12, 3), (3, 3, 3, 5))
SAMPLES = ((6, 8, 8, 1), (5, 8, 8, 1))
GAUSSIAN = functools.partial(ssimjax.rbf_kernel, bandwidths=(1.0,))
# As long as windows are before sums become products.
LONG = windows.uniform_window(81)


FUNCTIONS = {
    "ssim": (functools.partial(ssimjax.ssim, data_range=1.0), IMAGES),
    "ssim of a long window": (
        functools.partial(ssimjax.ssim, data_range=1.0, window=LONG),
        ((2, 90, 90, 1),) * 2,
    ),
    "ms_ssim": (
        functools.partial(ssimjax.ms_ssim, data_range=1.0, weights=(0.5, 0.5)),
        IMAGES,
    ),
    "lw_ssim": (functools.partial(ssimjax.lw_ssim, data_range=1.0), IMAGES),
    "iw_ssim": (
        functools.partial(ssimjax.iw_ssim, data_range=1.0),
        ((2, 192, 192, 1),) * 2,
    ),
    "cw_ssim": (
        functools.partial(ssimjax.cw_ssim, data_range=1.0),
        ((2, 64, 64, 1),) * 2,
    ),
    "ssim_distance": (functools.partial(ssimjax.ssim_distance, data_range=1.0), IMAGES),
    "ssim_kernel": (functools.partial(ssimjax.ssim_kernel, data_range=1.0), SAMPLES),
    "rbf_kernel": (GAUSSIAN, SAMPLES),
    "imq_kernel": (ssimjax.imq_kernel, SAMPLES),
    "cmmd": (
        functools.partial(ssimjax.cmmd, kernel=GAUSSIAN, kernel_given=GAUSSIAN),
        (*SAMPLES, (6, 4), (5, 4)),
    ),
    "ssim_conv": (ssimjax.ssim_conv, MAPS),
    "patches per channel": (
        functools.partial(ssimjax.ssim_conv, patches="per_channel"),
        MAPS,
    ),
}


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_products_are_of_all_digits(name, platform, monkeypatch):
    # What is traced depends on the machine that asks.
    backend = {"tpu": "tpu", "cuda": "gpu"}[platform]
    monkeypatch.setattr("jax.default_backend", lambda: backend)
    function, shapes = FUNCTIONS[name]

    def with_gradients(*arguments):
        value, pull = jax.vjp(function, *arguments)
        return value, pull(jnp.ones_like(value))

    arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    program = export.export(jax.jit(with_gradients), platforms=[platform])(*arguments)
    products = [
        line
        for line in program.mlir_module().splitlines()
        if re.search(r"stablehlo\.(dot_general|convolution)", line)
    ]
    # A GPU takes shifted sums of windows.
    assert products or platform == "cuda"
    for line in products:
        assert line.count("HIGHEST") == 2, line
