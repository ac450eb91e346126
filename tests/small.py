"""A config that trains in seconds, and data to train it on."""

import jax
import jax.numpy as jnp
import numpy as np

from configs import quickstart
from ssimjax.data import Arrays, Dataset, batch_indices, gather
from ssimjax.tasks.run import TASKS


def small_config(network="ssim", **changes):
    config = quickstart.get_config(network)
    config.update_from_flattened_dict(
        {
            "data.train_count": 80,
            "data.test_count": 40,
            "model.widths": (4, 4, 4),
            "model.hidden": 8,
            "training.epochs": 1.0,
            "training.batch_size": 16,
            "training.eval_batch_size": 40,
            "training.log_every": 2,
            "training.eval_every": 3,
            "training.checkpoint_every": 1000,  # After the last step alone.
        }
        | changes
    )
    return config


def stripes(count, seed):
    """Horizontal and vertical stripes of random phase: two classes, easy."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    waves = np.sin(np.arange(12)[None] + rng.uniform(0, 2 * np.pi, (count, 1)))
    waves = np.tile((0.5 + 0.4 * waves)[:, :, None, None], (1, 1, 12, 1))
    images = np.where(
        labels[:, None, None, None] == 1, waves.transpose(0, 2, 1, 3), waves
    )
    return Arrays(images.astype(np.float32), labels)


def stripes_dataset():
    return Dataset(stripes(160, 0), stripes(80, 1), ("across", "down"), "stripes")


def taught(config, dataset, *, steps):
    """The task of a config and its state after some steps, all on one device."""
    task = TASKS[config.task](config, dataset)
    state, step = jax.jit(task.init)(jax.random.key(0)), jax.jit(task.train_step)
    size, length = config.training.batch_size, len(dataset.train)
    for k in range(steps):
        indices = batch_indices(step=k, batch_size=size, length=length, seed=0)
        batch = jax.tree.map(jnp.asarray, gather(dataset.train, indices))
        state, _ = step(jax.random.key(k), state, batch)
    return task, state


def directions(images):
    """How much images change along their rows, less how much along columns."""
    images = np.asarray(images)
    return images.std(2).mean((1, 2)) - images.std(1).mean((1, 2))
