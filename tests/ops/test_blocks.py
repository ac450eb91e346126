import functools
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssimjax.ops.blocks import block_means, repeated

# Shapes, factors and axes: rests that are dropped, one channel, one and three axes.
CASES = [
    ((2, 7, 9, 3), 2, (1, 2)),
    ((6, 8, 1), 2, (0, 1)),
    ((5, 7), 3, (0,)),
    ((10, 4), 3, (0, 1)),
    ((4, 5, 6, 2), 2, (0, 1, 2)),
    ((0, 4, 4, 1), 2, (1, 2)),
]


def plain_means(x, factor, *, axes):
    for axis in axes:
        blocks = x.shape[axis] // factor
        x = jax.lax.slice_in_dim(x, 0, blocks * factor, axis=axis)
        shape = (*x.shape[:axis], blocks, factor, *x.shape[axis + 1 :])
        x = x.reshape(shape).mean(axis + 1)
    return x


def plain_repeats(x, factor, *, axes):
    for axis in axes:
        x = jnp.repeat(x, factor, axis)
    return x


def numbers(shape):
    return jnp.asarray(np.random.default_rng(0).random(shape))


PAIRS = [(block_means, plain_means), (repeated, plain_repeats)]


@pytest.mark.parametrize(("function", "plain"), PAIRS)
@pytest.mark.parametrize(("shape", "factor", "axes"), CASES)
def test_values_and_derivatives(function, plain, shape, factor, axes, float64):
    @functools.partial(jax.jit, static_argnums=0)
    def derivatives(function, x):
        function = functools.partial(function, factor=factor, axes=axes)

        def total(x):
            return jnp.sin(3 * function(x)).sum()

        def along(x):
            return jnp.cos(jax.grad(total)(x)).sum()

        forward = jax.jvp(function, (x,), (jnp.cos(x),))
        reverse = jax.jvp(jax.grad(total), (x,), (jnp.cos(x),))
        return *forward, *reverse, jax.grad(along)(x)

    x = numbers(shape)
    values, targets = derivatives(function, x), derivatives(plain, x)
    for value, target in zip(values, targets, strict=True):
        assert value.shape == target.shape
        np.testing.assert_allclose(value, target, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("function", "plain"), PAIRS)
@pytest.mark.parametrize("axis", [0, 1, 3])
def test_vmap(function, plain, axis):
    x = numbers((3, 4, 6)).astype(jnp.float32)
    stacked = jnp.stack([x, 2 * x], axis)
    value = jax.vmap(lambda x: function(x, 2, axes=(1, 2)), axis)(stacked)
    target = plain(x, 2, axes=(1, 2))
    np.testing.assert_allclose(value, [target, 2 * target], rtol=1e-6)


def test_gradients_of_coarser_scales_are_not_computed_for_every_pixel():
    if jax.default_backend() != "cpu":
        pytest.skip("only CPUs have loops of their own for each scale")

    def total(x):
        sums = 0.0
        for _ in range(4):
            sums += jnp.sin(x).sum()
            x = block_means(x, 2, axes=(0, 1))
        return sums

    finest = 64 * 64
    text = jax.jit(jax.grad(total)).lower(jnp.ones((64, 64))).compile().as_text()
    entry = text[text.index("ENTRY") :]
    sizes = {
        name: math.prod(int(side) for side in sides.split(",") if side)
        for name, sides in re.findall(r"%([\w.\-]+) = \w+\[([\d,]*)\]", entry)
    }
    loops = re.findall(r"%([\w.\-]+) = \S+ (?:fusion|call)\(([^)]*)\)", entry)
    reads = {
        name: {sizes[read] for read in re.findall(r"%([\w.\-]+)", operands)}
        for name, operands in loops
        if sizes[name] == finest
    }
    assert reads and all(
        read == 1 or read >= finest // 4 for sizes in reads.values() for read in sizes
    )
