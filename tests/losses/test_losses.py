import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from ssimjax import losses, ops
from ssimjax.losses.registry import _LOSSES
from ssimjax.ops import gaussian_window, uniform_window
from tests.ops.pairs import check_derivatives

X, Y = jax.random.uniform(jax.random.key(0), (2, 2, 30, 31, 3))
WINDOW = gaussian_window(5)
LOSSES = {
    "mse": losses.mse,
    "mae": losses.mae,
    "bce": losses.bce,
    "ssim": losses.ssim,
    "ssim powers": functools.partial(losses.ssim, exponents=(0.5, 0.2, 0.7)),
    "ms_ssim": functools.partial(losses.ms_ssim, window=WINDOW, weights=(0.3, 0.7)),
    "ms_ssim shift": functools.partial(
        losses.ms_ssim, window=WINDOW, weights=(0.3, 0.7), negatives="shift"
    ),
    "per pixel": functools.partial(losses.ms_ssim_per_pixel, weights=(1.0, 1.0)),
    "lw_ssim": losses.lw_ssim,
    "distance": losses.ssim_distance,
    "distance itself": functools.partial(losses.ssim_distance, squared=False),
    "mixture": functools.partial(
        losses.mixture,
        terms=[
            {"name": "ssim", "weight": 0.84},
            {"name": "mae", "weight": 0.16},
        ],
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_zero_at_perfection_positive_elsewhere_and_one_per_image(name):
    loss = functools.partial(LOSSES[name], data_range=1.0)
    np.testing.assert_array_equal(loss(X, X), np.zeros(2))
    np.testing.assert_array_equal(jax.jit(loss)(Y, Y.copy()), np.zeros(2))
    values = loss(X, Y)
    assert values.shape == (2,) and (values > 0.01).all()
    np.testing.assert_allclose(values[1], loss(X[1], Y[1]), rtol=1e-5)
    np.testing.assert_allclose(
        LOSSES[name](255 * X, 255 * Y, data_range=255.0), values, rtol=1e-4
    )


@pytest.mark.parametrize("name", LOSSES)
def test_derivatives_are_finite(name):
    check_derivatives(functools.partial(LOSSES[name], data_range=1.0))


@pytest.mark.parametrize("negatives", ["relu", "floor", "shift", "raw"])
@pytest.mark.parametrize("channels", ["separate", "joint"])
def test_ms_ssim_is_one_minus_the_metric(negatives, channels, float64):
    options = {
        "data_range": 1.0,
        "window": WINDOW,
        "weights": (0.3, 0.7),
        "negatives": negatives,
        "channels": channels,
    }
    x, y = np.float64(X), np.float64(Y)
    for other in (y, 0.9 * x + 0.1 * y, 1 - x):
        values = losses.ms_ssim(other, x, **options)
        np.testing.assert_allclose(
            values, 1 - ops.ms_ssim(other, x, **options), atol=1e-9
        )
        alone = losses.ms_ssim(other[0], x[0], **options)
        np.testing.assert_allclose(alone, values[0], rtol=1e-9)


def test_others_are_their_metrics_below_the_maximum(float64):
    x, y = np.float64(X), np.float64(Y)
    kept = {"data_range": 1.0}
    np.testing.assert_allclose(losses.ssim(x, y, **kept), 1 - ops.ssim(x, y, **kept))
    np.testing.assert_allclose(
        losses.lw_ssim(x, y, weights=(1.0, 2.0, 3.0, 4.0), **kept),
        2 * 10 / 4 - ops.lw_ssim(x, y, weights=(1.0, 2.0, 3.0, 4.0), **kept),
    )
    np.testing.assert_allclose(
        losses.ssim_distance(x, y, norm="frobenius", **kept),
        ops.ssim_distance(x, y, **kept) ** 2,
    )
    entropy = -(x * np.log(x) + (1 - x) * np.log(1 - x)).mean((1, 2, 3))
    cross = -(x * np.log(y) + (1 - x) * np.log(1 - y)).mean((1, 2, 3))
    np.testing.assert_allclose(losses.bce(y, x, **kept), cross - entropy, rtol=1e-3)


@pytest.mark.parametrize(
    ("name", "options", "rtol"),
    [
        ("ms_ssim", {"window": WINDOW, "weights": (0.3, 0.7)}, 1e-3),
        ("ssim", {"exponents": (0.5, 1.0, 1.0)}, 1e-3),
        ("ssim", {"exponents": (1.0, 2.0, 2.0)}, 1e-3),
        ("ssim", {"exponents": (1.0, 0.5, 2.0)}, 2e-2),
        ("lw_ssim", {"exponents": (0.5, 0.2, 0.7)}, 2e-2),
    ],
)
def test_small_errors_keep_their_digits(name, options, rtol):
    # 1 less the metric would be 0 or 6e-8 in float32.
    y = X + 1e-5 * (Y - 0.5)
    loss = functools.partial(getattr(losses, name), data_range=1.0, **options)
    single = loss(y, X)
    y, x = np.asarray(y, np.float64), np.asarray(X, np.float64)
    with jax.enable_x64(True):
        double = np.asarray(loss(y, x))
        metric = functools.partial(getattr(ops, name), data_range=1.0, **options)
        difference = metric(x, x) - metric(y, x)
    assert (double < 3e-9).all()
    np.testing.assert_allclose(double, difference, rtol=1e-4)
    np.testing.assert_allclose(single, double, rtol=rtol)


@pytest.mark.parametrize("name", ["bce", "per pixel"])
def test_small_errors_beyond_the_metrics_keep_theirs(name):
    loss = functools.partial(LOSSES[name], data_range=1.0)
    for size in (1e-5, 1e-3, 0.1, 1.0):
        y = jnp.clip(X + size * (Y - 0.5), 0, 1)
        single = loss(y, X)
        with jax.enable_x64(True):
            double = loss(np.asarray(y, np.float64), np.asarray(X, np.float64))
        assert (single > 0).all()
        np.testing.assert_allclose(single, double, rtol=2e-3)


@pytest.mark.parametrize("negatives", ["relu", "shift", "raw"])
def test_per_pixel_is_one_minus_the_map_under_a_mask(negatives, float64):
    options = {"data_range": 1.0, "weights": (0.3, 0.7), "negatives": negatives}
    mask = np.linspace(0, 2, 30 * 31).reshape(30, 31, 1) * (np.arange(31) > 9)[:, None]
    x, y = np.float64(X), np.float64(Y)
    for given in (None, mask):
        errors = 1 - ops.ms_ssim_map(y, x, mask=given, **options)
        weights = np.broadcast_to(np.ones(()) if given is None else given, errors.shape)
        target = (errors * weights).sum((1, 2, 3)) / weights.sum((1, 2, 3))
        value = losses.ms_ssim_per_pixel(y, x, mask=given, **options)
        np.testing.assert_allclose(value, target, rtol=1e-9)


def test_a_config_names_a_loss_with_arguments():
    config = ConfigDict(
        {
            "name": "ssim",
            "arguments": {"window": {"uniform": {"size": 5}}, "k2": 0.05},
        }
    )
    loss = losses.by_name(config.name, data_range=1.0, **config.arguments)
    target = losses.ssim(X, Y, data_range=1.0, window=uniform_window(5), k2=0.05)
    np.testing.assert_array_equal(loss(X, Y), target)
    levels = losses.by_name(
        "lw_ssim",
        data_range=1.0,
        windows=[{"uniform": {"size": 3}}, {"gaussian": {"size": 5, "sigma": 1.0}}],
    )
    assert levels(X, Y).shape == (2,)


def test_mixtures_are_weighted_sums():
    terms = [
        {"name": "mse", "weight": 2.0},
        {"name": "ssim", "weight": 0.5, "window": {"uniform": {"size": 5}}},
    ]
    value = losses.by_name("mixture", data_range=1.0, terms=terms)(X, Y)
    ssim = losses.ssim(X, Y, data_range=1.0, window=uniform_window(5))
    target = 2 * losses.mse(X, Y, data_range=1.0) + 0.5 * ssim
    np.testing.assert_allclose(value, target, rtol=1e-6)


def test_a_new_loss_is_one_decorated_function(monkeypatch):
    monkeypatch.setattr(losses.registry, "_LOSSES", dict(_LOSSES))

    @losses.loss
    def charbonnier(prediction, target, *, data_range, epsilon=1e-3):
        error = (prediction - target) / data_range
        return jnp.sqrt(error**2 + epsilon**2).mean((-3, -2, -1)) - epsilon

    loss = losses.by_name("charbonnier", data_range=1.0, epsilon=1e-2)
    np.testing.assert_allclose(loss(X, X), 0, atol=1e-7)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("sim", {}, "no loss is named 'sim'; did you mean 'ssim'"),
        ("ssim", {"windw": 1}, "loss 'ssim' has no argument 'windw'; did you mean"),
        ("ssim", {"window": 11}, "a window must be one of"),
        ("ssim", {"window": {"gaussian": 3}}, "a window must be one of"),
        ("mixture", {"terms": []}, "terms must name at least one loss"),
        ("mixture", {"terms": [{"name": "mse"}]}, "must have a name and a weight"),
        (
            "mixture",
            {"terms": [{"name": "mse", "weight": -1.0}]},
            "weight of 'mse' must be >= 0, got -1.0",
        ),
        ("bce", {"epsilon": 0.5}, r"epsilon must be in \(0, 1/2\)"),
    ],
)
def test_mistakes_are_named(name, arguments, message, own_errors):
    with pytest.raises(ValueError, match=message):
        losses.by_name(name, data_range=1.0, **arguments)(X, Y)


def test_a_term_without_a_mask_is_named(own_errors, monkeypatch):
    monkeypatch.setattr(losses.registry, "_LOSSES", dict(_LOSSES))

    @losses.loss
    def largest(prediction, target, *, data_range):
        return jnp.abs(prediction - target).max((1, 2, 3)) / data_range

    terms = [{"name": n, "weight": 1.0} for n in ("ms_ssim_per_pixel", "largest")]
    loss = losses.by_name("mixture", data_range=1.0, terms=terms)
    with pytest.raises(TypeError, match="loss 'largest' takes no mask"):
        loss(X, Y, mask=jnp.ones(X.shape))
