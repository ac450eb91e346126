import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ssimjax.nn import avg_pool, max_pool

MARGIN = ((0, 1), (0, 1))  # What a 3x3 window of stride 2 needs on an even side.


def flax_max(x):
    return nnx.max_pool(x, (3, 3), (2, 2), MARGIN)


def flax_avg(x):
    return nnx.avg_pool(x, (3, 3), (2, 2), MARGIN, count_include_pad=False)


@pytest.mark.parametrize(
    ("ours", "theirs"), [(max_pool, flax_max), (avg_pool, flax_avg)]
)
def test_matches_flax_with_gradient(ours, theirs):
    x = jax.random.normal(jax.random.key(0), (2, 8, 10, 3))
    value, pull = jax.vjp(ours, x)
    target, pull_target = jax.vjp(theirs, x)
    np.testing.assert_allclose(value, target, rtol=1e-6, atol=1e-7)
    cotangent = jax.random.normal(jax.random.key(1), value.shape)
    np.testing.assert_allclose(
        pull(cotangent)[0], pull_target(cotangent)[0], rtol=1e-5, atol=1e-7
    )


@pytest.mark.parametrize("side", [1, 2, 3, 7, 32])
def test_output_is_half_the_input_rounded_up(side):
    x = jax.random.normal(jax.random.key(0), (1, side, side, 1))
    half = -(-side // 2)
    assert max_pool(x).shape == avg_pool(x).shape == (1, half, half, 1)
    assert np.isfinite(max_pool(x)).all()


@pytest.mark.parametrize("pool", [max_pool, avg_pool])
def test_half_precision_stays(pool):
    assert pool(jnp.ones((1, 7, 7, 2), jnp.bfloat16)).dtype == jnp.bfloat16
