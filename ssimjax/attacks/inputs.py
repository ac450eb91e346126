"""What attacks are given: images as floats, and a label for each."""

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

# Of pixels that were computed, relative to their range.
_ROUNDING = 1e-5


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
    return jnp.asarray(images, float_type(images))


def float_type(images: ArrayLike) -> np.dtype:
    """float32, or float64 of images that are float64 themselves."""
    return jnp.result_type(images, jnp.float32)


def check_pixels(images: ArrayLike, clip_range: tuple[float, float]) -> None:
    """Raises unless pixels are in their range, as far as their values are known.

    Pixels of 0 to 255, or standardised ones, would else be clipped to [0, 1], which is
    no small change. NaN is left for the network to find.

    Args:
      images: images; not checked if they are traced, or on other hosts.
      clip_range: smallest and largest valid pixel, which rounding may pass.

    Raises:
      ValueError: if a pixel is outside.

    Example:
      >>> check_pixels(jnp.array([0.0, 1.0]), (0.0, 1.0))
    """
    low, high = clip_range
    known = _known(images)
    if known is None or not known.size:
        return
    slack = _ROUNDING * (high - low)
    if known.min() < low - slack or known.max() > high + slack:
        raise ValueError(
            f"images must be within clip_range={clip_range}, got values from "
            f"{known.min()} to {known.max()}; name the range that yours have"
        )


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
    known = _known(labels)
    if known is None or not known.size:
        return
    if not (known.min() >= 0 and known.max() < classes):
        raise ValueError(
            f"labels must be from 0 to {classes - 1}, got values from {known.min()} to "
            f"{known.max()}"
        )


def _known(values: ArrayLike) -> np.ndarray | None:
    """Values on the host; None if they are traced, or on other hosts."""
    if isinstance(values, jax.core.Tracer):
        return None
    if isinstance(values, jax.Array) and not values.is_fully_addressable:
        return None
    return np.asarray(values)
