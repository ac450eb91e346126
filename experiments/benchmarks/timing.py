"""Timings of rivals that take turns, and how they are reported."""

import functools
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax


class Report(NamedTuple):
    """What a subject found.

    Attributes:
      title: what was measured, in one line.
      rows: the numbers, for JSON.
      lines: the same as cells of a table.
      notes: sentences below the table.
      chart: what a figure shows: groups of numbers, by name.
      unit: of the numbers of the chart.
    """

    title: str
    rows: list[dict[str, Any]]
    lines: list[dict[str, str]]
    notes: list[str]
    chart: dict[str, dict[str, float]]
    unit: str = "milliseconds"


def medians(
    rivals: Mapping[str, Callable[..., Any]], inputs: Sequence[Any], *, repeats: int
) -> dict[str, float]:
    """Median seconds of each rival, which take turns so that noise hits all alike.

    Args:
      rivals: functions of the inputs, by name; each is compiled first.
      inputs: arrays.
      repeats: how many timings the medians are of.

    Returns:
      Seconds by name.
    """
    compiled = {name: jax.jit(f) for name, f in rivals.items()}
    calls = calls_in_a_row()

    def run(function: Callable[..., Any]) -> None:
        jax.block_until_ready(repeated(lambda: function(*inputs), calls))

    seconds = turns(
        {name: functools.partial(run, f) for name, f in compiled.items()},
        repeats=repeats,
    )
    return {name: value / calls for name, value in seconds.items()}


def calls_in_a_row() -> int:
    """How many calls are made before their results are awaited.

    An accelerator is given the next while it works, as in training; what is awaited
    after each call is mostly the start of the next.

    Returns:
      1 on a CPU, else some.
    """
    return 1 if jax.default_backend() == "cpu" else 20


def repeated(call: Callable[[], Any], calls: int) -> Any:
    """Calls so many times.

    Args:
      call: of which only the last result is kept.
      calls: how many, at least 1.

    Returns:
      That result.
    """
    for _ in range(calls - 1):
        call()
    return call()


def turns(
    rivals: Mapping[str, Callable[[], Any]], *, repeats: int, warm: bool = False
) -> dict[str, float]:
    """Median seconds of each rival, which take turns.

    Args:
      rivals: what to time, by name; each returns when it is done.
      repeats: how many timings the medians are of.
      warm: whether all is compiled already; else each runs once before.

    Returns:
      Seconds by name.
    """
    for rival in () if warm else rivals.values():
        rival()
    times: dict[str, list[float]] = {name: [] for name in rivals}
    for _ in range(repeats):
        for name, rival in rivals.items():
            start = time.perf_counter()
            rival()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}
