"""What attacks are given: images as floats, and a label for each."""

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int


def as_inputs(
    images: ArrayLike, labels: Int[ArrayLike, "..."]
) -> tuple[Float[Array, "b h w c"], Int[Array, " b"]]:
    """Images as floats, and their labels as an array.

    Args:
      images: images, floats or integers.
      labels: true classes.

    Returns:
      Both; the images float32, or float64 for float64 input.

    Raises:
      ValueError: if there is not one label for each image.
    """
    images, labels = as_floats(images), jnp.asarray(labels)
    if labels.shape != (len(images),):
        raise ValueError(
            f"labels must be [{len(images)}], one for each image, got {labels.shape}"
        )
    return images, labels


def as_floats(images: ArrayLike) -> Float[Array, "b h w c"]:
    """Images of any type as floats, for integers would wrap around.

    Args:
      images: images, floats or integers.

    Returns:
      The images, float32, or float64 for float64 input.

    Example:
      >>> as_floats(jnp.full((1, 2, 2, 1), 255, jnp.uint8)).max().item()
      255.0
    """
    return jnp.asarray(images, jnp.result_type(images, jnp.float32))


def check_labels(labels: Int[ArrayLike, " b"], classes: int) -> None:
    """Raises unless the labels are classes, as far as their values are known.

    A label that is none, as of classes counted from 1, has no logit to look at, and
    would pass for misclassified.

    Args:
      labels: true classes; not checked if they are traced, or on other hosts.
      classes: how many there are.

    Raises:
      ValueError: if one is out of range.

    Example:
      >>> check_labels(jnp.array([0, 9]), 10)
    """
    if isinstance(labels, jax.core.Tracer):
        return
    if isinstance(labels, jax.Array) and not labels.is_fully_addressable:
        return
    known = np.asarray(labels)
    if known.size and not (known.min() >= 0 and known.max() < classes):
        raise ValueError(
            f"labels must be from 0 to {classes - 1}, got values from {known.min()} to "
            f"{known.max()}"
        )
