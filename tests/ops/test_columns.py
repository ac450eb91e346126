"""The GPU's kernels, which JAX itself runs here, beside XLA's programs."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssimjax import losses
from ssimjax.ops import (
    column_kernels,
    column_walks,
    columns,
    gaussian_window,
    lw_ssim,
    ms_ssim,
    ssim,
    uniform_window,
)

METRICS = {
    "ssim": functools.partial(ssim, window=gaussian_window(5), sample_covariance=True),
    "ssim, cropped": functools.partial(
        ssim, window=uniform_window((2, 3)), padding="symmetric", crop=1
    ),
    "ms_ssim": functools.partial(
        ms_ssim, window=gaussian_window(3), weights=(0.5, 0.5), negatives="floor"
    ),
    "lw_ssim": functools.partial(lw_ssim, windows=[uniform_window(n) for n in (2, 4)]),
    "loss": functools.partial(losses.ssim, window=uniform_window(3)),
}
# Two images of two channels; neither rows nor columns fill the last program.
X, Y = np.random.default_rng(0).random((2, 2, 21, 11, 2), np.float32)


def on_a_gpu(patch):
    patch.setattr(jax, "default_backend", lambda: "gpu")
    patch.setattr(columns, "_on_cuda", lambda: True)


def kernels(patch, *, large):
    """Lets kernels be run on a CPU, by programs so small that there are several."""
    patch.setattr(column_walks, "LANES", 8)
    patch.setattr(column_kernels, "LANES", 8)
    patch.setattr(column_walks, "_FEWEST_ROWS", 4)
    patch.setattr(column_walks, "_LARGE", 0 if large else 2**20)
    patch.setattr(
        columns, "column_means", functools.partial(columns.column_means, interpret=True)
    )
    on_a_gpu(patch)
    patch.setattr(jax, "device_count", lambda: 1)


def derivatives(metric, x, y, *, all_kinds):
    """Values and gradients of one metric, or derivatives of each kind and order."""

    @jax.jit
    def total(x, y):
        return (metric(x, y, data_range=1.0) * jnp.array([1.0, 2.0])).sum()

    found = jax.value_and_grad(total, (0, 1))(x, y)
    if not all_kinds:
        return found
    return {
        "gradients": found,
        "value": metric(x, y, data_range=1.0),
        "gradient in x": jax.grad(total)(x, y),
        "gradient in y": jax.grad(total, 1)(x, y),
        "forward over reverse": jax.jvp(jax.grad(total), (x, y), (y, x))[1],
        "vmap": jax.vmap(jax.grad(total), (0, None))(jnp.stack([x, y]), y),
    }


@pytest.mark.parametrize(
    ("name", "large"), [("ssim", True), *((name, False) for name in METRICS)]
)
def test_kernels_compute_what_xla_does(name, large):
    compute = functools.partial(
        derivatives, METRICS[name], X, Y, all_kinds=name == "ssim"
    )
    expected = compute()
    with pytest.MonkeyPatch.context() as patch:
        jax.clear_caches()
        kernels(patch, large=large)
        found = compute()
    jax.clear_caches()
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
        found,
        expected,
    )


def test_kernels_are_what_runs(monkeypatch):
    jax.clear_caches()
    kernels(monkeypatch, large=True)
    metric = functools.partial(METRICS["ssim"], data_range=1.0)
    program = str(jax.make_jaxpr(jax.grad(lambda x: metric(x, Y).sum()))(X))
    jax.clear_caches()
    assert program.count("pallas_call") == 2
    assert "weighted_sums" not in program


def test_equal_images_are_exactly_1(monkeypatch):
    jax.clear_caches()
    kernels(monkeypatch, large=False)
    value = METRICS["ssim"](X, X, data_range=1.0)
    loss = METRICS["loss"](X, X, data_range=1.0)
    jax.clear_caches()
    np.testing.assert_array_equal(value, 1.0)
    np.testing.assert_array_equal(loss, 0.0)


def test_far_from_0_no_digits_are_lost(monkeypatch):
    """Squares of 1000 leave none for variances below 0.1."""
    x, y = X + 1000, Y + 1000
    with jax.enable_x64(True):
        expected = METRICS["ssim"](np.float64(x), np.float64(y), data_range=1.0)
    jax.clear_caches()
    kernels(monkeypatch, large=False)
    found = METRICS["ssim"](x, y, data_range=1.0)
    jax.clear_caches()
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("case", ["shapes", "float64", "long", "signals", "exponents"])
def test_left_to_xla(case, monkeypatch):
    on_a_gpu(monkeypatch)
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    x, y = X, Y
    options = {"window": gaussian_window(5)}
    if case == "shapes":
        y = Y[:1]
    elif case == "float64":
        x, y = np.float64(X), np.float64(Y)
    elif case == "long":
        options = {"window": uniform_window((17, 3))}
    elif case == "signals":
        options |= {"spatial_axes": 1}
    else:
        options |= {"exponents": (1.0, 0.5, 0.5)}
    jax.clear_caches()
    with jax.enable_x64(case == "float64"):
        program = str(
            jax.make_jaxpr(functools.partial(ssim, data_range=1.0, **options))(x, y)
        )
    jax.clear_caches()
    assert "pallas_call" not in program


def test_every_device_of_several_keeps_its_share(monkeypatch):
    on_a_gpu(monkeypatch)
    jax.clear_caches()
    program = str(jax.make_jaxpr(functools.partial(ssim, data_range=1.0))(X, Y))
    jax.clear_caches()
    assert jax.device_count() > 1
    assert "pallas_call" not in program
