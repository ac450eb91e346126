"""Both networks of the quickstart: trained, attacked, compared.

    python -m experiments.demo --workdir=runs/demo

The networks differ in their last feature layer, and in nothing else.
"""

import json

from absl import flags
from etils import epath

from configs import quickstart
from experiments import command_line
from ssimjax.tables import accuracy_cells, markdown_table, summary_cells
from ssimjax.tasks import attack_accuracy, draw_attack, draw_training, train

_WORKDIR = command_line.define_workdir("Folder for both runs and their pictures.")
_SEED = flags.DEFINE_integer(
    "seed", 0, "Of initialisation, shuffling, augmentation.", lower_bound=0
)
_EPOCHS = flags.DEFINE_float("epochs", None, "Instead of the quickstart's.")
_EXAMPLES = flags.DEFINE_integer(
    "examples", 1000, "Attacked examples of each split.", lower_bound=1
)


def main() -> None:
    """Trains, attacks, draws and prints one table."""
    folder = epath.Path(_WORKDIR.value)
    runs, attacks, lines = {}, {}, []
    for network in ("ssim", "conv"):
        config = quickstart.get_config(network)
        config.seed = _SEED.value
        if _EPOCHS.value is not None:
            config.training.epochs = _EPOCHS.value
        print(f"Training the {network} network ...", flush=True)
        run = runs[network] = train(config, folder / network)
        attacks[network] = attack_accuracy(
            run, epsilons=config.attack.epsilons, examples=_EXAMPLES.value
        )
        test = [row for row in attacks[network] if row["split"] == "test"]
        lines.append(
            {"network": network} | summary_cells(run.summary) | accuracy_cells(test[1:])
        )
    pictures = draw_training(runs, folder)
    classes = len(runs["ssim"].dataset.classes)
    pictures.append(draw_attack(attacks, folder, classes=classes))
    (folder / "attack.json").write_text(json.dumps(attacks, indent=2) + "\n")

    print(f"\n{runs['ssim'].dataset.description}, seed {_SEED.value}.")
    print("Top-1 accuracy (%); ε = n/255: on test images attacked with FGSM.\n")
    print(markdown_table(lines))
    print("\nPictures:", *pictures, sep="\n  ")


if __name__ == "__main__":
    command_line.run(main)
