import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssimjax.ops import filtering


def on_gpu(values, taps):
    return filtering._on_gpu(values, taps=taps, margin=0, fused=False)


fused = functools.partial(filtering.weighted_sums, fused=True)
FORMS = [filtering.banded, filtering.weighted_sums, fused, on_gpu]
SYMMETRIC = (0.1, 0.2, 0.4, 0.2, 0.1)
SLANTED = (0.5, -1.0, 2.0, 0.25)
LONG = tuple(np.random.default_rng(1).random(70).tolist())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("taps", [(2.0,), SYMMETRIC, SLANTED, LONG])
@pytest.mark.parametrize("shape", [(70, 1), (2, 131, 3), (1, 2, 96, 5)])
def test_every_form_is_the_convolution(form, taps, shape, float64):
    values = np.random.default_rng(0).random(shape)
    np.testing.assert_allclose(
        form(jnp.asarray(values), taps),
        filtering.convolved(jnp.asarray(values), taps),
        rtol=1e-12,
    )


@pytest.mark.parametrize("taps", [SLANTED, LONG])
def test_the_form_of_a_gpu_has_margins_of_zeros(taps, float64):
    values = np.random.default_rng(0).random((2, 75, 3))
    padded = np.pad(values, [(0, 0), (2, 2), (0, 0)])
    np.testing.assert_allclose(
        filtering._on_gpu(jnp.asarray(values), taps=taps, margin=2, fused=False),
        filtering.convolved(jnp.asarray(padded), taps),
        rtol=1e-12,
    )


@pytest.mark.parametrize("name", ["weighted_sums", "fused"])
@pytest.mark.parametrize("taps", [SYMMETRIC, SLANTED, LONG])
def test_derivatives_are_those_of_the_convolution(taps, name, float64):
    weighted_sums = {"weighted_sums": filtering.weighted_sums, "fused": fused}[name]
    rng = np.random.default_rng(0)
    values, tangent = jnp.asarray(rng.random((2, 2, 75, 3)))

    def of(form):
        def energy(values):
            return (form(values, taps) ** 3).sum()

        gradient = jax.grad(energy)
        forward_over_reverse = jax.jvp(gradient, (values,), (tangent,))[1]
        reverse_over_reverse = jax.grad(lambda v: jnp.vdot(gradient(v), tangent))
        return (
            jax.jvp(energy, (values,), (tangent,)),
            gradient(values),
            forward_over_reverse,
            reverse_over_reverse(values),
        )

    for value, target in zip(
        jax.tree.leaves(of(weighted_sums)),
        jax.tree.leaves(of(filtering.convolved)),
    ):
        np.testing.assert_allclose(value, target, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("axis", [0, 2])
def test_vmap_over_any_axis_is_a_batch(axis):
    values = jax.random.normal(jax.random.key(0), (4, 20, 3))
    moved = jnp.moveaxis(values, 0, axis)
    result = jax.vmap(lambda v: filtering.weighted_sums(v, SYMMETRIC), axis)(moved)
    np.testing.assert_array_equal(result, filtering.weighted_sums(values, SYMMETRIC))


@pytest.mark.parametrize(
    ("platform", "product"), [("cpu", False), ("cuda", False), ("tpu", True)]
)
def test_each_kind_of_machine_gets_its_form(platform, product):
    program = jax.jit(lambda v: filtering.weighted_sums(v, SYMMETRIC))
    text = program.trace(jnp.ones((32, 4))).lower(lowering_platforms=(platform,))
    assert ("dot_general" in text.as_text()) is product


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="of programs of a CPU")
def test_neighbouring_axes_stay_loops_of_their_own():
    """Fused, each output would visit taps² neighbours."""

    def both(image):
        rows = filtering.weighted_sums(image.reshape(32, 32), SYMMETRIC)
        return filtering.weighted_sums(rows.reshape(28, 32, 1), SYMMETRIC)

    text = jax.jit(both).lower(jnp.ones((32, 32))).compile().as_text()
    sliced = re.findall(r" slice\(%(\w+)", text)
    assert len(sliced) == 2 * len(SYMMETRIC)
    assert all(name.startswith("param") for name in sliced), text


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="of programs of a CPU")
@pytest.mark.parametrize("form", [filtering.weighted_sums, fused])
def test_fused_sums_are_part_of_what_uses_them(form):
    def product(image):
        return form(image, SYMMETRIC) * form(image + 1, (*SLANTED, 0.0))

    text = jax.jit(product).lower(jnp.ones((32, 3))).compile().as_text()
    entry = text[text.index("ENTRY") :]
    loops = len(re.findall(r"kind=kLoop| call\(", entry))
    assert (loops == 1) is (form is fused), text
