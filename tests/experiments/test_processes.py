"""Several processes as one program, and machines that are taken away."""

import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from ssimjax.training import read_rows

ROOT = pathlib.Path(__file__).parents[2]
SMALL = [
    "--config=configs/quickstart.py:conv",
    # Each topology rounds its sums in its own way. At the usual rate, ten times
    # this one, 320 steps magnify that from 1e-7 to a percent; at this one not at all.
    "--config.optimizer.rate=0.001",
    "--config.data.train_count=320",
    "--config.data.test_count=110",  # No multiple of the batch.
    "--config.model.widths=(4,4,4)",
    "--config.training.batch_size=16",
    "--config.training.eval_batch_size=40",
    "--config.training.log_every=5",
    "--config.training.eval_every=20",
    "--config.training.checkpoint_every=10",
    "--config.training.visualise=False",
]


def start(workdir, *arguments, devices=1):
    flags = f"--xla_force_host_platform_device_count={devices}"
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "experiments.train"),
            *SMALL,
            f"--workdir={workdir}",
            "--compilation_cache=",
            *arguments,
        ],
        cwd=ROOT,
        env=os.environ | {"XLA_FLAGS": flags},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def start_two(workdir, *arguments):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    cluster = ["--distributed", f"--coordinator=localhost:{port}", "--processes=2"]
    return [
        start(workdir, *arguments, *cluster, f"--process={i}", devices=2)
        for i in range(2)
    ]


def finish(*processes, code=0):
    for process in processes:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == code, errors
    return errors


def wait_for_step(workdir, step, *processes):
    """Waits until a row of this step is written."""
    path = workdir / "metrics.jsonl"
    deadline = time.monotonic() + 200
    while not (path.exists() and any(r["step"] >= step for r in read_rows(path))):
        for process in processes:
            assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def assert_same_curve(folder, other):
    rows, targets = (read_rows(f / "metrics.jsonl") for f in (folder, other))
    assert [(r["step"], r["split"]) for r in rows] == [
        (r["step"], r["split"]) for r in targets
    ]
    for row, target in zip(rows, targets):
        for name in ("loss", "top1", "epoch"):
            np.testing.assert_allclose(row[name], target[name], rtol=1e-5, err_msg=row)


def test_two_processes_are_one_run_and_stop_as_one(tmp_path):
    epochs = "--config.training.epochs=16"  # 320 steps
    finish(start(tmp_path / "one", epochs))
    one = json.loads((tmp_path / "one/summary.json").read_text())

    processes = start_two(tmp_path / "two", epochs)
    wait_for_step(tmp_path / "two", 30, *processes)
    processes[1].send_signal(signal.SIGTERM)
    errors = finish(*processes, code=75)
    assert "is saved; the same command continues" in errors
    stopped = max(
        int(p.name)
        for p in (tmp_path / "two/checkpoints").iterdir()
        if p.name.isdigit()
    )
    assert 30 <= stopped < 320
    assert not (tmp_path / "two/summary.json").exists()

    # Another topology takes over: one process, eight devices.
    done = start(tmp_path / "two", epochs, devices=8)
    output, errors = done.communicate(timeout=300)
    assert done.returncode == 0, errors
    assert f"Continued from step {stopped}." in output
    assert_same_curve(tmp_path / "two", tmp_path / "one")
    two = json.loads((tmp_path / "two/summary.json").read_text())
    assert two["device"].startswith("8 x ")
    for split in ("train", "test"):
        for name, value in one[split].items():
            np.testing.assert_allclose(two[split][name], value, rtol=1e-5)


def test_two_processes_find_seeds_of_a_finished_run(tmp_path):
    few = "--config.training.epochs=1", "--config.seeds=2"
    finish(*start_two(tmp_path, *few))
    before = (tmp_path / "summary.json").read_bytes()
    finish(*start_two(tmp_path, *few))
    assert (tmp_path / "summary.json").read_bytes() == before


def test_flags_of_processes_that_do_not_fit(tmp_path):
    lone = start(tmp_path, "--processes=2")
    assert "coordinator, processes and process need --distributed" in finish(
        lone, code=1
    )
    lost = start(tmp_path, "--distributed")
    assert "error: --distributed found no cluster" in finish(lost, code=1)


def test_a_full_disk_is_an_error_and_no_broken_run(tmp_path):
    epochs = "--config.training.epochs=2"  # 40 steps
    limited = subprocess.Popen(
        [
            *(sys.executable, "-c"),
            "import resource, runpy, sys\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
            "sys.argv[0] = 'train'\n"
            "runpy.run_module('experiments.train', run_name='__main__')",
            *SMALL,
            epochs,
            f"--workdir={tmp_path}",
            "--compilation_cache=",
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    errors = finish(limited, code=1)
    assert "could not be written" in errors and "File too large" in errors
    finish(start(tmp_path, epochs))
    steps = [r["step"] for r in read_rows(tmp_path / "metrics.jsonl")]
    assert steps == sorted(steps) and steps[-1] == 40


@pytest.mark.slow
def test_ten_kills_at_random_moments_cost_no_saved_step(tmp_path):
    epochs = "--config.training.epochs=60"  # 1200 steps
    often = "--config.training.checkpoint_every=2"  # Nearly always within a save.
    finish(start(tmp_path / "whole", epochs, often))
    random.seed(0)
    saved = 0
    for _ in range(10):
        victim = start(tmp_path / "run", epochs, often)
        try:
            wait_for_step(tmp_path / "run", saved + 1, victim)
            time.sleep(random.uniform(0, 1))
        finally:
            victim.kill()
            victim.communicate()
        steps = [
            int(p.name)
            for p in (tmp_path / "run/checkpoints").iterdir()
            if p.name.isdigit()
        ]
        assert max(steps, default=0) >= saved
        saved = max(steps, default=0)
    assert 0 < saved < 1200
    finish(start(tmp_path / "run", epochs, often))
    assert_same_curve(tmp_path / "run", tmp_path / "whole")
