"""The launcher, with a gcloud that runs every command here."""

import os
import pathlib
import subprocess
import sys

SCRIPT = pathlib.Path(__file__).parents[2] / "experiments" / "launch_tpu.sh"

# Copies instead of sending, and runs instead of asking a worker to.
GCLOUD = """#!{python}
import json, os, shutil, subprocess, sys
with open("{log}", "a") as log:
    log.write(json.dumps(sys.argv[1:]) + "\\n")
home = "{home}"
arguments = sys.argv[4:]
if arguments[0] == "scp":
    shutil.copy(arguments[1], home + "/" + arguments[2].split(":")[1])
else:
    command = arguments[-1].removeprefix("--command=")
    sys.exit(subprocess.run(["bash", "-c", command], cwd=home).returncode)
"""
# Notes its arguments instead of training.
PYTHON = """#!/bin/sh
printf '<%s>' "$@" >> "{log}"
"""


def launch(tmp_path, *arguments):
    home = tmp_path / "home"
    (home / "ssimjax/.venv/bin").mkdir(parents=True)
    for path, text in {
        tmp_path / "gcloud": GCLOUD.format(
            python=sys.executable, log=tmp_path / "calls", home=home
        ),
        home / "ssimjax/.venv/bin/python": PYTHON.format(log=tmp_path / "started"),
        home / "ssimjax/.venv/bin/pip": PYTHON.format(log=tmp_path / "installed"),
    }.items():
        path.write_text(text)
        path.chmod(0o755)
    return subprocess.run(
        [SCRIPT, *arguments],
        env=os.environ | {"GCLOUD": str(tmp_path / "gcloud")},
        capture_output=True,
        text=True,
    )


def test_every_worker_gets_the_code_and_the_flags(tmp_path):
    done = launch(
        tmp_path,
        "slice",
        "us-central2-b",
        "--config=configs/quickstart.py",
        "--config.model.widths=(4, 4, 4)",
        "--workdir=gs://bucket/run",
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "home/ssimjax/experiments/train.py").exists()
    assert "<-e><.[tpu,gcs]>" in (tmp_path / "installed").read_text()
    assert (tmp_path / "started").read_text() == (
        "<-m><experiments.train><--distributed><--config=configs/quickstart.py>"
        "<--config.model.widths=(4, 4, 4)><--workdir=gs://bucket/run>"
    )
    calls = (tmp_path / "calls").read_text().splitlines()
    assert len(calls) == 3
    for call in calls:
        assert '"--zone=us-central2-b"' in call and '"--worker=all"' in call


def test_a_folder_of_one_worker_is_refused(tmp_path):
    elsewhere = "--config.data.data_dir=gs://bucket/data"
    refused = launch(tmp_path, "slice", "zone", "--workdir=runs/cifar10", elsewhere)
    assert refused.returncode == 2
    assert "must be on storage that all workers share" in refused.stderr
    assert not (tmp_path / "calls").exists()
