"""SSIM and MS-SSIM beside the libraries that a user would pick instead."""

import contextlib
import itertools
import math
import statistics
import sys

import jax

from experiments.benchmarks import limits, rivals, workers
from experiments.benchmarks.timing import Report

SHAPES = ((16, 96, 96, 1), (32, 64, 64, 3), (8, 256, 256, 3), (1, 1080, 1920, 3))
# What an accelerator is for.
_LARGE_SHAPES = (*SHAPES, (1, 2160, 3840, 3))
# Images read and gradients written, 4 bytes per pixel and channel each.
_BYTES = {"value": 8, "gradient": 12, "both gradients": 16}
# A window of 11 pixels fits five times from this side on.
_SIDE_OF_FIVE_SCALES = 11 * 2**4


def measure(name: str, *, repeats: int) -> Report:
    """Milliseconds of every library that is installed.

    Args:
      name: "ssim" or "ms_ssim", of five scales where they fit and three elsewhere.
      repeats: timings of each library.

    Returns:
      A row per task and shape.
    """
    on_cpu = jax.default_backend() == "cpu"
    versions = {
        library: version
        for library, version in rivals.installed().items()
        if on_cpu or library != rivals.ON_CPU_ALONE
    }
    machine = limits.measured()
    rows = []
    with contextlib.closing(workers.Workers(list(versions))) as libraries:
        for task, shape in itertools.product(
            rivals.TASKS, SHAPES if on_cpu else _LARGE_SHAPES
        ):
            scales = 1
            if name == "ms_ssim":
                scales = 5 if min(shape[1:3]) >= _SIDE_OF_FIVE_SCALES else 3
            costs = libraries.costs(rivals.Metric(scales), task, shape, repeats=repeats)
            rows.append(_row(task, shape, scales, costs, machine))
            found = [f"{n} {1e3 * c.seconds:.2f}" for n, c in costs.items()]
            print(task, rows[-1]["shape"], *found, file=sys.stderr)
    notes = [str(machine)]
    for task in rivals.TASKS:
        of_task = [row for row in rows if row["task"] == task]
        if all(row["ratio"] for row in of_task):
            ratios = [row["ratio"] for row in of_task]
            notes.append(
                f"{task}: {statistics.geometric_mean(ratios):.1f} times as fast as the "
                f"fastest other at each shape (geometric mean), {min(ratios):.1f} at "
                "worst."
            )
    both, one = (
        [row["seconds"] for row in rows if row["task"] == task]
        for task in ("both gradients", "gradient")
    )
    ratio = statistics.geometric_mean(b / o for b, o in zip(both, one))
    notes.append(f"Both gradients cost {ratio:.2f} times one.")
    notes.append(
        "Libraries: "
        + ", ".join(f"{n} {v}" for n, v in versions.items() if n != rivals.OURS)
    )
    title = f"{name}, milliseconds (medians of {repeats}), beside other libraries"
    chart = {
        f"{row['task']}, {row['shape']}": {rivals.OURS: 1e3 * row["seconds"]}
        | {n: 1e3 * cost["seconds"] for n, cost in row["others"].items()}
        for row in rows
    }
    return Report(title, rows, [_line(row, versions) for row in rows], notes, chart)


def _row(task, shape, scales, costs, machine: limits.Limits) -> dict:
    ours = costs[rivals.OURS]
    others = {name: cost for name, cost in costs.items() if name != rivals.OURS}
    fastest = min(others, key=lambda name: others[name].seconds, default=None)
    size = math.prod(shape)
    return {
        "task": task,
        "shape": "x".join(map(str, shape)),
        "scales": scales,
        "seconds": ours.seconds,
        "first_seconds": ours.first,
        "peak_over_image": ours.peak and ours.peak / (4 * size),
        "of_copy_bandwidth": _BYTES[task]
        * size
        / ours.seconds
        / machine.bytes_per_second,
        "fastest": fastest,
        "ratio": fastest and others[fastest].seconds / ours.seconds,
        "others": {name: cost._asdict() for name, cost in others.items()},
    }


def _line(row: dict, versions: dict[str, str]) -> dict[str, str]:
    def milliseconds(seconds: float) -> str:
        return f"{1e3 * seconds:.1f}"

    others = {
        name: milliseconds(row["others"][name]["seconds"])
        if name in row["others"]
        else "-"
        for name in versions
        if name != rivals.OURS
    }
    ratio, peak = row["ratio"], row["peak_over_image"]
    return {
        "task": row["task"],
        "images": row["shape"],
        "ssimjax": milliseconds(row["seconds"]),
        **others,
        "times as fast": f"{ratio:.1f}" if ratio else "-",
        "peak memory / image": f"{peak:.1f}" if peak else "-",
        "first call (s)": f"{row['first_seconds']:.1f}",
        "of copy speed": f"{100 * row['of_copy_bandwidth']:.0f} %",
    }
