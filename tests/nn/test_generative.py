import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ssimjax.nn import MLP, DenseGenerator, Discriminator


def drawn(**options):
    return Discriminator((12, 16, 3), widths=(4, 6), rngs=nnx.Rngs(0), **options)


def images(seed=0):
    return jax.random.uniform(jax.random.key(seed), (5, 12, 16, 3))


def test_dense_generators_make_images_in_the_unit_interval():
    model = DenseGenerator((6, 5, 3), 4, widths=(8, 8), rngs=nnx.Rngs(0))
    made = model(10 * jax.random.normal(jax.random.key(0), (7, 4)))
    assert made.shape == (7, 6, 5, 3)
    assert 0 <= made.min() < 0.3 < 0.7 < made.max() <= 1


def test_leaky_layers_pass_a_share_of_what_is_below_zero():
    model = MLP(1, 1, widths=(1,), leak=0.2, rngs=nnx.Rngs(0))
    model.hidden[0].kernel[...] = jnp.ones((1, 1))
    model.last.kernel[...] = jnp.ones((1, 1))
    np.testing.assert_allclose(model(jnp.array([[-2.0], [3.0]]))[:, 0], [-0.4, 3.0])


@pytest.mark.parametrize("normalisation", ["none", "batch", "spectral"])
def test_scores_are_one_per_image_or_one_per_patch(normalisation):
    nothing = jnp.zeros((5, 0))
    one = drawn(normalisation=normalisation)
    assert one(images(), nothing).shape == (5, 1, 1, 1)
    many = drawn(normalisation=normalisation, per_patch=True)
    assert many(images(), nothing).shape == (5, 3, 4, 1)


def test_a_patch_is_judged_by_what_lies_around_it():
    model = drawn(per_patch=True)
    changed = images().at[:, 11, 15].set(0.0)
    moved = model(changed, jnp.zeros((5, 0))) - model(images(), jnp.zeros((5, 0)))
    assert jnp.abs(moved[:, -1, -1]).min() > 0
    np.testing.assert_allclose(moved[:, 0, 0], 0, atol=1e-6)


def test_conditions_change_scores():
    model = drawn(conditions=2)
    first, second = (
        model(images(), jnp.broadcast_to(jnp.eye(2)[i][None], (5, 2))) for i in (0, 1)
    )
    assert jnp.abs(first - second).min() > 1e-3


def test_spectral_normalisation_bounds_the_weights():
    model = drawn(normalisation="spectral")
    for _ in range(20):  # Of power iteration, one in each.
        model(images(), jnp.zeros((5, 0)))
    kernel = model.convs[1].layer_instance.kernel[...]
    largest = jnp.linalg.norm(kernel.reshape(-1, kernel.shape[-1]), 2)
    np.testing.assert_allclose(largest, 1.0, rtol=0.02)
    plain = drawn().convs[1].kernel[...]
    assert jnp.linalg.norm(plain.reshape(-1, plain.shape[-1]), 2) > 1.2


@pytest.mark.usefixtures("own_errors")
def test_bad_options():
    with pytest.raises(ValueError, match="normalisation must be one of .* got 'layer'"):
        drawn(normalisation="layer")
    with pytest.raises(
        ValueError, match=r"widths must be one or more numbers >= 1, got \(\)"
    ):
        Discriminator((8, 8, 1), widths=(), rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match=r"widths must be 2 numbers .* \(4, 0\)"):
        MLP(2, 3, widths=(4, 0), rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="inputs must be a number >= 1, got 0"):
        MLP(0, 3, rngs=nnx.Rngs(0))
    assert MLP(2, 3, widths=(), rngs=nnx.Rngs(0))(jnp.ones((1, 2))).shape == (1, 3)
