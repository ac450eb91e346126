"""The SSIM layer beside convolution + bias + ReLU of the same shape, JAX's and ours."""

import statistics

import jax
import jax.numpy as jnp

from experiments.benchmarks.convolution import inputs, ours, plain
from experiments.benchmarks.timing import Report, medians
from ssimjax.ops import ssim_conv

# (batch, side, channels in, channels out, kernel)
_SHAPES = (
    (32, 32, 3, 32, 7),
    (32, 16, 32, 32, 5),
    (32, 8, 32, 64, 5),
    (128, 16, 64, 64, 3),
)


def measure(*, repeats: int) -> Report:
    """Forward, and value with the gradients in input and parameters.

    Args:
      repeats: timings of each rival.

    Returns:
      A row per shape: milliseconds of JAX's convolution and of that which the models
      here use, of the SSIM layer and of that with patches per channel, and ratios.
    """

    def convolution(x, filters, bias, _):
        return jax.nn.relu(plain(x, filters) + bias)

    def convolution_here(x, filters, bias, _):
        return jax.nn.relu(ours(x, filters) + bias)

    def ssim(x, filters, _bias, _):
        return ssim_conv(x, filters)

    def per_channel(x, filters, _bias, _):
        return ssim_conv(x, filters, patches="per_channel")

    def with_gradients(f, variables):
        def loss(x, filters, bias, cotangent):
            return (f(x, filters, bias, cotangent) * cotangent).sum()

        return jax.value_and_grad(loss, variables)

    rows = []
    for batch, side, c_in, c_out, kernel in _SHAPES:
        x, filters, cotangent = inputs(batch, side, c_in, c_out, kernel)
        arrays = x, filters, jnp.zeros((1, 1, 1, c_out)), cotangent
        forward = medians(
            {"conv": convolution, "here": convolution_here, "ssim": ssim},
            arrays,
            repeats=repeats,
        )
        gradients = medians(
            {
                "conv": with_gradients(convolution, (0, 1, 2)),
                "here": with_gradients(convolution_here, (0, 1, 2)),
                "ssim": with_gradients(ssim, (0, 1)),
                "per_channel": with_gradients(per_channel, (0, 1)),
            },
            arrays,
            repeats=repeats,
        )
        rows.append(
            {
                "shape": f"{batch}x{side}x{side}, {c_in}->{c_out}, {kernel}x{kernel}",
                "conv_ms": 1e3 * forward["conv"],
                "conv_here_ms": 1e3 * forward["here"],
                "ssim_ms": 1e3 * forward["ssim"],
                "ratio": forward["ssim"] / forward["conv"],
                "here_ratio": forward["ssim"] / forward["here"],
                "conv_gradients_ms": 1e3 * gradients["conv"],
                "conv_here_gradients_ms": 1e3 * gradients["here"],
                "ssim_gradients_ms": 1e3 * gradients["ssim"],
                "gradients_ratio": gradients["ssim"] / gradients["conv"],
                "gradients_here_ratio": gradients["ssim"] / gradients["here"],
                "per_channel_gradients_ms": 1e3 * gradients["per_channel"],
                "per_channel_ratio": gradients["per_channel"] / gradients["ssim"],
            }
        )
    columns = {
        "JAX's conv + bias + ReLU (ms)": ("conv_ms", "conv_gradients_ms"),
        "ours": ("conv_here_ms", "conv_here_gradients_ms"),
        "SSIM": ("ssim_ms", "ssim_gradients_ms"),
        "of JAX's": ("ratio", "gradients_ratio"),
        "of ours": ("here_ratio", "gradients_here_ratio"),
        "per channel (ms)": (None, "per_channel_gradients_ms"),
        "of SSIM": (None, "per_channel_ratio"),
    }
    lines = [
        {"layer": row["shape"], "of": task}
        | {
            name: "" if keys[index] is None else f"{row[keys[index]]:.2f}"
            for name, keys in columns.items()
        }
        for index, task in enumerate(("value", "gradients"))
        for row in rows
    ]
    ratios = (
        "ratio",
        "here_ratio",
        "gradients_ratio",
        "gradients_here_ratio",
        "per_channel_ratio",
    )
    notes = [
        f"geometric mean of {name.replace('_', ' ')}: "
        f"{statistics.geometric_mean(row[name] for row in rows):.3f}"
        for name in ratios
    ]
    chart = {
        f"{task}, {row['shape']}": {"convolution": row[conv], "SSIM": row[ssim_]}
        for task, conv, ssim_ in (
            ("value", "conv_ms", "ssim_ms"),
            ("gradients", "conv_gradients_ms", "ssim_gradients_ms"),
        )
        for row in rows
    }
    title = "the SSIM layer beside convolution + bias + ReLU"
    return Report(title, rows, lines, notes, chart)
