"""Attacks the trained network in a folder with FGSM, over a grid of ε.

    python -m experiments.attack --workdir=runs/quickstart

Writes `attack.json`, `attack.md` and a picture into the folder.
"""

import json

from absl import flags
from etils import epath

from experiments import command_line
from ssimjax.tables import accuracy_table
from ssimjax.tasks import draw_attack, fgsm_accuracy, load

_WORKDIR = command_line.define_workdir("Folder of a trained network.")
_EXAMPLES = flags.DEFINE_integer(
    "examples", None, "How many examples of each split, spread evenly; default all."
)
_SPLITS = flags.DEFINE_list("splits", ["train", "test"], "Which splits to attack.")


def main() -> None:
    """Attacks, draws and prints the table."""
    run = load(_WORKDIR.value)
    name = run.config.model.feature_layer
    rows = fgsm_accuracy(
        run,
        epsilons=run.config.attack.epsilons,
        splits=_SPLITS.value,
        examples=_EXAMPLES.value,
    )
    table = accuracy_table([{"network": name} | row for row in rows])
    folder = epath.Path(_WORKDIR.value)
    (folder / "attack.json").write_text(json.dumps(rows, indent=2) + "\n")
    (folder / "attack.md").write_text(table + "\n")
    picture = draw_attack({name: rows}, folder, classes=len(run.dataset.classes))
    print(f"\nTop-1 / top-5 accuracy under FGSM (%), {run.dataset.description}.\n")
    print(table)
    print(f"\nPicture:\n  {picture}")


if __name__ == "__main__":
    command_line.run(main)
