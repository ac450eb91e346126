"""What a training step of each generative model costs, with SSIM and without."""

import numpy as np

from configs.ghojogh2020 import (
    aae,
    conditional_gan,
    conditional_gmmn,
    gan,
    gmmn,
    lsgan,
    vae,
)
from experiments.benchmarks.steps import step_taker
from experiments.benchmarks.timing import Report, turns
from ssimjax.data import Arrays, Dataset
from ssimjax.tasks.run import TASKS

# Config files and their arguments; the first of each is what others are compared with.
_FAMILIES = {
    "gmmn": (gmmn, ("rbf", "ssim", "energy", "ssim_energy")),
    "conditional_gmmn": (conditional_gmmn, ("rbf", "ssim")),
    "gan": (gan, ("gan", "gan_ssim_patches", "gan_ssim_energy")),
    "conditional_gan": (conditional_gan, ("gan", "gan_ssim_patches")),
    "lsgan": (lsgan, ("lsgan", "lsgan_ssim_scaled")),
    "vae": (vae, ("mse", "bce", "ssim_distance")),
    "aae": (aae, ("mse", "bce", "ssim_distance")),
}


def measure(*, repeats: int) -> Report:
    """Milliseconds of a step of one network, on noise of the size of MNIST.

    Args:
      repeats: steps that the medians are of.

    Returns:
      A row per model.
    """
    rng = np.random.default_rng(0)
    rows = []
    for family, (file, arguments) in _FAMILIES.items():
        steps, batches = {}, {}
        for argument in arguments:
            config = file.get_config(argument)
            count = batches[argument] = config.training.batch_size
            images = rng.integers(0, 256, (count, 28, 28, 1), np.uint8)
            arrays = Arrays(images, np.arange(count) % 10)
            names = tuple(map(str, range(10)))
            dataset = Dataset(arrays, arrays, names, "noise")
            steps[argument] = step_taker(TASKS[config.task](config, dataset), arrays)
        seconds = turns(steps, repeats=repeats)
        rows += [
            {
                "model": family,
                "objective": argument,
                "batch": batches[argument],
                "seconds": seconds[argument],
                "ratio": seconds[argument] / seconds[arguments[0]],
            }
            for argument in arguments
        ]
    lines = [
        {
            "model": row["model"],
            "objective": row["objective"],
            "batch": str(row["batch"]),
            "step (ms)": f"{1e3 * row['seconds']:.1f}",
            "of the first": f"{row['ratio']:.2f}",
        }
        for row in rows
    ]
    return Report(
        f"training steps of generative models of 28x28 pixels (medians of {repeats})",
        rows,
        lines,
        ["Ratios: to the first objective of the same model."],
        {
            family: {
                row["objective"]: 1e3 * row["seconds"]
                for row in rows
                if row["model"] == family
            }
            for family in _FAMILIES
        },
    )
