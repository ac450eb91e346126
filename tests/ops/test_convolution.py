import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssimjax.ops import convolution, convolution_products
from ssimjax.ops.convolution import correlate

PADDINGS = [((2, 2), (1, 1)), ((0, 0), (0, 0)), ((4, 0), (1, 3)), ((5, 6), (0, 2))]
STRIDES = [(1, 1), (2, 2), (1, 3), (4, 2)]
# Of maps and filters: few channels, more of them, and enough for all cores.
FEW = (4, 9, 8, 3), (5, 3, 3, 6)
MORE = (6, 7, 8, 5), (3, 3, 5, 4)
MANY = (2, 9, 8, 8), (3, 3, 8, 16)
FEW_FILTERS = (4, 9, 8, 5), (5, 3, 5, 3)
ONE_TAP = (2, 9, 8, 8), (1, 1, 8, 16)


def plain(x, kernel, *, padding, strides=(1, 1)):
    return jax.lax.conv_general_dilated(
        x, kernel, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def arrays(shapes=FEW):
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
    ("shapes", "padding", "strides", "limits"),
    [
        *((FEW, padding, (1, 1), {}) for padding in PADDINGS),
        *((FEW, *pair, {}) for pair in zip(PADDINGS[1:], STRIDES[1:])),
        (FEW, PADDINGS[2], (2, 1), {"_PATCH_BYTES": 18_000}),  # two images
        (MORE, PADDINGS[0], (1, 1), {"_PATCH_BYTES": 38_880}),  # three images
        (MORE, PADDINGS[3], (2, 2), {"_PATCH_BYTES": 1}),
        (MORE, PADDINGS[0], (1, 1), {"_MOST_PATCH_BYTES": 0}),
        (MORE, PADDINGS[3], (2, 3), {"_MOST_PATCH_BYTES": 0}),
        (MANY, PADDINGS[2], (1, 1), {"_ON_ONE_CORE": True}),
        (MANY, ((1, 1), (1, 1)), (1, 1), {"_ON_ONE_CORE": True}),
        *((FEW_FILTERS, padding, (1, 1), {}) for padding in PADDINGS),
        (FEW_FILTERS, PADDINGS[2], (2, 1), {}),
        (FEW_FILTERS, PADDINGS[2], (1, 1), {"_PATCH_BYTES": 26_000}),  # two images
        (FEW_FILTERS, PADDINGS[2], (1, 1), {"_MOST_PATCH_BYTES": 0}),
        (FEW, PADDINGS[3], (1, 1), {"_ON_ONE_CORE": True}),
        (FEW, PADDINGS[2], (2, 1), {"_ON_ONE_CORE": True, "_PATCH_BYTES": 18_000}),
    ],
)
def test_is_the_plain_convolution(
    shapes, padding, strides, limits, float64, monkeypatch
):
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    for name, value in limits.items():
        module = convolution_products if "PATCH" in name else convolution
        monkeypatch.setattr(module, name, value)
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
@pytest.mark.parametrize("devices", [1, 2])
def test_vmap(devices, axes, strides, float64, monkeypatch):
    monkeypatch.setattr(jax, "device_count", lambda: devices)
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
@pytest.mark.parametrize("shapes", [FEW, MORE])
def test_gradients_are_products_or_plain_convolutions(shapes, strides, monkeypatch):
    """XLA's CPU backend is fast with this order of axes, and pixels without gaps."""
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    monkeypatch.setattr(convolution, "_ON_ONE_CORE", False)
    x, kernel = (jnp.asarray(a, jnp.float32) for a in arrays(shapes))

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
    assert len(orders) == (1 if shapes is FEW else 2)
    assert all("dim_labels=b01f_01io->b01f" in line for line in orders)
    assert not any("lhs_dilate" in line for line in orders)


@pytest.mark.parametrize(("devices", "products"), [(1, True), (2, False)])
def test_a_batch_is_divided_on_one_device(devices, products, monkeypatch):
    """Several devices share it, and would have to send it around."""
    monkeypatch.setattr(jax, "device_count", lambda: devices)
    monkeypatch.setattr(convolution_products, "_PATCH_BYTES", 1)
    gradient = jax.grad(lambda k, x: correlate(x, k, padding=PADDINGS[1]).sum())
    x, kernel = (jnp.asarray(a, jnp.float32) for a in arrays(MORE))
    text = jax.jit(gradient).lower(kernel, x).as_text()
    assert ("stablehlo.while" in text) == products
    assert ("stablehlo.convolution" in text) != products


@pytest.mark.parametrize(
    ("one_core", "shapes", "padding"),
    [
        (True, MANY, 1),
        (False, MANY, 1),
        (True, FEW, 1),
        (True, MANY, 0),
        (True, ONE_TAP, 0),
    ],
)
def test_more_rows_bring_a_convolution_to_all_cores(
    one_core, shapes, padding, monkeypatch
):
    """Few channels, many more rows, and single taps are better off without."""
    monkeypatch.setattr(convolution, "_ON_ONE_CORE", one_core)
    x, kernel = (jnp.asarray(a, jnp.float32) for a in arrays(shapes))
    text = jax.jit(
        functools.partial(correlate, padding=((padding, padding),) * 2)
    ).lower(x, kernel)
    more = one_core and shapes is MANY and padding == 1
    assert ("stablehlo.slice" in text.as_text()) == more


@pytest.mark.parametrize(
    ("one_core", "devices", "channels", "product"),
    [
        (True, 1, 3, True),
        (True, 1, 7, True),
        (False, 1, 3, False),
        (True, 2, 3, False),
        (True, 1, 1, False),
        (True, 1, 4, False),
        (True, 1, 9, False),
    ],
)
def test_odd_channels_are_convolved_by_a_product(
    one_core, devices, channels, product, monkeypatch
):
    monkeypatch.setattr(convolution, "_ON_ONE_CORE", one_core)
    monkeypatch.setattr(jax, "device_count", lambda: devices)
    x, kernel = jnp.ones((2, 9, 8, channels)), jnp.ones((5, 3, channels, 32))
    text = jax.jit(functools.partial(correlate, padding=PADDINGS[0])).lower(x, kernel)
    assert ("stablehlo.dot_general" in text.as_text()) == product
    assert ("stablehlo.convolution" in text.as_text()) != product


@pytest.mark.parametrize(
    ("devices", "filters", "size", "strides", "product"),
    [
        (1, 3, (5, 3), (1, 1), True),
        (1, 4, (5, 3), (1, 1), False),
        (1, 3, (1, 1), (1, 1), False),
        (1, 3, (5, 3), (2, 1), False),
        (2, 3, (5, 3), (1, 1), False),
    ],
)
def test_few_filters_are_a_product(
    devices, filters, size, strides, product, monkeypatch
):
    monkeypatch.setattr(jax, "device_count", lambda: devices)
    x, kernel = jnp.ones((2, 9, 8, 16)), jnp.ones((*size, 16, filters))
    text = jax.jit(
        functools.partial(correlate, padding=PADDINGS[1], strides=strides)
    ).lower(x, kernel)
    assert ("stablehlo.dot_general" in text.as_text()) == product
    assert ("stablehlo.convolution" in text.as_text()) != product


def test_fewer_filters_than_channels_need_no_patches_of_the_maps(monkeypatch):
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    monkeypatch.setattr(convolution_products, "_PATCH_BYTES", 2**40)
    x, kernel = jnp.ones((4, 32, 32, 32)), jnp.ones((5, 5, 32, 2))
    gradient = jax.grad(lambda k: (correlate(x, k, padding=((2, 2),) * 2) ** 2).sum())
    memory = jax.jit(gradient).lower(kernel).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 25 * x.nbytes / 4
