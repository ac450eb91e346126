"""FGSM on the convolutional Fig. 4 network, beside foolbox."""

import importlib
import importlib.util
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from configs.abobakr2018 import table1
from experiments.benchmarks.timing import Report, turns
from ssimjax.attacks import fgsm
from ssimjax.data import Arrays, Dataset
from ssimjax.tasks.classification import from_config

_IMAGES, _EPSILON = 1000, 8 / 255


def measure(*, repeats: int) -> Report:
    """Images per second of each library, with the same network and images.

    Args:
      repeats: timings of each.

    Returns:
      One row.
    """
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (_IMAGES, 32, 32, 3), dtype=np.uint8)
    arrays = Arrays(images, np.arange(_IMAGES) % 10)
    dataset = Dataset(arrays, arrays, tuple("0123456789"), "noise")
    task = from_config(table1.get_config("conv"), dataset)
    model = task.model(task.init(jax.random.key(0)))
    pixels, labels = jnp.asarray(images, jnp.float32) / 255, jnp.asarray(arrays.labels)
    attack = jax.jit(lambda x: fgsm(model, x, labels, epsilon=_EPSILON))
    rivals = {"ssimjax": lambda: jax.block_until_ready(attack(pixels))}
    if importlib.util.find_spec("foolbox") is not None:
        foolbox: Any = importlib.import_module("foolbox")
        wrapped = foolbox.JAXModel(model, bounds=(0, 1))
        other = foolbox.attacks.LinfFastGradientAttack(random_start=False)
        rivals["foolbox"] = lambda: jax.block_until_ready(
            other(wrapped, pixels, labels, epsilons=_EPSILON)[1]
        )
    seconds = turns(rivals, repeats=repeats)
    rates = {name: _IMAGES / value for name, value in seconds.items()}
    row = {"attack": "FGSM", "images": _IMAGES, "images_per_second": rates}
    line = {"attack": "FGSM"} | {n: f"{rate:,.0f}" for n, rate in rates.items()}
    if "foolbox" in rates:
        row["ratio"] = rates["ssimjax"] / rates["foolbox"]
        line["times as fast"] = f"{row['ratio']:.1f}"
    notes = ["Images per second. foolbox also checks its result with the network."]
    title = f"attacks on {_IMAGES} images of 32x32x3"
    return Report(title, [row], [line], notes, {"FGSM": rates}, "images/s")
