import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssimjax.ops.convolution import correlate

PADDINGS = [((2, 2), (1, 1)), ((0, 0), (0, 0)), ((4, 0), (1, 3)), ((5, 6), (0, 2))]
STRIDES = [(1, 1), (2, 2), (1, 3), (4, 2)]
# Of maps and filters: a small batch, one in groups with a rest, few channels.
SMALL = (4, 9, 8, 3), (5, 3, 3, 6)
GROUPS = (17, 7, 8, 5), (3, 3, 5, 2)
FEW = (16, 7, 8, 2), (3, 3, 2, 32)


def plain(x, kernel, *, padding, strides=(1, 1)):
    return jax.lax.conv_general_dilated(
        x, kernel, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def arrays(shapes=SMALL):
    rng = np.random.default_rng(0)
    return [jnp.asarray(rng.normal(size=shape)) for shape in shapes]


def derivatives(function, x, kernel):
    def total(x, kernel):
        return jnp.sin(function(x, kernel)).sum()

    def along(x, kernel):
        gradients = jax.grad(total, (0, 1))(x, kernel)
        return sum((jnp.cos(g) * g).sum() for g in gradients)

    return {
        "value": function(x, kernel),
        "gradients": jax.grad(total, (0, 1))(x, kernel),
        "forward": jax.jvp(function, (x, kernel), (jnp.cos(x), jnp.sin(kernel))),
        "reverse over reverse": jax.grad(along, (0, 1))(x, kernel),
        "forward over reverse": jax.jvp(
            jax.grad(total, (0, 1)), (x, kernel), (jnp.cos(x), jnp.sin(kernel))
        ),
    }


@pytest.mark.parametrize(
    ("shapes", "padding", "strides"),
    [
        *((SMALL, padding, (1, 1)) for padding in PADDINGS),
        *((SMALL, *pair) for pair in zip(PADDINGS[1:], STRIDES[1:])),
        (GROUPS, PADDINGS[0], (1, 1)),
        (GROUPS, PADDINGS[3], (2, 2)),
        (FEW, PADDINGS[2], (1, 1)),
        (FEW, PADDINGS[0], (2, 2)),
    ],
)
def test_is_the_plain_convolution(shapes, padding, strides, float64, monkeypatch):
    # Several devices share a batch, which then is not divided again.
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    x, kernel = arrays(shapes)
    values, targets = (
        jax.jit(
            functools.partial(
                derivatives, functools.partial(f, padding=padding, strides=strides)
            )
        )(x, kernel)
        for f in (correlate, plain)
    )
    for (path, value), target in zip(
        jax.tree.leaves_with_path(values), jax.tree.leaves(targets)
    ):
        np.testing.assert_allclose(value, target, rtol=1e-9, atol=1e-10, err_msg=path)


@pytest.mark.parametrize("strides", STRIDES[:2])
@pytest.mark.parametrize("axes", [(1, None), (None, 3), (2, 0)])
def test_vmap(axes, strides, float64):
    x, kernel = arrays()
    stacked = [
        a if axis is None else jnp.stack([a, 2 * a, a**2], axis)
        for a, axis in zip((x, kernel), axes)
    ]
    values, targets = (
        jax.vmap(
            jax.grad(
                lambda x, k, f=f: (
                    f(x, k, padding=PADDINGS[0], strides=strides) ** 2
                ).sum(),
                (0, 1),
            ),
            axes,
        )(*stacked)
        for f in (correlate, plain)
    )
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-9), values, targets
    )


@pytest.mark.parametrize("strides", STRIDES[:2])
def test_gradients_in_a_loop_are_plain_convolutions(strides):
    """XLA's CPU backend is fast with this order of axes, and pixels without gaps."""
    x, kernel = (jnp.asarray(a, jnp.float32) for a in arrays())

    def descend(_, carry):
        gradients = jax.grad(
            lambda x, k: (
                correlate(x, k, padding=PADDINGS[0], strides=strides) ** 2
            ).sum(),
            (0, 1),
        )(*carry)
        return tuple(a - 0.001 * g for a, g in zip(carry, gradients))

    loop = jax.jit(lambda *carry: jax.lax.fori_loop(0, 3, descend, carry))
    text = loop.lower(x, kernel).compile().as_text()
    orders = [line for line in text.splitlines() if " convolution(" in line]
    assert len(orders) == 3
    assert all("dim_labels=b01f_01io->b01f" in line for line in orders)
    assert not any("lhs_dilate" in line for line in orders)


@pytest.mark.parametrize(("devices", "loops"), [(1, True), (2, False)])
@pytest.mark.parametrize("shapes", [GROUPS, FEW])
def test_a_batch_is_divided_on_one_device(shapes, devices, loops, monkeypatch):
    monkeypatch.setattr(jax, "device_count", lambda: devices)
    gradient = jax.grad(lambda k, x: correlate(x, k, padding=PADDINGS[1]).sum())
    x, kernel = (jnp.asarray(a, jnp.float32) for a in arrays(shapes))
    text = jax.jit(gradient).lower(kernel, x).as_text()
    assert ("stablehlo.while" in text) == loops
