import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssimjax.data import (
    Arrays,
    batch_indices,
    eval_batches,
    gather,
    random_crop,
    random_flip,
    read_ahead,
)


def arrays(count):
    images = np.arange(count, dtype=np.uint8)[:, None, None, None]
    return Arrays(np.tile(images, (1, 2, 2, 1)), np.arange(count))


@pytest.mark.parametrize(("length", "batch_size"), [(10, 4), (7, 3), (5, 12), (8, 8)])
def test_epochs_are_permutations_joined_end_to_end(length, batch_size):
    steps = -(-3 * length // batch_size)
    stream = np.concatenate(
        [
            batch_indices(step=k, batch_size=batch_size, length=length, seed=3)
            for k in range(steps)
        ]
    )
    epochs = [stream[e * length : (e + 1) * length] for e in range(3)]
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch), np.arange(length))
    assert not np.array_equal(epochs[0], epochs[1])


def test_a_batch_depends_on_seed_and_step_alone():
    def indices(step, seed=0):
        return batch_indices(step=step, batch_size=8, length=50, seed=seed)

    later = indices(7)
    indices(3)
    np.testing.assert_array_equal(later, indices(7))
    assert not np.array_equal(later, indices(7, seed=1))


@pytest.mark.parametrize("shape", [(16,), (4, 16), (2, 4, 8)])
def test_gathered_examples_are_those_asked_for_wherever_they_go(shape):
    data = arrays(50)
    indices = np.random.default_rng(0).integers(0, 50, shape)
    mesh = jax.make_mesh((2, 4), ("replica", "data"))
    axes = (None, "replica", "data")[-len(shape) :]
    sharding = jax.NamedSharding(mesh, jax.P(*axes))
    for batch in (gather(data, indices), gather(data, indices, sharding=sharding)):
        np.testing.assert_array_equal(batch["label"], indices)
        np.testing.assert_array_equal(batch["image"][..., 1, 1, 0], indices)
        assert batch["image"].shape == (*shape, 2, 2, 1)
    assert batch["image"].sharding == sharding


def test_only_the_rows_of_own_devices_are_read():
    class Counting(np.ndarray):
        rows = 0

        def __getitem__(self, index):
            if isinstance(index, np.ndarray):
                Counting.rows += index.size
            return super().__getitem__(index)

    data = arrays(50)
    data.images = data.images.view(Counting)
    mesh = jax.make_mesh((8,), ("data",))
    gather(data, np.arange(16), sharding=jax.NamedSharding(mesh, jax.P("data")))
    assert Counting.rows == 16  # Two rows for each of eight devices.


def test_read_ahead_keeps_order_and_raises_in_turn():
    started = []

    def load(item):
        started.append(item)
        if item == 5:
            raise OSError("no item 5")
        return 10 * item

    loaded = read_ahead(load, range(100))
    assert [next(loaded) for _ in range(5)] == [0, 10, 20, 30, 40]
    with pytest.raises(OSError, match="no item 5"):
        next(loaded)
    assert max(started) < 10


@pytest.mark.parametrize("batch_size", [1, 4, 10, 16])
def test_evaluation_sees_every_example_once(batch_size):
    seen = [
        b["label"][b["mask"]] for b in eval_batches(arrays(10), batch_size=batch_size)
    ]
    np.testing.assert_array_equal(np.concatenate(seen), np.arange(10))
    sizes = {len(b["image"]) for b in eval_batches(arrays(10), batch_size=batch_size)}
    assert sizes == {batch_size}


def test_mixed_batches_are_samples_of_all_examples():
    def seen():
        batches = eval_batches(arrays(100), batch_size=30, mixed=True)
        return [b["label"][b["mask"]] for b in batches]

    assert sorted(np.concatenate(seen())) == list(range(100))
    assert [len(labels) for labels in seen()] == [30, 30, 30, 10]
    assert all(labels.min() < 40 and labels.max() > 60 for labels in seen())
    np.testing.assert_array_equal(np.concatenate(seen()), np.concatenate(seen()))


def test_flip_mirrors_about_half():
    images = jax.random.uniform(jax.random.key(0), (400, 3, 4, 2))
    flipped = np.asarray(random_flip(jax.random.key(1), images))
    is_same = (flipped == np.asarray(images)).all((1, 2, 3))
    is_mirrored = (flipped == np.asarray(images[:, :, ::-1])).all((1, 2, 3))
    assert (is_same ^ is_mirrored).all()
    assert 0.4 < is_mirrored.mean() < 0.6


def test_crop_shifts_by_up_to_the_padding():
    images = jnp.ones((300, 6, 6, 1)).at[:, 3, 3].set(5.0)
    cropped = np.asarray(random_crop(jax.random.key(1), images, padding=2))
    peaks = np.argwhere(cropped == 5.0)[:, 1:3] - 3
    assert len(peaks) == 300
    assert {tuple(p) for p in peaks.tolist()} == {
        (dy, dx) for dy in range(-2, 3) for dx in range(-2, 3)
    }
    still = random_crop(jax.random.key(1), images, padding=0)
    np.testing.assert_array_equal(still, images)
    with pytest.raises(ValueError, match="padding must be >= 0 pixels, got -1"):
        random_crop(jax.random.key(1), images, padding=-1)
