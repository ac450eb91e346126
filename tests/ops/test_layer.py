import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssimjax.ops import ssim_conv
from ssimjax.ops.patch_ssim import patch_ssim
from tests.ops.oracle import extract_patches, ssim_conv_oracle

C1, C2 = 1e-4, 9e-4
sides = st.integers(1, 11)
pads = st.tuples(st.integers(0, 3), st.integers(0, 3))


def relative_error(value, target):
    return np.abs(np.asarray(value) - target).max() / np.abs(target).max()


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    kernel=st.tuples(sides, sides),
    extra=st.tuples(st.integers(0, 6), st.integers(0, 6)),
    channels=st.integers(1, 64),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    pads=st.tuples(pads, pads),
    offset=st.sampled_from([0.0, 1.0, -10.0, 100.0]),
    seed=st.integers(0, 2**16),
)
def test_matches_the_oracle(kernel, extra, channels, strides, pads, offset, seed):
    if (*kernel, channels) == (1, 1, 1):
        channels = 2
    rng = np.random.default_rng(seed)
    size = [k + e for k, e in zip(kernel, extra)]
    x = (rng.random((2, *size, channels)) + offset).astype(np.float32)
    filters = rng.standard_normal((*kernel, channels, 3)).astype(np.float32)
    target = ssim_conv_oracle(x, filters, strides=strides, pads=pads)
    layer = functools.partial(ssim_conv, strides=strides, padding=pads)
    value = jax.jit(layer)(x, filters)
    assert value.dtype == jnp.float32
    assert relative_error(value, target) < 1e-5


def test_border_of_a_large_image_matches_that_of_a_small_one(monkeypatch):
    x = 100 + jax.random.uniform(jax.random.key(0), (2, 9, 8, 3))
    filters = jax.random.normal(jax.random.key(1), (5, 4, 3, 6))
    pads = ((5, 2), (1, 4))  # Some patches see nothing but padding.
    small = ssim_conv(x, filters, padding=pads, strides=(1, 2))
    monkeypatch.setattr("ssimjax.ops.patches._LARGEST_CONSTANT", 0)
    large = ssim_conv(x, filters, padding=pads, strides=(1, 2))
    target = ssim_conv_oracle(x, filters, strides=(1, 2), pads=pads)
    assert relative_error(small, target) < 1e-5
    assert relative_error(large, target) < 1e-5


@pytest.mark.parametrize("kernel", [(5, 5), (4, 3), (7, 2)])
@pytest.mark.parametrize("strides", [1, 2, (1, 3)])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_named_padding_is_that_of_lax(kernel, strides, padding):
    rng = np.random.default_rng(0)
    x = rng.random((2, 11, 12, 3), np.float32)
    filters = rng.standard_normal((*kernel, 3, 4)).astype(np.float32)
    pair = (strides, strides) if isinstance(strides, int) else strides
    layer = functools.partial(ssim_conv, strides=strides, padding=padding)
    value = jax.jit(layer)(x, filters)
    explicit = jax.lax.padtype_to_pads(x.shape[1:3], kernel, pair, padding)
    target = ssim_conv_oracle(x, filters, strides=pair, pads=tuple(explicit))
    assert relative_error(value, target) < 1e-5
    convolution = jax.lax.conv_general_dilated(
        x, filters, pair, padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    assert value.shape == convolution.shape


def test_a_patch_equal_to_the_filter_scores_one():
    x = jax.random.uniform(jax.random.key(0), (1, 9, 9, 3))
    filters = x[0, 2:7, 3:8, :, None]
    value = ssim_conv(x, filters, padding="VALID")
    np.testing.assert_allclose(value[0, 2, 3, 0], 1.0, rtol=1e-6)
    assert (value <= 1 + 1e-6).all() and (value >= -1 - 1e-6).all()


def test_filters_gradient_is_the_closed_form_of_the_paper(float64):
    # Eq. 16-19 with the sample statistics of Eq. 5 and 7, derived: the paper's own
    # Eq. 18 is cut short and follows a reference with population statistics.
    rng = np.random.default_rng(1)
    x = jnp.asarray(rng.random((1, 6, 7, 2)))
    filters = jnp.asarray(rng.standard_normal((3, 3, 2, 2)))
    weights = jnp.asarray(rng.standard_normal((1, 4, 5, 2)))
    value = jax.grad(lambda f: (weights * ssim_conv(x, f, padding="VALID")).sum())(
        filters
    )

    patches = extract_patches(x, (3, 3), (1, 1), ((0, 0), (0, 0)))
    target = np.zeros(filters.shape)
    for index in np.ndindex(1, 4, 5):
        patch = patches[index]
        for k in range(2):
            y = np.asarray(filters[..., k])
            n, mx, my = patch.size, patch.mean(), y.mean()
            vx, vy = patch.var(ddof=1), y.var(ddof=1)
            cov = ((patch - mx) * (y - my)).sum() / (n - 1)
            a1, a2 = 2 * mx * my + C1, 2 * cov + C2
            b1, b2 = mx**2 + my**2 + C1, vx + vy + C2
            structure = a1 * b1 * (b2 * (patch - mx) - a2 * (y - my)) / (n - 1)
            luminance = a2 * b2 * (b1 * mx - a1 * my) / n
            gradient = 2 * (structure + luminance) / (b1 * b2) ** 2
            target[..., k] += float(weights[(*index, k)]) * gradient
    np.testing.assert_allclose(value, target, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"strides": 2, "padding": ((1, 2), (0, 3))},
        {"patches": "per_channel"},
        {"exponents": (1.0, 2.0, 1.0), "structure_form": "printed"},
        {"exponents": (0.5, 0.3, 1.5), "c3": 1e-3, "padding": "VALID"},
    ],
)
def test_derivatives_match_finite_differences(options, float64):
    # Filters that resemble a patch keep similarities away from 0, where fractional
    # powers bend too sharply for finite differences.
    rng = np.random.default_rng(2)
    x = jnp.asarray(np.tile(rng.random((1, 3, 3, 2)), (1, 2, 2, 1)))
    filters = x[0, :3, :3, :, None] + 0.1 * rng.standard_normal((3, 3, 2, 2))
    x = x[:, :3, :4] if options.get("padding") == "VALID" else x
    layer = jax.jit(functools.partial(ssim_conv, **options))
    jax.test_util.check_grads(layer, (x, filters), order=2, rtol=1e-5)


@pytest.mark.parametrize("patches", ["across_channels", "per_channel"])
@pytest.mark.parametrize("exponents", [(1.0, 1.0, 1.0), (0.5, 0.3, 1.5)])
@pytest.mark.parametrize("form", ["standard", "printed"])
def test_derivatives_are_finite_on_constant_input(patches, exponents, form):
    def total(x, filters):
        return ssim_conv(
            x, filters, patches=patches, exponents=exponents, structure_form=form
        ).sum()

    gradients = jax.grad(total, (0, 1))

    @jax.jit
    def derivatives(x, filters):
        def squared_gradient(*inputs):
            return sum((g**2).sum() for g in gradients(*inputs))

        return (
            total(x, filters),
            gradients(x, filters),
            jax.grad(squared_gradient, (0, 1))(x, filters),
        )

    random = jax.random.normal(jax.random.key(0), (3, 3, 2, 2))
    for pixel in (0.0, 1.0, 100.0):
        x = jnp.full((1, 6, 6, 2), pixel)
        for filters in (random, jnp.zeros_like(random), jnp.ones_like(random)):
            chex.assert_tree_all_finite(derivatives(x, filters))


def test_gradient_in_filters_alone_equals_the_joint_one():
    x = jax.random.uniform(jax.random.key(0), (2, 8, 8, 3))
    filters = jax.random.normal(jax.random.key(1), (5, 5, 3, 4))

    @jax.jit
    def total(x, filters):
        return (ssim_conv(x, filters) ** 2).sum()

    chex.assert_trees_all_close(
        (jax.grad(total, 0)(x, filters), jax.grad(total, 1)(x, filters)),
        jax.grad(total, (0, 1))(x, filters),
        rtol=1e-5,
        atol=1e-7,
    )


@pytest.mark.parametrize("strides", [(1, 1), (1, 2), (3, 1)])
def test_per_channel_is_the_mean_of_the_oracle_of_each(strides):
    rng = np.random.default_rng(0)
    x = rng.random((2, 8, 9, 3)).astype(np.float32)
    filters = rng.standard_normal((3, 5, 3, 4)).astype(np.float32)
    options = {"strides": strides, "pads": ((1, 2), (0, 3))}
    value = ssim_conv(
        x, filters, patches="per_channel", strides=strides, padding=options["pads"]
    )
    each = [
        ssim_conv_oracle(x[..., [c]], filters[:, :, [c]], **options) for c in range(3)
    ]
    assert relative_error(value, sum(each) / 3) < 1e-5


@pytest.mark.parametrize("options", [{}, {"exponents": (0.5, 0.3, 1.5)}])
def test_groups_of_images_are_the_whole_batch(options, float64, monkeypatch):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.random((6, 7, 8, 2)))
    filters = jnp.asarray(rng.standard_normal((3, 2, 2, 3)))
    layer = functools.partial(ssim_conv, patches="per_channel", strides=2, **options)

    def derivatives(x, filters):
        def total(x, filters):
            return jnp.sin(3 * layer(x, filters)).sum()

        gradients = jax.grad(total, (0, 1))
        return (
            layer(x, filters),
            gradients(x, filters),
            jax.jvp(gradients, (x, filters), (jnp.cos(x), jnp.cos(filters))),
        )

    # Of new functions, for what is patched is seen when a program is made.
    whole = jax.jit(lambda *given: derivatives(*given))(x, filters)
    monkeypatch.setattr("jax.device_count", lambda: 1)
    bytes_of_two = 2 * 4 * 4 * 3 * 8
    monkeypatch.setattr("ssimjax.ops.channel_patches._TILE_BYTES", bytes_of_two)
    assert "length=3" in str(jax.make_jaxpr(layer)(x, filters))
    grouped = jax.jit(lambda *given: derivatives(*given))(x, filters)
    chex.assert_trees_all_close(grouped, whole, rtol=1e-10)


def test_per_channel_gradients_do_not_keep_a_map_per_channel():
    x = jax.random.uniform(jax.random.key(0), (2, 32, 32, 16))
    filters = jax.random.normal(jax.random.key(1), (3, 3, 16, 32))

    @jax.jit
    def gradients(x, filters):
        def total(x, filters):
            return (ssim_conv(x, filters, patches="per_channel") ** 2).sum()

        return jax.grad(total, (0, 1))(x, filters)

    memory = gradients.lower(x, filters).compile().memory_analysis()
    one_map = 4 * 2 * 32 * 32 * 32
    assert memory.temp_size_in_bytes < 14 * one_map


@pytest.mark.parametrize(
    ("channels", "options", "own"),
    [
        (3, {}, True),
        (1, {}, False),
        (3, {"c3": 1e-3}, False),
        (3, {"exponents": (1.0, 2.0, 1.0)}, False),
        (3, {"structure_form": "printed"}, False),
        (3, {"patches": "across_channels"}, False),
    ],
)
def test_gradient_of_three_matrices_is_for_several_channels_and_the_usual_form(
    channels, options, own, monkeypatch
):
    asked = []
    monkeypatch.setattr(
        "ssimjax.ops.layer.patch_ssim",
        lambda c1, c2: asked.append((c1, c2)) or patch_ssim(c1, c2),
    )
    x, filters = jnp.ones((1, 5, 5, channels)), jnp.ones((3, 3, channels, 2))
    ssim_conv(x, filters, **{"patches": "per_channel", **options})
    assert bool(asked) == own


def test_general_form_meets_equation_8_at_unit_exponents():
    x = jax.random.uniform(jax.random.key(0), (2, 8, 8, 3))
    filters = jax.random.normal(jax.random.key(1), (3, 3, 3, 4))
    np.testing.assert_allclose(
        ssim_conv(x, filters, c3=C2 / 2), ssim_conv(x, filters), rtol=2e-5, atol=1e-7
    )


def test_printed_equation_6_doubles_the_covariance_at_equality():
    x = jax.random.uniform(jax.random.key(0), (1, 5, 5, 1))
    value = ssim_conv(x, x[0, ..., None], padding="VALID", structure_form="printed")
    variance = np.var(np.asarray(x), ddof=1)
    c3 = C2 / 2
    np.testing.assert_allclose(
        value.item(), (2 * variance + c3) / (variance + c3), rtol=1e-6
    )


def test_half_precision_input_is_computed_in_float32():
    x = jax.random.uniform(jax.random.key(0), (1, 8, 8, 3), jnp.bfloat16)
    filters = jax.random.normal(jax.random.key(1), (3, 3, 3, 4))
    value = ssim_conv(x, filters)
    chex.assert_trees_all_equal(value, ssim_conv(x.astype(jnp.float32), filters))
    assert value.dtype == jnp.float32


@pytest.mark.parametrize(
    ("x_shape", "filters_shape", "options", "message"),
    [
        ((8, 8, 3), (3, 3, 3, 4), {}, r"x must be \[batch, height, width, c_in\]"),
        ((1, 8, 8, 3), (3, 3, 3), {}, r"filters must be \[height, width, c_in, c_out"),
        ((1, 8, 8, 3), (3, 3, 2, 4), {}, r"x has 3 channels but filters expect c_in=2"),
        ((1, 8, 8, 3), (0, 3, 3, 4), {}, r"filters have an empty axis"),
        ((1, 8, 8, 1), (1, 1, 1, 4), {}, r"filters of one element have no sample var"),
        ((1, 8, 8, 3), (3, 3, 3, 4), {"strides": 0}, r"strides must be .* got 0"),
        ((1, 8, 8, 3), (3, 3, 3, 4), {"padding": "same"}, r"padding must be 'SAME'"),
        ((1, 8, 8, 3), (3, 3, 3, 4), {"padding": 1}, r"padding must .* pairs.* got 1"),
        (
            (1, 8, 8, 3),
            (3, 3, 3, 4),
            {"padding": ((1,), (2,))},
            r"padding must .* pairs",
        ),
        ((1, 8, 8, 3), (3, 3, 3, 4), {"padding": ((1, -1), (0, 0))}, r">= 0"),
        ((1, 8, 2, 3), (3, 3, 3, 4), {"padding": "VALID"}, r"x has a width of 2"),
        (
            (1, 8, 8, 3),
            (3, 3, 3, 4),
            {"c1": 0.0},
            r"c1 must be > 0 and finite, got 0.0",
        ),
        (
            (1, 8, 8, 3),
            (3, 3, 3, 4),
            {"c3": -1.0},
            r"c3 must be > 0 and finite, got -1.0",
        ),
        ((1, 8, 8, 3), (3, 3, 3, 4), {"exponents": (1.0, 0.0, 1.0)}, r"exponents must"),
        ((1, 8, 8, 3), (3, 3, 3, 4), {"patches": "each"}, r"patches must be .*'each'"),
        (
            (1, 8, 8, 3),
            (3, 3, 3, 4),
            {"structure_form": "old"},
            r"structure_form must be .*'old'",
        ),
    ],
)
def test_bad_input_names_the_argument(
    x_shape, filters_shape, options, message, own_errors
):
    with pytest.raises(ValueError, match=message):
        ssim_conv(jnp.zeros(x_shape), jnp.zeros(filters_shape), **options)


def test_ranks_are_checked_per_channel_too(own_errors):
    with pytest.raises(ValueError, match=r"filters must be \[height, width, c_in"):
        ssim_conv(jnp.zeros((1, 8, 8, 3)), jnp.zeros((3, 3)), patches="per_channel")


@pytest.mark.parametrize("patches", ["across_channels", "per_channel"])
def test_integers_are_refused(patches, own_errors):
    images = jnp.zeros((1, 8, 8, 3), jnp.uint8)
    with pytest.raises(TypeError, match="x must be floating-point, got uint8"):
        ssim_conv(images, jnp.zeros((3, 3, 3, 4)), patches=patches)
