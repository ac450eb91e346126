"""Libraries in processes of their own, which take turns."""

import contextlib
import ctypes
import gc
import multiprocessing
import os
import pathlib
import statistics
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import jax

from experiments.benchmarks import rivals
from experiments.benchmarks.timing import calls_in_a_row

# Threads of OpenMP spin for a while after their work, on cores that the next needs.
_PAUSE = 0.02


class Cost(NamedTuple):
    """What one call of a library costs.

    Attributes:
      seconds: median of its runs.
      first: seconds until the first result, compilation included.
      peak: bytes that a run needs above the inputs, or None where that is not known.
    """

    seconds: float
    first: float
    peak: int | None


class Worker:
    """A library in a process of its own, whose threads and memory are its own.

    Args:
      library: name in `rivals`.
      environment: variables that the process gets beside its own.
    """

    def __init__(self, library: str, *, environment: Mapping[str, str] | None = None):
        """Starts the process."""
        context = multiprocessing.get_context("spawn")
        self._connection, child = context.Pipe()
        self._process = context.Process(target=_serve, args=(child, library))
        with _environment(environment or {}):
            self._process.start()
        child.close()

    def __call__(self, *request: Any) -> Any:
        """Asks for something, as `_serve` knows it, and waits for the answer."""
        self._connection.send(request)
        error, answer = self._connection.recv()
        if isinstance(error, rivals.UnsupportedError):
            raise error
        if error is not None:
            raise RuntimeError(answer)
        return answer

    def close(self) -> None:
        """Ends the process."""
        self._connection.close()
        self._process.join()


class Workers:
    """All libraries, a process each, and on a CPU another to measure memory.

    Args:
      libraries: names in `rivals`.
    """

    def __init__(self, libraries: Sequence[str]):
        """Starts the processes."""
        # Freed memory then goes back to the system at once, and a peak is one run's.
        returns_memory = {"MALLOC_MMAP_THRESHOLD_": "65536"}
        self._timed = {name: Worker(name) for name in libraries}
        self._measured = {
            name: Worker(name, environment=returns_memory)
            for name in libraries
            if jax.default_backend() == "cpu"
        }

    def close(self) -> None:
        """Ends the processes."""
        for worker in (*self._timed.values(), *self._measured.values()):
            worker.close()

    def costs(
        self, metric: rivals.Metric, task: str, shape: Sequence[int], *, repeats: int
    ) -> dict[str, Cost]:
        """What each library needs that can do it, in turns: noise hits all alike.

        Args:
          metric: what is computed.
          task: one of `rivals.TASKS`.
          shape: of the images, `[n, h, w, c]`.
          repeats: how many timings the medians are of.

        Returns:
          Costs by library.
        """
        first = {}
        for name, worker in self._timed.items():
            with contextlib.suppress(rivals.UnsupportedError):
                first[name] = worker("build", metric, task, shape)
        times: dict[str, list[float]] = {name: [] for name in first}
        for _ in range(repeats):
            for name in first:
                time.sleep(_PAUSE)
                times[name].append(self._timed[name]("time"))
        peaks = {}
        for name in first.keys() & self._measured.keys():
            self._measured[name]("build", metric, task, shape)
            peaks[name] = self._measured[name]("peak")
        return {
            name: Cost(statistics.median(times[name]), first[name], peaks.get(name))
            for name in first
        }


def _serve(connection: Connection, library: str) -> None:
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    run: rivals.Run | None = None
    while True:
        try:
            action, *arguments = connection.recv()
        except EOFError:
            return
        answer: Any = None
        try:
            start = time.perf_counter()
            if action == "build":
                run = rivals.build(library, *arguments)
            assert run is not None
            if action == "peak":
                answer = _peak_of(run)
            else:
                calls = calls_in_a_row() if action == "time" else 1
                run(calls)
                answer = (time.perf_counter() - start) / calls
            connection.send((None, answer))
        except Exception as error:  # To whoever asked.
            connection.send((error, traceback.format_exc()))


def _peak_of(run: rivals.Run) -> int | None:
    """How far one run raises the memory of this process; of Linux alone."""
    # What a first run and compilation have left would be used again, or given back.
    run(1)
    gc.collect()
    with contextlib.suppress(AttributeError):  # Another C library than glibc.
        ctypes.CDLL(None).malloc_trim(0)
    try:
        # The peak begins anew.
        pathlib.Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return None
    before = _status("VmRSS")
    result = run(1)
    peak = _status("VmHWM") - before
    del result
    return peak


def _status(key: str) -> int:
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return 1024 * int(line.split()[1])
    raise KeyError(key)


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    old = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in old.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
