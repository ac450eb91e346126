"""What things cost, side by side in one run, as ratios.

    python -m experiments.benchmark layer

`layer`: the SSIM layer beside convolution + bias + ReLU of the same shape.
`convolution`: that of the models here, and its gradients, beside JAX's.
`ssim`, `ms_ssim`: value and gradients beside the libraries that are installed.
`losses`: every loss with its gradient, beside SSIM.
`scaling`: SSIM of all sizes, and how far each is from the trend.
`kernels`: the Gram matrix of SSIM of 500 images.
`attacks`: FGSM and PGD beside foolbox, on the classifier in `--workdir`, or on one that
is trained for it.
`data`: images per second from the cache to the devices.
`train`: training of the Fig. 4 networks, beside its step alone, five seeds at once and,
where PyTorch is installed, PyTorch.
`reconstruction`: what each loss adds to a training step of an autoencoder.
`generative`: a training step of every generative model, with SSIM and without.
`all`: all of them.

`make benchmark` installs the other libraries and runs all.
"""

import importlib
import json
import os

import jax
from absl import flags
from etils import epath

from experiments import command_line
from experiments.benchmarks import peers
from experiments.benchmarks.timing import Report
from ssimjax import figures
from ssimjax.tables import markdown_table

# How many timings the medians are of, unless told otherwise.
_SUBJECTS = {
    "layer": 50,
    "convolution": 25,
    "ssim": 7,
    "ms_ssim": 7,
    "losses": 15,
    "scaling": 15,
    "kernels": 1,
    "attacks": 3,
    "data": 7,
    "train": 6,
    "reconstruction": 15,
    "generative": 15,
}
_REPEATS = flags.DEFINE_integer(
    "repeats",
    None,
    "Timings of each rival; a number that suits the subject if none.",
    lower_bound=1,
)
_WORKDIR = flags.DEFINE_string("workdir", None, "A trained classifier, for attacks.")
_OUT = flags.DEFINE_string("out", None, "JSON file to write, and a PNG file beside it.")


def main(subject: str) -> None:
    """Measures, and prints a table per subject."""
    # Other libraries need memory of the same accelerator.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    out = None if _OUT.value is None else epath.Path(_OUT.value)
    if out is not None:
        # Before hours of measuring, not after.
        out.parent.mkdir(parents=True, exist_ok=True)
    found = {}
    for name in _SUBJECTS if subject == "all" else (subject,):
        repeats = _SUBJECTS[name] if _REPEATS.value is None else _REPEATS.value
        if name in ("ssim", "ms_ssim"):
            report = peers.measure(name, repeats=repeats)
        else:
            module = importlib.import_module(f"experiments.benchmarks.{name}")
            options = {"workdir": _WORKDIR.value} if name == "attacks" else {}
            report = module.measure(repeats=repeats, **options)
        device = jax.devices()[0].device_kind
        print(f"\n{report.title}; jax {jax.__version__}, {device}\n")
        print(markdown_table(report.lines))
        print(*report.notes, sep="\n", flush=True)
        found[name] = report
        if out is not None:
            _write(found, out)


def _write(found: dict[str, Report], out: epath.Path) -> None:
    """What was found so far, which the next subject may fail to add to."""
    reports = {
        name: {"title": report.title, "rows": report.rows, "notes": report.notes}
        for name, report in found.items()
    }
    out.write_text(json.dumps(reports, indent=2) + "\n")
    figures.bars(
        {report.title: (report.unit, report.chart) for report in found.values()},
        out.with_suffix(".png"),
    )


if __name__ == "__main__":
    # In a user's own program nothing keeps memory either.
    command_line.run(main, choices=(*_SUBJECTS, "all"), keep_memory=False)
