import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssimjax.data import (
    Arrays,
    batch_indices,
    eval_batches,
    random_crop,
    random_flip,
    train_batch,
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
    data = arrays(50)
    later = train_batch(data, step=7, batch_size=8, seed=0)
    train_batch(data, step=3, batch_size=8, seed=0)
    again = train_batch(data, step=7, batch_size=8, seed=0)
    np.testing.assert_array_equal(later["label"], again["label"])
    np.testing.assert_array_equal(later["image"][:, 0, 0, 0], later["label"])
    other = train_batch(data, step=7, batch_size=8, seed=1)
    assert not np.array_equal(later["label"], other["label"])


@pytest.mark.parametrize("batch_size", [1, 4, 10, 16])
def test_evaluation_sees_every_example_once(batch_size):
    seen = [
        b["label"][b["mask"]] for b in eval_batches(arrays(10), batch_size=batch_size)
    ]
    np.testing.assert_array_equal(np.concatenate(seen), np.arange(10))
    sizes = {len(b["image"]) for b in eval_batches(arrays(10), batch_size=batch_size)}
    assert sizes == {batch_size}


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
