"""What the input gradient of a network is good for."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from ssimjax.attacks.balls import lengths
from ssimjax.attacks.inputs import as_inputs, check_labels
from ssimjax.attacks.objectives import LogitsFn, cross_entropy


class GradientHealth(NamedTuple):
    """Shares of input gradients that an attack cannot use.

    Attributes:
      zero: pixels whose gradient is exactly 0.
      zero_images: images all of whose pixels have gradient 0.
      nonfinite: pixels whose gradient is infinite or NaN.
      norm: median length of the gradient of an image, where it is finite.
    """

    zero: Float[Array, ""]
    zero_images: Float[Array, ""]
    nonfinite: Float[Array, ""]
    norm: Float[Array, ""]


def gradient_health(
    logits_fn: LogitsFn,
    images: Float[ArrayLike, "b h w c"],
    labels: Int[ArrayLike, " b"],
) -> GradientHealth:
    """How many gradients of the cross-entropy in the pixels are 0 or not finite.

    A network whose gradient vanishes or overflows withstands gradient attacks without
    being robust.

    Args:
      logits_fn: maps images to logits `[b, classes]`, each image on its own.
      images: images; integers become float32.
      labels: true classes.

    Returns:
      Shares in [0, 1], and the median length.

    Raises:
      ValueError: if there is no image, or labels are not one class for each.

    Example:
      >>> health = gradient_health(
      ...     lambda x: 0 * x[:, 0, 0], jnp.ones((2, 4, 4, 3)), jnp.array([0, 1])
      ... )
      >>> float(health.zero), float(health.nonfinite)
      (1.0, 0.0)

    References:
      Athalye et al. 2018, Obfuscated gradients give a false sense of security,
      Section 3.
    """
    given = labels
    images, labels = as_inputs(images, labels)
    if not len(images):
        raise ValueError("images must hold at least one, got none")

    def total(images: Array) -> Array:
        logits = logits_fn(images)
        check_labels(given, logits.shape[1])
        return cross_entropy(logits, labels).sum()

    gradients = jax.grad(total)(images)
    zero = gradients == 0
    norms = lengths(gradients)
    return GradientHealth(
        zero.mean(),
        zero.all((1, 2, 3)).mean(),
        (~jnp.isfinite(gradients)).mean(),
        jnp.nanmedian(jnp.where(jnp.isfinite(norms), norms, jnp.nan)),
    )
