"""What the loop asks of a task."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import PRNGKeyArray

from ssimjax.data import Batch
from ssimjax.training.evaluation import Evaluable
from ssimjax.training.program import Metrics


@runtime_checkable
class Task(Evaluable, Protocol):
    """What a study does with a batch. Methods are pure and run under `jax.jit`.

    A batch holds `image`, `label` and, for evaluation, `mask`. A state is any tree of
    arrays.
    """

    def init(self, key: PRNGKeyArray, /) -> Any:
        """The state before the first step."""
        ...

    def train_step(
        self, key: PRNGKeyArray, state: Any, batch: Batch, /
    ) -> tuple[Any, Metrics]:
        """The state after one step, and means over the batch, `loss` among them.

        A metric that is not finite marks the step as failed; a task that reports the
        norm of its gradient has it watched, too.
        """
        ...


@runtime_checkable
class Pictured(Protocol):
    """A task whose state can be looked at."""

    def pictures(self, state: Any, /) -> Mapping[str, np.ndarray]:
        """Images `[h, w, c]` in [0, 1], by name."""
        ...
