"""Arrays divided along the Explicit axes of `jax.make_mesh`."""

import functools

import chex
import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from ssimjax import corruptions, losses, nn, ops
from ssimjax.ops.meshes import on_any_mesh

FILTERS = jax.random.normal(jax.random.key(2), (3, 3, 3, 4))
kernel = functools.partial(ops.ssim_kernel, data_range=1.0)


def of_pair(function, **options):
    return functools.partial(function, data_range=1.0, **options)


FUNCTIONS = {
    "ssim": of_pair(ops.ssim),
    "masked": lambda x, y: ops.ssim(x, y, data_range=1.0, mask=x > 0.2),
    "ssim_map": of_pair(ops.ssim_map),
    "ms_ssim": of_pair(ops.ms_ssim, weights=(0.5, 0.5)),
    "lw_ssim": of_pair(ops.lw_ssim),
    "iw_ssim": of_pair(ops.iw_ssim, weights=(0.5, 0.5)),
    "cw_ssim": of_pair(ops.cw_ssim, levels=2),
    "ssim_distance": of_pair(ops.ssim_distance),
    "psnr": of_pair(ops.psnr),
    "mmd": lambda x, y: ops.mmd(x, y, kernel, estimator="unbiased"),
    "cmmd": lambda x, y: ops.cmmd(x, y, x, y, kernel, kernel),
    "loss": of_pair(losses.ms_ssim, weights=(0.5, 0.5)),
    "moments": lambda x, y: ops.image_moments(x, y, ops.uniform_window(7)).cov_xy,
    "patch_moments": lambda x, y: ops.patch_moments(x, FILTERS).cov_xy,
    "layer": lambda x, y: ops.ssim_conv(x, FILTERS),
    "per_channel": lambda x, y: ops.ssim_conv(x, FILTERS, patches="per_channel"),
    "blur": lambda x, y: corruptions.gaussian_blur(x, severity=3),
}


@pytest.fixture(scope="module")
def mesh():
    return jax.make_mesh((4, 2), ("data", "model"))


@pytest.fixture(scope="module")
def images():
    x = jax.random.uniform(jax.random.key(0), (8, 40, 40, 3))
    noise = jax.random.normal(jax.random.key(1), x.shape)
    return x, jnp.clip(x + 0.1 * noise, 0, 1)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_are_as_those_of_whole_arrays(name, mesh, images):
    @jax.jit
    def with_gradient(x, y):
        result, pull = jax.vjp(FUNCTIONS[name], x, y)
        return result, pull(jnp.ones_like(result))

    expected = with_gradient(*images)
    divided = jax.device_put(images, NamedSharding(mesh, P("data")))
    result, gradients = with_gradient(*divided)
    chex.assert_trees_all_close((result, gradients), expected, rtol=1e-4, atol=1e-7)
    assert gradients[0].sharding.spec[0] == "data"
    if result.ndim:
        assert result.sharding.spec[0] == "data"


def test_of_separate_images_need_nothing_from_another_device(mesh, images):
    divided = jax.device_put(images, NamedSharding(mesh, P("data")))
    for name in ("ssim", "ms_ssim", "layer"):

        def total(x, y, name=name):
            return FUNCTIONS[name](x, y).sum()

        program = jax.jit(jax.grad(total)).lower(*divided).compile().as_text()
        assert not any(
            f" {kind}(" in program
            for kind in ("all-gather", "all-to-all", "collective-permute")
        ), name


def test_may_be_divided_otherwise_than_by_images(mesh, images):
    x = jax.device_put(images[0], NamedSharding(mesh, P(None, "data", "model")))
    result = ops.ssim_map(x, images[1], data_range=1.0, padding="zero")
    assert result.sharding.spec == P(None, "data", "model", None)
    whole = ops.ssim_map(*images, data_range=1.0, padding="zero")
    chex.assert_trees_all_close(result, whole, atol=1e-6)


def test_broadcast_batches_follow_the_larger(mesh, images):
    x = jax.device_put(images[0], NamedSharding(mesh, P("data")))
    for y in (images[1][:1], images[1][0]):
        result = ops.ssim(y, x, data_range=1.0)
        assert result.sharding.spec == P("data")


def test_filters_may_be_divided(mesh, images):
    filters = jax.device_put(FILTERS, NamedSharding(mesh, P(None, None, None, "model")))
    x = jax.device_put(images[0], NamedSharding(mesh, P("data")))

    def total(x, filters):
        return jnp.sum(ops.ssim_conv(x, filters) ** 2)

    gradient = jax.jit(jax.grad(total, 1))
    assert gradient(x, filters).sharding.spec == P(None, None, None, "model")
    expected = gradient(images[0], FILTERS)
    chex.assert_trees_all_close(gradient(x, filters), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "make",
    [
        lambda rngs: nn.QuickClassifier((32, 32, 3), 10, rngs=rngs),
        lambda rngs: nn.ShallowClassifier((32, 32, 3), 10, rngs=rngs),
        lambda rngs: nn.Autoencoder((32, 32, 3), 8, widths=(4, 8), rngs=rngs),
    ],
    ids=["quick", "shallow", "autoencoder"],
)
def test_networks_train_on_such_a_mesh(make, mesh):
    network, weights = nnx.split(make(nnx.Rngs(0)))
    x = jax.random.uniform(jax.random.key(3), (8, 32, 32, 3))

    @jax.jit
    @jax.grad
    def gradient(weights, x):
        return jnp.mean(nnx.merge(network, weights)(x) ** 2)

    expected = gradient(weights, x)
    with jax.set_mesh(mesh):
        found = gradient(weights, jax.device_put(x, NamedSharding(mesh, P("data"))))
    chex.assert_trees_all_close(found, expected, rtol=1e-3, atol=1e-6)


def test_whole_arrays_are_passed_on_as_they_are():
    seen = []
    on_any_mesh(lambda *args, **kwargs: seen.append((args, kwargs)))(1, b=[2])
    assert seen == [((1,), {"b": [2]})]
