import math

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ssimjax.training import sgd


def trajectory(steps=3, **options):
    optimizer = sgd(steps=steps, **options)
    params = {"layer": {"kernel": jnp.array(1.0), "filters": jnp.array(1.0)}}
    state = optimizer.init(params)
    values = []
    for _ in range(steps):
        gradients = {"layer": {"kernel": jnp.array(0.5), "filters": jnp.array(0.5)}}
        updates, state = optimizer.update(gradients, state, params)
        params = optax.apply_updates(params, updates)
        values.append([float(params["layer"][k]) for k in ("kernel", "filters")])
    return np.array(values).T


def by_hand(rates, momentum=0.9, weight_decay=0.1, factor=1.0):
    weight, velocity, values = 1.0, 0.0, []
    for rate in rates:
        velocity = momentum * velocity + 0.5 + weight_decay * weight
        weight -= rate * factor * velocity
        values.append(weight)
    return values


def test_momentum_decay_and_factors_are_as_documented(float64):
    kernel, filters = trajectory(
        rate=0.01, weight_decay=0.1, rate_factors={"filters": 30.0}
    )
    np.testing.assert_allclose(kernel, by_hand([0.01] * 3), rtol=1e-6)
    np.testing.assert_allclose(filters, by_hand([0.01] * 3, factor=30), rtol=1e-6)


def test_cosine_ends_at_zero(float64):
    kernel, _ = trajectory(rate=0.01, schedule="cosine", weight_decay=0.1, steps=4)
    rates = 0.01 * (1 + np.cos(np.pi * np.arange(4) / 4)) / 2
    np.testing.assert_allclose(kernel, by_hand(rates), rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"schedule": "linear"},
            "schedule must be 'constant' or 'cosine', got 'linear'",
        ),
        ({"rate": 0.0}, "rate must be > 0, got 0.0"),
        ({"momentum": 1.0}, r"momentum must be in \[0, 1\), got 1.0"),
        ({"weight_decay": -1.0}, "weight_decay must be >= 0, got -1.0"),
        (
            {"rate_factors": {"filters": -5.0}},
            "rate_factors must be numbers >= 0, got -5.0 for 'filters'",
        ),
        ({"rate_factors": {"filters": math.nan}}, "got nan for 'filters'"),
    ],
)
def test_bad_options(options, message, own_errors):
    with pytest.raises(ValueError, match=message):
        sgd(**({"rate": 0.1, "steps": 10} | options))
