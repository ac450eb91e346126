"""Draws samples of a trained generative model.

    python -m experiments.sample --workdir=runs/gan --count=64
    python -m experiments.sample --workdir=runs/conditional_gan --count=8 --label=3

Writes `samples.png`, a grid, and `samples.npz` with `images`, float32 in [0, 1], and of
a conditional model `labels`; without `--label` it makes each class in turn.
"""

import math

import numpy as np
from absl import flags
from etils import epath

from experiments import command_line
from ssimjax import figures
from ssimjax.tasks import load, samples

_WORKDIR = command_line.define_workdir("Folder of a trained generative model.")
_CHECKPOINT = command_line.define_checkpoint()
_COUNT = flags.DEFINE_integer("count", 64, "How many samples.", lower_bound=1)
_LABEL = flags.DEFINE_string("label", None, "Name of a class, for conditional models.")
_SEED = flags.DEFINE_integer("seed", 0, "Of the latent vectors.")
_REPLICA = flags.DEFINE_integer("replica", 0, "Which network of a run of several.")
# Rows and columns of the picture, whatever the count.
_MOST_SHOWN = 20
_OUT = flags.DEFINE_string("out", None, "Folder to write to; default the workdir.")


def main() -> None:
    """Draws, and writes the picture and the arrays."""
    run = load(_WORKDIR.value, checkpoint=_CHECKPOINT())
    count = _COUNT.value
    if not 0 <= _REPLICA.value < run.config.seeds:
        raise ValueError(
            f"--replica must be 0 to {run.config.seeds - 1}, got {_REPLICA.value}"
        )
    labels = None
    if _LABEL.value is not None:
        classes = list(run.dataset.classes)
        if _LABEL.value not in classes:
            raise ValueError(
                f"--label must be one of {', '.join(classes)}, got {_LABEL.value!r}"
            )
        labels = np.full(count, classes.index(_LABEL.value))
    images = samples(
        run, count, labels=labels, replica=_REPLICA.value, seed=_SEED.value
    )
    arrays = {"images": images}
    if run.task.prior.classes:
        told = run.task.prior.labels(count) if labels is None else labels
        arrays["labels"] = np.asarray(told)
    folder = epath.Path(_OUT.value or _WORKDIR.value)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "samples.npz").open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    columns = min(count, run.task.prior.classes or math.ceil(math.sqrt(count)))
    columns = min(columns, _MOST_SHOWN)
    shown = images[: columns * _MOST_SHOWN]
    figures.image_grid(shown, folder / "samples.png", columns=columns)
    print("Samples:", folder / "samples.png", folder / "samples.npz", sep="\n  ")


if __name__ == "__main__":
    command_line.run(main)
