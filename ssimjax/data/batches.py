"""Which examples make a batch: a pure function of (seed, step)."""

import concurrent.futures
import functools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import NamedSharding

from ssimjax.data.arrays import Arrays

Batch = Mapping[str, Any]
_Item = TypeVar("_Item")
_Loaded = TypeVar("_Loaded")


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


# Two epochs of 32 replicas.
@functools.lru_cache(maxsize=64)
def _permutation(length: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch]).permutation(length)


def gather(
    arrays: Arrays,
    indices: np.ndarray,
    *,
    sharding: NamedSharding | None = None,
) -> Batch:
    """Reads examples, each process those that its devices shall hold.

    Args:
      arrays: the examples.
      indices: which ones, of any shape, the same in every process.
      sharding: where the axes of `indices` go; on the host if None.

    Returns:
      `image`, `[*indices, h, w, c]`, and `label`, `[*indices]`.
    """

    def read(values: np.ndarray) -> Any:
        if sharding is None:
            return values[indices]
        return jax.make_array_from_callback(
            indices.shape + values.shape[1:],
            sharding,
            # Of the slices for all axes, the leading ones say which examples.
            lambda part: values[indices[(part or ())[: indices.ndim]]],
        )

    return {"image": read(arrays.images), "label": read(arrays.labels)}


def eval_batches(
    arrays: Arrays,
    *,
    batch_size: int,
    sharding: NamedSharding | None = None,
    mixed: bool = False,
) -> Iterator[Batch]:
    """Every example exactly once, in batches of one shape.

    Args:
      arrays: the examples.
      batch_size: examples per batch.
      sharding: where the examples of a batch go; on the host if None.
      mixed: whether in a random order, always the same, so that a batch is a sample of
        all examples even if they are stored class by class; else as they are stored.

    Yields:
      `image`, `label`, and `mask`, which is False where the last batch is filled up
      with copies of its first example.
    """
    length = len(arrays)
    order = _permutation(length, 0, 0) if mixed else np.arange(length)

    def load(start: int) -> Batch:
        places = np.arange(start, start + batch_size)
        mask = places < length
        indices = order[np.where(mask, places, start)]
        batch = gather(arrays, indices, sharding=sharding)
        if sharding is not None:
            mask = jax.make_array_from_callback(mask.shape, sharding, mask.__getitem__)
        return {**batch, "mask": mask}

    yield from read_ahead(load, range(0, length, batch_size))


def read_ahead(
    load: Callable[[_Item], _Loaded], items: Iterable[_Item], *, depth: int = 3
) -> Iterator[_Loaded]:
    """Loads items in threads, a few before they are asked for, in order.

    Args:
      load: a pure function of an item.
      items: what to load; taken as it is needed.
      depth: how many are loaded ahead, >= 1.

    Yields:
      The loaded items. An error of `load` is raised when its item is due.

    Example:
      >>> list(read_ahead(lambda item: item**2, range(4)))
      [0, 1, 4, 9]
    """
    items = iter(items)
    with concurrent.futures.ThreadPoolExecutor(2, "read-ahead") as pool:
        pending = deque(pool.submit(load, item) for _, item in zip(range(depth), items))
        try:
            while pending:
                loaded = pending.popleft().result()
                pending.extend(
                    pool.submit(load, item) for _, item in zip(range(1), items)
                )
                yield loaded
        finally:
            for future in pending:
                future.cancel()
