import jax
import numpy as np
import pytest

from ssimjax.training import named_key, root_key

SHAPE = (3, 2, 5)
DRAWS = {
    "normal": lambda key: jax.random.normal(key, SHAPE),
    "uniform": lambda key: jax.random.uniform(key, SHAPE, minval=-1),
    "truncated": lambda key: jax.random.truncated_normal(key, -2, 2, SHAPE),
    "bernoulli": lambda key: jax.random.bernoulli(key, 0.3, SHAPE),
    "integers": lambda key: jax.random.randint(key, SHAPE, 0, 1000),
    "permutation": lambda key: jax.random.permutation(key, 17),
    "half precision": lambda key: jax.random.normal(key, SHAPE, np.float16),
    "split": lambda key: jax.random.normal(jax.random.split(key, (2, 3))[1, 2], SHAPE),
    "step": lambda key: jax.random.normal(jax.random.fold_in(key, 5), SHAPE),
    "name": lambda key: jax.random.normal(named_key(key, "train"), SHAPE),
    "several": lambda key: jax.vmap(lambda k: jax.random.normal(k, SHAPE))(
        jax.random.split(key, 4)
    ),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_draws_what_the_usual_key_draws(draw):
    seed = 2**31 + 5
    usual = jax.random.key(seed, impl="threefry2x32")
    key = root_key(seed)
    assert key.dtype != usual.dtype
    np.testing.assert_array_equal(jax.jit(draw)(key), jax.jit(draw)(usual))


def test_draws_64_bits_likewise(float64):
    usual = jax.random.key(1, impl="threefry2x32")
    np.testing.assert_array_equal(
        jax.random.normal(root_key(1), SHAPE), jax.random.normal(usual, SHAPE)
    )


def test_elsewhere_it_is_the_usual_key(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    assert root_key(1).dtype == jax.random.key(1, impl="threefry2x32").dtype


def test_loops_draw_flat():
    """Loops over short axes are what takes long to compile."""
    key = root_key(0)
    text = jax.jit(lambda k: jax.random.normal(k, SHAPE)).lower(key).as_text()
    rounds = [line for line in text.splitlines() if "stablehlo.xor" in line]
    assert rounds and not any("3x2x5" in line for line in rounds)
