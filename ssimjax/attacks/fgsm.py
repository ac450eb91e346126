"""The fast gradient sign method."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from ssimjax.attacks.balls import Epsilon, ball_around
from ssimjax.attacks.inputs import as_inputs, check_labels
from ssimjax.attacks.objectives import LogitsFn, cross_entropy


def fgsm(
    logits_fn: LogitsFn,
    images: Float[ArrayLike, "b h w c"],
    labels: Int[ArrayLike, " b"],
    *,
    epsilon: Epsilon,
    clip_range: tuple[float, float] = (0.0, 1.0),
) -> Float[Array, "b h w c"]:
    """One step of size epsilon along the sign of the loss gradient.

        adv = clip(x + ε sign(∇_x J(x, label))),  J the softmax cross-entropy

    A gradient that is not finite moves nothing.

    Args:
      logits_fn: maps images to logits `[b, classes]`, each image on its own.
      images: images in `clip_range`; integers become float32.
      labels: true classes.
      epsilon: L∞ size of the step in pixel units, >= 0; may be traced.
      clip_range: smallest and largest valid pixel.

    Returns:
      Adversarial images in `clip_range`, at most epsilon from the originals.

    Raises:
      ValueError: if epsilon is a negative number, the range is empty, pixels whose
        values are known are outside of it, or labels are not one class for each image.

    Example:
      >>> logits_fn = lambda x: jnp.stack([x.sum((1, 2, 3)), -x.sum((1, 2, 3))], -1)
      >>> image = jnp.full((1, 2, 2, 1), 0.5)
      >>> float(fgsm(logits_fn, image, jnp.array([0]), epsilon=0.25).max())
      0.25

    References:
      Goodfellow et al. 2015, Explaining and harnessing adversarial examples, Section 4.
      Abobakr et al. 2018, SSIMLayer, Eq. 20 and 21.
    """
    ball = ball_around(
        images, epsilon=epsilon, norm="linf", clip_range=clip_range, allowed=("linf",)
    )
    given = labels
    images, labels = as_inputs(images, labels)

    def loss(images: Array) -> Array:
        # A sum, so that each image's gradient has the scale it would have alone.
        logits = logits_fn(images)
        check_labels(given, logits.shape[1])
        return cross_entropy(logits, labels).sum()

    gradient = jax.grad(loss)(images)
    gradient = jnp.where(jnp.isfinite(gradient), gradient, 0)
    return ball.project(images + ball.epsilon * ball.steepest(gradient), images)
