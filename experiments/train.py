"""Trains what a config describes, or continues where a killed run has stopped.

    python -m experiments.train --config=configs/quickstart.py --workdir=runs/quickstart

Any key of the config can be changed, as in `--config.training.epochs=20`; the keys,
with a comment each, are in configs/classification.py, configs/reconstruction.py and
configs/super_resolution.py. A config file's argument follows its name:
`--config=configs/quickstart.py:conv`.

`--config.seeds=5` trains five seeds at once. On several hosts, start the same command
on each, with `--distributed`. After SIGTERM the state is saved and the exit code is 75;
the same command continues.
"""

import sys

import ml_collections

from experiments import command_line
from ssimjax.tables import markdown_table, summary_cells
from ssimjax.tasks import Run, draw_training, train
from ssimjax.training import is_main

_CONFIG = command_line.define_config()
_WORKDIR = command_line.define_workdir("Folder for checkpoints, metrics and pictures.")
_JOIN = command_line.define_distributed()


def main() -> None:
    """Trains, draws and prints the summary."""
    _JOIN()
    run = _trained(_CONFIG.value)
    if not is_main():
        return
    pictures = draw_training({run.name: run}, _WORKDIR.value)
    if run.summary["continued_from"]:
        print(f"\nContinued from step {run.summary['continued_from']}.")
    print(f"\nTrained on {run.dataset.description}.\n")
    print(markdown_table([{"network": run.name} | summary_cells(run.summary)]))
    if run.summary["memory_bytes"]:  # Not where no step was left to take.
        print(
            f"\nCompiled in {run.summary['compile_seconds']:.1f} s; a step needs "
            f"{run.summary['memory_bytes'] / 1e6:.1f} MB on each of "
            f"{run.summary['device']}."
        )
    print("\nPictures:", *pictures, sep="\n  ")


def _trained(config: ml_collections.ConfigDict) -> Run:
    """The run of a config; a key that it lacks is the user's mistake."""
    try:
        return train(
            config,
            _WORKDIR.value,
            report=lambda text: print(text, file=sys.stderr, flush=True),
        )
    except AttributeError as error:
        # ml_collections' way to say so; any other is a defect of the program.
        if not (error.args and isinstance(error.args[0], KeyError)):
            raise
        key = error.args[0].args[0].splitlines()[0]
        needs = f", which the task {config.task} needs" if "task" in config else ""
        raise ValueError(f"the config has no key {key}{needs}") from error


if __name__ == "__main__":
    command_line.run(main)
