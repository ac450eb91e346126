"""Which examples make a batch: a pure function of (seed, step)."""

import functools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ssimjax.data.sources import Arrays

Batch = Mapping[str, Any]


def batch_indices(*, step: int, batch_size: int, length: int, seed: int) -> np.ndarray:
    """Indices of the examples of one training step.

    Epochs are independent permutations of all examples, joined end to end, and step k
    takes the k-th stretch of `batch_size`: no example is dropped or seen twice within
    an epoch, and a run can resume at any step.

    Args:
      step: number of the step, from 0.
      batch_size: examples per step, over all devices.
      length: number of examples in the data set.
      seed: of the permutations.

    Returns:
      Indices `[batch_size]`.

    Example:
      >>> two = [batch_indices(step=k, batch_size=3, length=6, seed=0) for k in (0, 1)]
      >>> sorted(np.concatenate(two).tolist())
      [0, 1, 2, 3, 4, 5]
    """
    positions = np.arange(step * batch_size, (step + 1) * batch_size)
    epochs = positions // length
    indices = np.empty(batch_size, np.int64)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        indices[here] = _permutation(length, seed, int(epoch))[positions[here] % length]
    return indices


@functools.lru_cache(maxsize=4)
def _permutation(length: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch]).permutation(length)


def train_batch(arrays: Arrays, *, step: int, batch_size: int, seed: int) -> Batch:
    """The batch of one training step.

    Args:
      arrays: the training examples.
      step: number of the step, from 0.
      batch_size: examples per step.
      seed: of the shuffling.

    Returns:
      `image`, `[batch_size, h, w, c]`, and `label`, `[batch_size]`.
    """
    indices = batch_indices(
        step=step, batch_size=batch_size, length=len(arrays), seed=seed
    )
    return {"image": arrays.images[indices], "label": arrays.labels[indices]}


def eval_batches(arrays: Arrays, *, batch_size: int) -> Iterator[Batch]:
    """Every example exactly once, in order, in batches of one shape.

    Args:
      arrays: the examples.
      batch_size: examples per batch.

    Yields:
      `image`, `label`, and `mask`, which is False where the last batch is filled up
      with copies of its first example.
    """
    for start in range(0, len(arrays), batch_size):
        indices = np.arange(start, start + batch_size)
        mask = indices < len(arrays)
        indices = np.where(mask, indices, start)
        yield {
            "image": arrays.images[indices],
            "label": arrays.labels[indices],
            "mask": mask,
        }
