import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssimjax import losses
from ssimjax.ops import lw_ssim, ms_ssim, ssim, ssim_distance, strips, uniform_window

METRICS = {
    "ssim, cropped": functools.partial(
        ssim, window=uniform_window(7), padding="symmetric", crop=3
    ),
    "ms_ssim": functools.partial(ms_ssim, weights=(0.5, 0.5), negatives="floor"),
    "lw_ssim": functools.partial(
        lw_ssim, windows=[uniform_window(3), uniform_window(11)]
    ),
    "frobenius": ssim_distance,
    "loss": losses.ssim,
}
PLAN = strips._plan
# Two images of two channels, of a height that no strip divides.
X, Y = np.random.default_rng(0).random((2, 2, 89, 40, 2))


# One of a single map and one of several: all metrics share the rule of derivatives.
OF_ALL_KINDS = ("ssim, cropped", "lw_ssim")


def derivatives(name):
    """Values and gradients of a metric, and of some all kinds of derivatives."""
    metric = functools.partial(METRICS[name], data_range=1.0)

    def total(x, y):
        return (metric(x, y) * jnp.array([1.0, 2.0])).sum()

    def along_y(x, y):
        return jnp.vdot(jax.grad(total)(x, y), y)

    x, y = jnp.asarray(X), jnp.asarray(Y)
    found = {
        "value": metric(x, y),
        "gradients": jax.grad(total, (0, 1))(x, y),
        "gradient in y": jax.grad(total, 1)(x, y),
    }
    if name not in OF_ALL_KINDS:
        return found
    return found | {
        "forward": jax.jvp(total, (x, y), (y, x)),
        "reverse over reverse": jax.grad(along_y)(x, y),
        "forward over reverse": jax.jvp(jax.grad(total), (x, y), (y, x)),
        "vmap": jax.vmap(jax.grad(lambda x, y: metric(x, y).sum()))(x, y),
    }


@functools.cache
def without_strips(name):
    with pytest.MonkeyPatch.context() as patch, jax.enable_x64(True):
        jax.clear_caches()
        patch.setattr("ssimjax.ops.comparison.tiling", lambda *_, **__: None)
        return derivatives(name)


@pytest.mark.parametrize(
    ("count", "group_bytes", "images"),
    [(6, 450, 3), (7, 450, 1), (6, 700, 6), (6, 50, 1), (0, 450, 1)],
)
def test_groups_divide_the_batch(count, group_bytes, images, monkeypatch):
    monkeypatch.setattr("jax.device_count", lambda: 1)
    assert strips.images_at_a_time(count, 100, group_bytes) == images
    monkeypatch.setattr("jax.device_count", lambda: 2)
    assert strips.images_at_a_time(count, 100, group_bytes) == count


@pytest.mark.parametrize(
    ("name", "strip_bytes"), [*((name, 1) for name in METRICS), ("loss", 2**20)]
)
def test_strips_are_the_whole(name, strip_bytes, float64, monkeypatch):
    target = without_strips(name)
    jax.clear_caches()
    monkeypatch.setattr(strips, "_STRIP_BYTES", strip_bytes)
    monkeypatch.setattr(strips, "_GROUP_BYTES", strip_bytes)
    monkeypatch.setattr(strips, "_ONE_CORE_BYTES", 0)
    monkeypatch.setattr(strips, "_HALOS", 1)
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    counts = []

    def counted(*arguments):
        plan = PLAN(*arguments)
        counts.append(len(plan.strips.start))
        return plan

    monkeypatch.setattr(strips, "_plan", counted)
    result = derivatives(name)
    jax.clear_caches()
    assert counts and (max(counts) > 1) is (strip_bytes == 1)
    for (path, value), whole in zip(
        jax.tree.leaves_with_path(result), jax.tree.leaves(target)
    ):
        scale = np.abs(whole).max()
        np.testing.assert_allclose(
            value, whole, rtol=1e-9, atol=1e-11 * scale, err_msg=str(path)
        )


@pytest.mark.parametrize("margin", [0, 10])
@pytest.mark.parametrize(("height", "rows"), [(100, 20), (101, 20), (97, 33)])
def test_every_row_belongs_to_one_strip(height, rows, margin):
    plan = strips._plan(height, rows, [10, 2], margin)
    windows, smaller, gradients = [], [], []
    starts, skips, (of_large, of_small) = plan.strips
    for start, skip, owned, also in zip(starts, skips, of_large, of_small):
        smaller.extend(start + np.flatnonzero(also))
        assert start >= 0 and start + plan.size <= height
        windows.extend(start + np.flatnonzero(owned))
        gradients.extend(range(start + skip, start + skip + plan.rows))
        if margin:  # All windows that see a row are in the strip that has its gradient.
            seen = range(max(0, start + skip - 10), start + skip + plan.rows)
            last = min(seen[-1], height - 11)
            assert start <= seen[0] and last < start + len(owned)
    assert sorted(windows) == list(range(height - 10))
    assert sorted(smaller) == list(range(height - 2))
    assert set(gradients) == set(range(height if margin else height - 10))


def test_large_images_go_in_strips_and_need_little_memory():
    x = jnp.zeros((1, 1080, 1920, 3))
    tiles = strips.tiling(x, x, halo=10, spatial_axes=2)
    assert tiles is not None and 40 <= tiles.rows < 100
    program = jax.jit(jax.value_and_grad(lambda x, y: ssim(x, y, data_range=1.0).sum()))
    memory = program.lower(x, x).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 2 * x.nbytes


@pytest.mark.parametrize(
    ("devices", "shape", "images", "rows"),
    [
        (1, (128, 64, 64, 3), 16, 64),
        (1, (2, 3, 2048, 64, 3), 1, 341),
        (1, (7, 256, 256, 3), 1, 256),
        (8, (128, 64, 64, 3), 128, 64),
        (1, (2, 64, 64, 3), 1, 64),
        (1, (8, 32, 32, 3), 4, 32),
        (1, (4, 64, 64, 3), 4, 64),
        (8, (2, 64, 64, 3), 2, 64),
        (1, (1, 128, 128, 1), 1, 96),
        (8, (1, 128, 128, 1), 1, 128),
    ],
)
def test_images_go_in_groups_where_no_device_shares_them(
    devices, shape, images, rows, monkeypatch
):
    monkeypatch.setattr(jax, "device_count", lambda: devices)
    x = jnp.zeros(shape)
    tiles = strips.tiling(x, x, halo=10, spatial_axes=2)
    assert tiles == strips.Tiling(images, rows)


def test_a_large_batch_needs_little_memory(monkeypatch):
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    x = jnp.zeros((256, 64, 64, 3))
    program = jax.jit(jax.value_and_grad(lambda x, y: ssim(x, y, data_range=1.0).sum()))
    memory = program.lower(x, x).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 2 * x.nbytes


@pytest.mark.parametrize("metric", [ssim, lw_ssim])
def test_images_are_visited_where_they_lie(metric, monkeypatch):
    """Copies of both for the loop would need four times as much."""
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    x = jnp.zeros((32, 256, 256, 3))
    program = jax.jit(
        jax.value_and_grad(lambda x, y: metric(x, y, data_range=1.0).sum())
    )
    memory = program.lower(x, x).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 0.6 * x.nbytes


def test_values_alone_take_sums_where_they_are_used():
    """A gradient uses them several times, and would take them each time."""

    def value(x):
        return ssim(x, Y, data_range=1.0).sum()

    assert "fused=True" in str(jax.make_jaxpr(value)(X))
    assert "fused=True" not in str(jax.make_jaxpr(jax.grad(value))(X))


@pytest.mark.parametrize("strip_bytes", [1, 2**20])
def test_equal_images_have_a_mean_of_exactly_one(strip_bytes, monkeypatch):
    monkeypatch.setattr(strips, "_STRIP_BYTES", strip_bytes)
    jax.clear_caches()
    image = jnp.asarray(np.random.default_rng(1).random((2, 301, 203, 1)), jnp.float32)
    assert ssim(image, image, data_range=1.0).tolist() == [1.0, 1.0]
    assert lw_ssim(image, image, data_range=1.0).tolist() == [2.0, 2.0]


def test_equal_channels_have_a_mean_of_exactly_one():
    # 41 times the rounded 1 / 41 is less than 1.
    image = jax.random.uniform(jax.random.key(0), (2, 16, 16, 41))
    assert ssim(image, image, data_range=1.0).tolist() == [1.0, 1.0]


def test_gradients_of_both_images_are_made_where_they_are_returned(monkeypatch):
    monkeypatch.setattr(strips, "_STRIP_BYTES", 1)
    image = jax.ShapeDtypeStruct((3000, 64, 1), jnp.float32)
    gradients = jax.grad(functools.partial(ssim, data_range=1.0), (0, 1))
    memory = jax.jit(gradients).lower(image, image).compile().memory_analysis()
    assert memory.output_size_in_bytes > 2 * 3000 * 64 * 4
    assert memory.temp_size_in_bytes < 3000 * 64 * 4
