"""What things cost, side by side in one run, as ratios.

    python -m experiments.benchmark layer

`layer`: the SSIM layer beside convolution + bias + ReLU of the same shape.
`data`: images per second from the cache to the devices.
`train`: training of the Fig. 4 networks, beside its step alone, five seeds at once and,
where PyTorch is installed, PyTorch.
"""

import importlib
import json

import jax
from absl import flags
from etils import epath

from experiments import command_line
from ssimjax.tables import markdown_table

_SUBJECTS = ("layer", "ssim", "ms_ssim", "data", "train")
_REPEATS = flags.DEFINE_integer("repeats", 50, "Timings of each rival.")
_OUT = flags.DEFINE_string("out", None, "JSON file to write.")


def main(subject: str) -> None:
    """Measures and prints the table."""
    module = importlib.import_module(f"experiments.benchmarks.{subject}")
    report = module.measure(repeats=_REPEATS.value)
    print(f"\n{report.title}; jax {jax.__version__}, {jax.devices()[0].device_kind}\n")
    print(markdown_table(report.lines))
    print(*report.notes, sep="\n")
    if _OUT.value is not None:
        text = json.dumps(report.rows, indent=2) + "\n"
        epath.Path(_OUT.value).write_text(text)


if __name__ == "__main__":
    command_line.run(main, choices=_SUBJECTS)
