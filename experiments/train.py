"""Trains what a config describes, or continues where a killed run has stopped.

    python -m experiments.train --config=configs/quickstart.py --workdir=runs/quickstart

Any key of the config can be changed, as in `--config.training.epochs=20`; the keys,
with a comment each, are in configs/classification.py. A config file's argument follows
its name: `--config=configs/quickstart.py:conv`.
"""

from experiments import command_line
from ssimjax.tables import markdown_table, summary_cells
from ssimjax.tasks import draw_training, train

_CONFIG = command_line.define_config()
_WORKDIR = command_line.define_workdir("Folder for checkpoints, metrics and pictures.")


def main() -> None:
    """Trains, draws and prints the summary."""
    run = train(_CONFIG.value, _WORKDIR.value)
    name = run.config.model.feature_layer
    pictures = draw_training({name: run}, _WORKDIR.value)
    if run.summary["continued_from"]:
        print(f"\nContinued from step {run.summary['continued_from']}.")
    print(f"\nTrained on {run.dataset.description}.\n")
    print(markdown_table([{"network": name} | summary_cells(run.summary)]))
    print("\nPictures:", *pictures, sep="\n  ")


if __name__ == "__main__":
    command_line.run(main)
