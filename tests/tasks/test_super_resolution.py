import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import super_resolution
from ssimjax import losses
from ssimjax.data import Arrays, Dataset
from ssimjax.ops import psnr, resize_bicubic, ssim
from ssimjax.tasks import degraded, draw_training, load, luma, train
from ssimjax.tasks.super_resolution import from_config


def rings(count, seed, side=36, channels=1):
    """Rings of any centre and width, with sharp edges, which enlarging dulls."""
    rng = np.random.default_rng(seed)
    y, x = rng.uniform(0, side, (2, count, 1, 1))
    pitch = rng.uniform(8, 16, (count, 1, 1))
    radius = np.hypot(np.arange(side)[:, None] - y, np.arange(side) - x)
    bright = np.clip(2 * np.sin(2 * np.pi * radius / pitch), -1, 1)
    pixels = np.rint(127.5 + 100 * bright).astype(np.uint8)[..., None]
    return Arrays(np.repeat(pixels, channels, -1), np.zeros(count, int))


def dataset(**options):
    train, test = rings(64, 0, **options), rings(16, 1, **options)
    return Dataset(train, test, ("image",), "rings")


def small_config(**changes):
    config = super_resolution.defaults()
    config.update_from_flattened_dict(
        {
            "resolution.factor": 2,
            "resolution.patch": 18,
            "model.widths": (8, 4),
            "model.sizes": (5, 3, 3),
            "optimizer.rate": 3e-3,
            "training.epochs": 50.0,
            "training.batch_size": 16,
            "training.eval_batch_size": 16,
            "training.log_every": 10,
            "training.eval_every": 1000,
            "training.checkpoint_every": 1000,
            "training.visualise": False,
        }
        | changes
    )
    return config


@pytest.mark.parametrize("loss", ["mse", "mae", "ms_ssim_per_pixel"])
def test_networks_sharpen(loss):
    run = train(small_config(**{"loss.name": loss}), data=dataset())
    test = run.summary["test"]
    assert test["psnr"] > test["bicubic_psnr"] + 1
    assert test["ssim"] > test["bicubic_ssim"] + 0.01
    images = luma(jnp.asarray(run.dataset.test.images) / 255)
    pair = [x[:, 2:-2, 2:-2] for x in (degraded(images, 2), images)]
    assert test["loss"] < 0.85 * losses.by_name(loss, data_range=1.0)(*pair).mean()


def new_task(config=None, **options):
    return from_config(config or small_config(), dataset(**options))


def test_scores_are_those_of_the_images_without_borders(tmp_path):
    run = train(small_config(**{"training.epochs": 1.0}), tmp_path, data=dataset())
    again = load(tmp_path, data=dataset())
    chex.assert_trees_all_equal(again.state.params, run.state.params)
    images = jnp.asarray(run.dataset.test.images) / 255
    enlarged = resize_bicubic(resize_bicubic(images, (18, 18)), (36, 36))
    found = again.task.sharpen(again.state, enlarged)
    inner = (slice(None), slice(2, -2), slice(2, -2))
    for name, shown in (("", found), ("bicubic_", jnp.clip(enlarged, 0, 1))):
        for score, function in (("psnr", psnr), ("ssim", ssim)):
            values = function(shown[inner], images[inner], data_range=1.0)
            np.testing.assert_allclose(
                run.summary["test"][name + score], values.mean(), rtol=1e-4
            )
    kernel = run.task.kernels(run.state)["first-layer"]
    np.testing.assert_array_equal(kernel, run.state.params["features"]["kernel"])
    paths = draw_training({"mse": run}, tmp_path)
    assert [path.name for path in paths] == [
        "training-curves.png",
        "enlarged.png",
        "mse-first-layer-kernels.png",
    ]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_upscale_is_the_network_on_the_enlarged_image():
    task = new_task()
    state = task.init(jax.random.key(0))
    images = jax.random.uniform(jax.random.key(1), (2, 9, 12, 1))
    found = task.upscale(state, images)
    expected = jnp.clip(task.model(state)(resize_bicubic(images, (18, 24))), 0, 1)
    chex.assert_trees_all_close(found, expected, atol=1e-6)


def test_squares_do_not_see_the_borders_of_their_image():
    """What is trained on is a square of a larger image, whatever lies around it."""
    task = new_task()
    image = jnp.asarray(rings(1, 3, side=72).images) / 255
    whole = degraded(image, 2)
    reach = 4 * task.factor
    for y, x in ((0, 0), (18, 36), (36, 10)):
        part = degraded(image[:, y : y + 36, x : x + 36], 2)
        inner = slice(reach, 36 - reach)
        np.testing.assert_allclose(
            part[:, inner, inner],
            whole[:, y + reach : y + 36 - reach, x + reach : x + 36 - reach],
            atol=1e-5,
        )
        assert jnp.abs(part - whole[:, y : y + 36, x : x + 36]).max() > 1e-3


def test_color_is_trained_on_as_luma_of_bt601():
    task = new_task()
    state, key = task.init(jax.random.key(0)), jax.random.key(1)
    images = dataset().train.images[:16]
    # Gray in colour is luma in studio range.
    studio = (16 + 219 / 255 * images.astype(np.float32)) / 255
    losses_of = [
        task.train_step(key, state, {"image": jnp.asarray(x)})[1]["loss"]
        for x in (np.repeat(images, 3, -1), studio, images)
    ]
    np.testing.assert_allclose(losses_of[0], losses_of[1], rtol=1e-4)
    assert losses_of[2] > 1.2 * losses_of[1]


def test_last_layer_has_a_rate_of_its_own():
    task = new_task(small_config(**{"optimizer.last_rate_factor": 0.0}))
    state, key = task.init(jax.random.key(0)), jax.random.key(1)
    batch = {"image": jnp.asarray(dataset().train.images[:16])}
    after, _ = task.train_step(key, state, batch)
    moved = {
        name: float(jnp.abs(after.params[name]["kernel"] - before["kernel"]).max())
        for name, before in state.params.items()
    }
    assert moved["reconstruction"] == 0
    assert moved["features"] > 1e-4 and moved["mapping"] > 1e-4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"resolution.factor": 1}, "resolution.factor must be >= 2 .* got 1"),
        ({"resolution.patch": 21}, "sides of at least 37 pixels, .* got 36x36"),
        ({"resolution.factor": 5}, "at least 58 pixels, .* multiples of 5, got 36x36"),
        ({"loss.name": "sim"}, "no loss is named 'sim'; did you mean 'ssim'"),
        ({"loss.name": "ms_ssim"}, "5 scales are too many for images of 18x18"),
    ],
)
def test_bad_configs(changes, message, own_errors):
    with pytest.raises(ValueError, match=message):
        new_task(small_config(**changes))


def test_bad_images(own_errors):
    with pytest.raises(ValueError, match="images must have 1 or 3 channels, got 2"):
        new_task(channels=2)
    with pytest.raises(ValueError, match="multiples of 4, got 9x8"):
        degraded(jnp.zeros((1, 9, 8, 1)), 4)
