"""Which steps a run takes, and how many of them at a time."""

import fractions
import math
from collections.abc import Iterator

from ssimjax.training.options import Options


def total_steps(length: int, *, epochs: float, batch_size: int) -> int:
    """Steps that make a number of epochs.

    Args:
      length: number of training examples.
      epochs: passes over them; may be a fraction.
      batch_size: examples per step.

    Returns:
      The number of steps, at least 1.

    Example:
      >>> total_steps(100, epochs=1.5, batch_size=10)
      15
      >>> total_steps(100, epochs=1.1, batch_size=10)
      11
    """
    # As it is written: 1.1 as a number is a little more.
    passes = fractions.Fraction(str(epochs))
    return max(1, math.ceil(passes * length / batch_size))


def calls(start: int, steps: int, options: Options) -> Iterator[range]:
    """The steps that are one call each: as many as wished, none past what is due.

    Args:
      start: steps that were taken before.
      steps: of the whole run.
      options: how many steps a call should have, and after which of them something is
        due.

    Yields:
      Steps, counted from 0, from `start` to the last.

    Example:
      >>> sizes = {"epochs": 1.0, "batch_size": 8, "eval_batch_size": 8}
      >>> due = {"log_every": 7, "eval_every": 9, "checkpoint_every": 9}
      >>> options = Options(**sizes, **due, steps_per_dispatch=3)
      >>> [list(part) for part in calls(2, 9, options)]
      [[2, 3, 4], [5, 6], [7, 8]]
    """
    periods = [options.log_every, options.eval_every, options.checkpoint_every]
    profiled = options.profile_steps
    marks = [profiled[0] - 1, profiled[1]] if profiled else []
    while start < steps:
        due = [(start // period + 1) * period for period in periods]
        due += [mark for mark in marks if mark > start]
        stop = min(start + options.steps_per_dispatch, *due, steps)
        yield range(start, stop)
        start = stop
