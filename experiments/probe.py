"""Support vector machines on the codes of trained autoencoders.

    python -m experiments.probe --workdir=runs/yale_b-mse,runs/yale_b-ms_ssim \
        --targets=azimuth,elevation

The class of an image is what the config's `data.label` names; targets are numbers that
the TFDS data set holds for each image. Autoencoders have seen all images, but no label.
Where training patches overlap, machines are tested on the test images. Writes
`probe.json` and `probe.md`.
"""

import json

from absl import flags
from etils import epath

from experiments import command_line
from ssimjax.data import TFDS
from ssimjax.tables import markdown_table, with_deviation
from ssimjax.tasks import codes, load, probe

_WORKDIR = command_line.define_workdirs("Folders of trained autoencoders.")
_CHECKPOINT = command_line.define_checkpoint()
_TARGETS = flags.DEFINE_list("targets", [], "Numbers to regress, such as azimuth.")
_SPLITS = flags.DEFINE_integer("splits", 5, "Random splits.")
_SEED = flags.DEFINE_integer("seed", 0, "Of the splits.", lower_bound=0)
_OUT = flags.DEFINE_string("out", None, "Folder to write to; default the first one.")


def main() -> None:
    """Probes the codes of the first seed of each run, and prints the table."""
    rows, lines = {}, []
    names = command_line.folder_names(_WORKDIR.value)
    for name, folder in zip(names, _WORKDIR.value):
        run = load(folder, checkpoint=_CHECKPOINT())
        if run.config.task != "reconstruction":
            raise ValueError(
                f"--workdir must name autoencoders, and {folder} holds a run of the "
                f"task {run.config.task}"
            )
        data = run.config.data
        if len(run.dataset.classes) < 2:
            raise ValueError(
                f"--workdir must name runs on images of several classes, and {folder} "
                f"has data.source={data.source}, data.label={data.label}"
            )
        targets = {}
        if _TARGETS.value:
            if data.source != "tfds":
                raise ValueError(
                    f"--targets needs a data set of TFDS, got data.source={data.source}"
                )
            source = TFDS(
                data.name, data.train_split, data_dir=data.data_dir, label=data.label
            )
            targets = {name: source.numbers(name) for name in _TARGETS.value}
        train, test = run.dataset.train, run.dataset.test
        tested = None
        if data.source == "photographs":  # Whose training patches overlap.
            tested = codes(run, test.images), test.labels
        row = probe(
            codes(run, train.images),
            train.labels,
            targets=targets,
            tested=tested,
            splits=_SPLITS.value,
            seed=_SEED.value,
        )
        rows[name] = row
        lines.append(
            {
                "codes": f"{name} ({run.config.loss.name})",
                "class error (%)": with_deviation(
                    {k: 100 * row[k] for k in ("error", "error_sd")}, "error", digits=2
                ),
            }
            | {
                f"{target} MSE": with_deviation(row, f"{target} mse", digits=2)
                for target in targets
            }
        )
    folder = epath.Path(_OUT.value or _WORKDIR.value[0])
    folder.mkdir(parents=True, exist_ok=True)
    table = markdown_table(lines)
    (folder / "probe.json").write_text(json.dumps(rows, indent=2) + "\n")
    (folder / "probe.md").write_text(table + "\n")
    print(f"\nMeans over {_SPLITS.value} splits ± standard deviation.\n\n{table}")


if __name__ == "__main__":
    command_line.run(main)
