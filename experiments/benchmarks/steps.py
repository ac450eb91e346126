"""Training steps of tasks as something to be timed."""

from collections.abc import Callable
from typing import Any

import jax

from ssimjax.data import Arrays


def step_taker(task: Any, arrays: Arrays) -> Callable[[], None]:
    """A function that takes one more training step, always on the same batch.

    Args:
      task: what is trained.
      arrays: the batch.

    Returns:
      The function, which returns when the step is done.
    """
    step = jax.jit(task.train_step, donate_argnums=1)
    batch = {"image": arrays.images, "label": arrays.labels}
    key = jax.random.key(0)
    state: Any = jax.jit(task.init)(key)

    def one_more() -> None:
        nonlocal state
        state, metrics = step(key, state, batch)
        jax.block_until_ready((state, metrics))

    return one_more
