"""What tasks share whose models make images from latent vectors."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jaxtyping import Array, Bool, Float

from ssimjax.data import Dataset
from ssimjax.nn import Decoder, DenseGenerator
from ssimjax.ops import rbf_kernel
from ssimjax.tasks.kernels import Kernel
from ssimjax.tasks.latents import Prior

# Of the kernels that every model is compared by, relative to the root of the number of
# elements: unrelated photographs and digits are about 0.4 of it apart.
_BANDWIDTHS = (0.1, 0.2, 0.4)


def weighted_mmd(
    real: Array, fake: Array, mask: Bool[Array, " b"], kernel: Kernel
) -> Float[Array, ""]:
    """Unbiased squared MMD of those examples that count, and as many samples.

    Args:
      real: examples `[b, ...]`.
      fake: samples `[b, ...]`. A conditional one is of the class of its example, so
        that it must not count where that does not.
      mask: which count.
      kernel: a kernel.

    Returns:
      MMD²; 0 where fewer than two count.

    Raises:
      ValueError: if a batch is of one example, of which there is no such estimate.
    """
    if len(real) < 2:
        raise ValueError(
            "training.eval_batch_size must be >= 2 for a distance of two samples, got "
            f"{len(real)}"
        )
    weights = mask.astype(jnp.float32)
    count = weights.sum()
    apart = jnp.maximum(count * (count - 1), 1.0)

    def within(x: Array) -> Array:
        xx = kernel(x, x)
        return (weights @ xx @ weights - weights @ jnp.diagonal(xx)) / apart

    between = weights @ kernel(real, fake) @ weights / jnp.maximum(count**2, 1.0)
    return jnp.where(count > 1, within(real) + within(fake) - 2 * between, 0.0)


def pixel_mmd(
    real: Float[Array, "b h w c"], fake: Float[Array, "b h w c"], mask: Array
) -> Float[Array, ""]:
    """`weighted_mmd` of pixels, by which all generative models are watched.

    The bandwidths of its Gaussian kernels are 0.1, 0.2 and 0.4 times the root of the
    number of elements.
    """
    scale = real[0].size ** 0.5
    bandwidths = tuple(scale * bandwidth for bandwidth in _BANDWIDTHS)
    return weighted_mmd(
        real, fake, mask, lambda a, b: rbf_kernel(a, b, bandwidths=bandwidths)
    )


def contact_sheet(images: Array, *, columns: int = 8) -> np.ndarray:
    """Images side by side in rows, without gaps, as TensorBoard shows them.

    Args:
      images: `[n, h, w, c]`, n a multiple of `columns`.
      columns: images of a row.

    Returns:
      One image `[rows · h, columns · w, c]`.
    """
    found = np.asarray(images)
    rows = found.reshape(-1, columns, *found.shape[1:])
    return np.concatenate([np.concatenate(list(row), 1) for row in rows], 0)


def prior_of(config: ml_collections.ConfigDict, dataset: Dataset) -> Prior:
    """The prior that a config describes; conditional models are told the class."""
    return Prior(
        length=config.model.latent,
        distribution=config.model.prior,
        classes=len(dataset.classes) if config.model.conditional else 0,
    )


def image_generator(
    config: ml_collections.ConfigDict, image_shape: Sequence[int], prior: Prior
) -> Callable[..., Any]:
    """The class of the generator that a config describes, short of its `rngs`.

    Raises:
      ValueError: if `model.name` is neither "dense" nor "convolutional".
    """
    height, width, channels = image_shape
    shape = (height, width, channels)
    inputs, widths = prior.length + prior.classes, tuple(config.model.widths)
    if config.model.name == "dense":
        return functools.partial(DenseGenerator, shape, inputs, widths=widths)
    if config.model.name == "convolutional":
        upsampling = config.model.upsampling
        return functools.partial(
            Decoder, shape, inputs, widths=widths, upsampling=upsampling
        )
    raise ValueError(
        "model.name must be 'dense' or 'convolutional', got " + repr(config.model.name)
    )


def in_batches(
    function: Callable[[Array], Array], inputs: Any, size: int
) -> np.ndarray:
    """A function of many inputs, on the host, in batches of one size.

    Args:
      function: from inputs `[size, ...]` to outputs `[size, ...]`.
      inputs: `[n, ...]`; the last batch is filled up with copies of its first.
      size: inputs of a batch.

    Returns:
      Outputs `[n, ...]`.
    """
    apply, parts = jax.jit(function), []
    for start in range(0, len(inputs), size):
        part = np.asarray(inputs[start : start + size])
        filled = np.concatenate([part, np.repeat(part[:1], size - len(part), 0)])
        parts.append(np.asarray(apply(filled))[: len(part)])
    return np.concatenate(parts)
