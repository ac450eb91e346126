"""What a trained autoencoder makes: reconstructions, samples, and how good they are."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ssimjax.tasks.generators import in_batches
from ssimjax.tasks.learner import as_floats
from ssimjax.tasks.run import Run
from ssimjax.tasks.scores import image_scores
from ssimjax.training import Row, with_spread


def reconstructions(run: Run, images: Any, *, seed: int = 0) -> np.ndarray:
    """What an autoencoder makes of images.

    Args:
      run: a trained autoencoder.
      images: `[n, h, w, c]`, uint8 or floats in [0, 1].
      seed: which network of several, from 0.

    Returns:
      Images `[n, h, w, c]` in (0, 1), float32.

    Raises:
      IndexError: if the run has no such seed.
    """
    return _in_batches(run, run.task.reconstruct, run.states()[seed], images)


def codes(run: Run, images: Any, *, seed: int = 0) -> np.ndarray:
    """Codes of images, of a variational autoencoder the means.

    Args:
      run: a trained autoencoder.
      images: `[n, h, w, c]`, uint8 or floats in [0, 1].
      seed: which network of several, from 0.

    Returns:
      Codes `[n, code]`, float32.

    Raises:
      IndexError: if the run has no such seed.
    """
    return _in_batches(run, run.task.encode, run.states()[seed], images)


def reconstruction_scores(run: Run) -> Row:
    """Every measure of `image_scores` on all test images, whatever was trained on.

    Args:
      run: a trained autoencoder.

    Returns:
      `NAME`, the mean over test images; `NAME_se`, its standard error over images; of
      several seeds, the mean of both, and `NAME_sd` and `NAME_each` over seeds.

    Raises:
      FloatingPointError: if a score is not finite.
    """
    test = run.dataset.test
    score = jax.jit(image_scores)
    every: dict[str, list[np.ndarray]] = {}
    for seed in range(run.config.seeds):
        found = reconstructions(run, test.images, seed=seed)
        parts = [
            jax.device_get(
                score(found[part], as_floats(jnp.asarray(test.images[part])))
            )
            for part in _slices(len(test), run.config.training.eval_batch_size)
        ]
        for name in parts[0]:
            values = np.concatenate([part[name] for part in parts])
            every.setdefault(name, []).append(values)
    row: Row = {}
    for name, values in every.items():
        if not np.isfinite(values).all():
            raise FloatingPointError(f"{name} of a reconstruction is not finite")
        means = [float(np.mean(each, dtype=np.float64)) for each in values]
        row |= with_spread({name: np.array(means)})
        errors = np.std(values, -1, ddof=1) / np.sqrt(len(test))
        row[f"{name}_se"] = float(errors.mean())
    return row


def interpolations(
    run: Run, first: Any, second: Any, *, steps: int = 8, seed: int = 0
) -> np.ndarray:
    """Images on the straight lines between the codes of two sets of images.

    Args:
      run: a trained autoencoder.
      first: images at the beginning, `[n, h, w, c]`.
      second: images at the end, as many.
      steps: images of a line, with both ends, >= 2.
      seed: which network of several, from 0.

    Returns:
      Images `[n, steps, h, w, c]`; the ends are reconstructions.

    Raises:
      ValueError: if there are fewer than two steps, or the sets differ in shape.
    """
    first, second = np.asarray(first), np.asarray(second)
    if steps < 2 or first.shape != second.shape:
        raise ValueError(
            "steps must be >= 2 and both sets of one shape, got "
            f"{steps}, {first.shape} and {second.shape}"
        )
    along = np.linspace(0, 1, steps, dtype=np.float32)[None, :, None]
    start, end = (codes(run, x, seed=seed)[:, None] for x in (first, second))
    line = (1 - along) * start + along * end
    model = run.task.model(run.states()[seed])
    images = model.decode(jnp.asarray(line.reshape(-1, line.shape[-1])))
    return np.asarray(images).reshape(len(first), steps, *first.shape[1:])


def _slices(length: int, size: int) -> list[slice]:
    return [slice(start, start + size) for start in range(0, length, size)]


def _in_batches(
    run: Run, function: Callable[[Any, Array], Array], state: Any, images: Any
) -> np.ndarray:
    return in_batches(
        lambda part: function(state, part), images, run.config.training.eval_batch_size
    )
