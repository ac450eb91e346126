"""Enlarges an image file by a trained network, or judges networks on folders of images.

    python -m experiments.super_resolve photo.jpg --workdir=runs/sr --out=large.png
    python -m experiments.super_resolve --workdir=runs/sr-mse,runs/sr-mae \
        --evaluate=DATA/Set5,DATA/Set14

Of a colour image the network makes luma; colour is enlarged bicubically. Transparent
pixels and more than 8 bits per channel are refused. `--evaluate` compares networks with
bicubic enlargement by PSNR and SSIM of luma on every image, as is published for SRCNN,
prints the means, and writes `super-resolution.json` and `.md`.
"""

import io
import json

import PIL.Image
from absl import flags
from etils import epath

from experiments import command_line
from ssimjax.data import read_image
from ssimjax.tables import markdown_table, with_deviation
from ssimjax.tasks import (
    Run,
    folder_scores,
    load_upscaler,
    mean_scores,
    upscaled,
)
from ssimjax.training import Row

_WORKDIR = command_line.define_workdirs("Folders of trained networks.")
_CHECKPOINT = command_line.define_checkpoint()
_OUT = flags.DEFINE_string(
    "out", None, "Image file to write; with --evaluate a folder, default the first run."
)
_EVALUATE = flags.DEFINE_list("evaluate", [], "Folders of images to judge networks on.")
_SEED = flags.DEFINE_integer("seed", 0, "Which network of a run of several seeds.")


def main(*images: str) -> None:
    """Enlarges the image, or prints and writes the tables."""
    if len(images) + bool(_EVALUATE.value) != 1:
        raise ValueError(
            "name one image file, or folders of images by --evaluate, got "
            f"{len(images)} files and {len(_EVALUATE.value)} folders"
        )
    names = command_line.folder_names(_WORKDIR.value)
    runs = {
        name: load_upscaler(folder, checkpoint=_CHECKPOINT())
        for name, folder in zip(names, _WORKDIR.value)
    }
    if images:
        _enlarge(images[0], runs)
    else:
        _evaluate(runs)


def _enlarge(name: str, runs: dict[str, Run]) -> None:
    if _OUT.value is None or len(runs) > 1:
        raise ValueError(
            "an image needs --out=FILE and one folder in --workdir, got "
            f"--out={_OUT.value} and {len(runs)} folders"
        )
    out = epath.Path(_OUT.value)
    known = PIL.Image.registered_extensions()
    if out.suffix.lower() not in known or known[out.suffix.lower()] not in (
        PIL.Image.SAVE
    ):
        raise ValueError(f"--out must end like .png or .jpg, got {_OUT.value!r}")
    (run,) = runs.values()
    if not 0 <= _SEED.value < run.config.seeds:
        raise ValueError(
            f"--seed must be from 0 to {run.config.seeds - 1}, got {_SEED.value}"
        )
    image = read_image(name)
    large = upscaled(run, image, seed=_SEED.value)
    picture = PIL.Image.fromarray(large.squeeze(2) if large.shape[2] == 1 else large)
    encoded = io.BytesIO()  # A file that is there stays if this format cannot hold it.
    picture.save(encoded, known[out.suffix.lower()])
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(encoded.getvalue())
    height, width = image.shape[:2]
    print(f"{width}x{height} to {large.shape[1]}x{large.shape[0]} pixels:\n  {out}")


def _evaluate(runs: dict[str, Run]) -> None:
    factor = next(iter(runs.values())).task.factor
    folder = epath.Path(_OUT.value or _WORKDIR.value[0])
    rows: dict[str, list[Row]] = {}
    names = command_line.folder_names(_EVALUATE.value, flag="evaluate")
    for name, images in zip(names, _EVALUATE.value):
        found = folder_scores(images, factor=factor, runs=runs)
        rows[name] = [*found, *mean_scores(found)]
    means = [
        {"images": f"{name} ({_count(table)})"} | _cells(row)
        for name, table in rows.items()
        for row in table
        if row["image"] == "mean"
    ]
    every = [
        f"{name}, each image:\n\n"
        + markdown_table([{"image": row["image"]} | _cells(row) for row in table])
        for name, table in rows.items()
    ]
    text = (
        f"Y of BT.601, x{factor}, {factor} pixels of border left out:\n\n"
        + markdown_table(means)
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "super-resolution.json").write_text(json.dumps(rows, indent=2) + "\n")
    table = folder / "super-resolution.md"
    table.write_text("\n\n".join([text, *every]) + "\n")
    print(f"\n{text}\n\nEach image:\n  {table}")


def _count(rows: list[Row]) -> int:
    return len({row["image"] for row in rows} - {"mean"})


def _cells(row: Row) -> dict[str, str]:
    return {
        "method": row["method"],
        "PSNR (dB)": with_deviation(row, "psnr", digits=2),
        "SSIM": with_deviation(row, "ssim", digits=4),
    }


if __name__ == "__main__":
    command_line.run(main, several=True)
