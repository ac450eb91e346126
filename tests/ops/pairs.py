"""Pairs on which careless formulas give NaN, and a check of two derivatives."""

import chex
import jax
import jax.numpy as jnp


def pairs(shape=(24, 25, 1)):
    noise = jax.random.uniform(jax.random.key(0), shape)
    half = jnp.full(shape, 0.5)
    return {
        "identical": (noise, noise),
        "flat": (half, half / 2),
        "same flat": (half, half),
        "black": (jnp.zeros(shape), jnp.zeros(shape)),
        "white": (jnp.ones(shape), jnp.ones(shape)),
        "anti-correlated": (noise, 1 - noise),
        "random": (noise, noise[::-1]),
        "one pixel": (noise, noise.at[8, 8].set(0.0)),
        "flat but for rounding": (half, half.at[3, 3].add(1e-5)),
        "nearly black": (noise * 1e-20, noise[::-1] * 1e-20),
    }


def stack(shape=(24, 25, 1)):
    return tuple(jnp.stack(images) for images in zip(*pairs(shape).values()))


def check_derivatives(function, shape=(24, 25, 1), *, finite_value=True):
    """First and second derivatives in both images, under jit and vmap."""

    def gradients(x, y):
        return jax.grad(lambda x, y: function(x, y).sum(), (0, 1))(x, y)

    def derivatives(x, y, direction):
        return jax.jvp(gradients, (x, y), (direction, direction[::-1]))

    def reverse(x, y):
        return jax.grad(lambda *a: sum((g**2).sum() for g in gradients(*a)), (0, 1))(
            x, y
        )

    x, y = stack(shape)
    direction = jax.random.normal(jax.random.key(1), x.shape)
    if finite_value:
        chex.assert_tree_all_finite(jax.jit(jax.vmap(function))(x, y))
    chex.assert_tree_all_finite(jax.jit(jax.vmap(derivatives))(x, y, direction))
    chex.assert_tree_all_finite(jax.jit(jax.vmap(reverse))(x, y))
