"""What things cost, side by side in one run, as ratios.

    python -m experiments.benchmark layer

`layer`: the SSIM layer beside convolution + bias + ReLU of the same shape.
"""

import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from absl import flags
from etils import epath

from experiments import command_line
from ssimjax.ops import ssim_conv
from ssimjax.tables import markdown_table

# (batch, side, channels in, channels out, kernel)
_SHAPES = (
    (32, 32, 3, 32, 7),
    (32, 16, 32, 32, 5),
    (32, 8, 32, 64, 5),
    (128, 16, 64, 64, 3),
)
_REPEATS = flags.DEFINE_integer("repeats", 50, "Timings of each rival.")
_OUT = flags.DEFINE_string("out", None, "JSON file to write.")


def medians(
    rivals: Mapping[str, Callable[..., Any]], inputs: Sequence[Any], *, repeats: int
) -> dict[str, float]:
    """Median seconds of each rival, which take turns so that noise hits all alike.

    Args:
      rivals: functions of the inputs, by name; each is compiled first.
      inputs: arrays.
      repeats: how many timings the medians are of.

    Returns:
      Seconds by name.
    """
    compiled = {name: jax.jit(f) for name, f in rivals.items()}
    for f in compiled.values():
        jax.block_until_ready(f(*inputs))
    times: dict[str, list[float]] = {name: [] for name in rivals}
    for _ in range(repeats):
        for name, f in compiled.items():
            start = time.perf_counter()
            jax.block_until_ready(f(*inputs))
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def layer() -> list[dict[str, Any]]:
    """Forward, and value with the gradients in input and parameters.

    Returns:
      A row per shape: milliseconds of both layers, and their ratios.
    """

    def convolution(x, filters, bias, _):
        y = jax.lax.conv_general_dilated(
            x,
            filters,
            (1, 1),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            precision=jax.lax.Precision.HIGHEST,
        )
        return jax.nn.relu(y + bias)

    def ssim(x, filters, _bias, _):
        return ssim_conv(x, filters)

    def with_gradients(f, variables):
        def loss(x, filters, bias, cotangent):
            return (f(x, filters, bias, cotangent) * cotangent).sum()

        return jax.value_and_grad(loss, variables)

    rows = []
    for batch, side, c_in, c_out, kernel in _SHAPES:
        keys = jax.random.split(jax.random.key(0), 3)
        inputs = (
            jax.random.uniform(keys[0], (batch, side, side, c_in)),
            jax.random.normal(keys[1], (kernel, kernel, c_in, c_out)),
            jnp.zeros((1, 1, 1, c_out)),
            jax.random.normal(keys[2], (batch, side, side, c_out)),
        )
        forward = medians(
            {"conv": convolution, "ssim": ssim}, inputs, repeats=_REPEATS.value
        )
        gradients = medians(
            {
                "conv": with_gradients(convolution, (0, 1, 2)),
                "ssim": with_gradients(ssim, (0, 1)),
            },
            inputs,
            repeats=_REPEATS.value,
        )
        rows.append(
            {
                "shape": f"{batch}x{side}x{side}, {c_in}->{c_out}, {kernel}x{kernel}",
                "conv_ms": 1e3 * forward["conv"],
                "ssim_ms": 1e3 * forward["ssim"],
                "ratio": forward["ssim"] / forward["conv"],
                "conv_gradients_ms": 1e3 * gradients["conv"],
                "ssim_gradients_ms": 1e3 * gradients["ssim"],
                "gradients_ratio": gradients["ssim"] / gradients["conv"],
            }
        )
    return rows


_SUBJECTS = {"layer": layer}


def main(subject: str) -> None:
    """Measures and prints the table."""
    rows = _SUBJECTS[subject]()
    lines = [
        {
            "layer": row["shape"],
            "conv + bias + ReLU (ms)": f"{row['conv_ms']:.2f}",
            "SSIM (ms)": f"{row['ssim_ms']:.2f}",
            "ratio": f"{row['ratio']:.2f}",
            "value and gradients: conv (ms)": f"{row['conv_gradients_ms']:.2f}",
            "SSIM": f"{row['ssim_gradients_ms']:.2f}",
            "ratio ": f"{row['gradients_ratio']:.2f}",
        }
        for row in rows
    ]
    print(f"\njax {jax.__version__}, {jax.devices()[0].device_kind}, float32\n")
    print(markdown_table(lines))
    for name in ("ratio", "gradients_ratio"):
        mean = statistics.geometric_mean(row[name] for row in rows)
        print(f"geometric mean of {name.replace('_', ' ')}: {mean:.3f}")
    if _OUT.value is not None:
        epath.Path(_OUT.value).write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    command_line.run(main, choices=list(_SUBJECTS))
