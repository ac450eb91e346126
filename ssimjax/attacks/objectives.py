"""What an attack maximises, per example, and when it has succeeded."""

from collections.abc import Callable
from typing import Literal

import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from ssimjax.attacks.inputs import check_labels

LogitsFn = Callable[[Array], Array]
Loss = Literal["ce", "margin", "dlr"]


def is_fooled(
    logits: Float[Array, "b classes"], labels: Int[Array, " b"], *, top_k: int = 1
) -> Bool[Array, " b"]:
    """Whether the true class is not among the k largest logits.

    Of equal logits the first counts as the larger, as `argmax` and `top_k` have it.

    Args:
      logits: of each class.
      labels: true classes.
      top_k: how many guesses the classifier has, >= 1.

    Returns:
      One truth value per example; True where a logit that matters is NaN.

    Raises:
      ValueError: if a label is none of the classes, where labels are not traced.

    Example:
      >>> is_fooled(jnp.array([[1.0, 3.0, 2.0]]), jnp.array([2]), top_k=2).tolist()
      [False]
    """
    check_labels(labels, logits.shape[1])
    own = jnp.take_along_axis(logits, labels[:, None], 1)
    first = jnp.arange(logits.shape[1])[None] < labels[:, None]
    # Written so that a NaN counts as a guess that comes before the true class.
    before = ~(logits <= own) | ((logits == own) & first)
    return before.sum(1) >= top_k


def cross_entropy(
    logits: Float[Array, "b classes"], labels: Int[Array, " b"]
) -> Float[Array, " b"]:
    """Softmax cross-entropy.

    Args:
      logits: of each class.
      labels: true classes.

    Returns:
      −log softmax(z)_y, in [0, ∞).

    Example:
      >>> float(cross_entropy(jnp.zeros((1, 4)), jnp.array([0]))[0])
      1.386294...
    """
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)


def margin(
    logits: Float[Array, "b classes"], labels: Int[Array, " b"], *, top_k: int = 1
) -> Float[Array, " b"]:
    """How far the k-th best other class is above the true one.

        m = z_(k) − z_y,  z_(k) the k-th largest logit of the other classes

    Args:
      logits: of each class.
      labels: true classes.
      top_k: how many guesses the classifier has, >= 1 and below the number of classes.

    Returns:
      Margins, positive where the true class is not among the k largest.

    Raises:
      ValueError: if there are no k other classes.

    Example:
      >>> margin(jnp.array([[1.0, 3.0, 2.0]]), jnp.array([2])).tolist()
      [1.0]

    References:
      Carlini and Wagner 2017, Towards evaluating the robustness of neural networks,
      Section V, loss f_6.
    """
    if not 1 <= top_k < logits.shape[1]:
        raise ValueError(
            f"top_k must be at least 1 and below the {logits.shape[1]} classes, "
            f"got {top_k}"
        )
    own = jnp.take_along_axis(logits, labels[:, None], 1)[:, 0]
    return largest(without_label(logits, labels), top_k)[:, -1] - own


def dlr(
    logits: Float[Array, "b classes"], labels: Int[Array, " b"]
) -> Float[Array, " b"]:
    """Difference of logits ratio: a margin that no scaling of the logits changes.

        −(z_y − max_{i≠y} z_i) / (z_π1 − z_π3),  z_π1 ≥ z_π2 ≥ ... the logits in order

    Args:
      logits: of each class, of which there are three or more.
      labels: true classes.

    Returns:
      Losses, positive where the example is misclassified.

    Raises:
      ValueError: if there are fewer than three classes.

    Example:
      >>> dlr(jnp.array([[1.0, 3.0, 2.0]]), jnp.array([2])).tolist()
      [0.5]

    References:
      Croce and Hein 2020, Reliable evaluation of adversarial robustness with an
      ensemble of diverse parameter-free attacks, Eq. 6.
    """
    _check_classes(logits, 3, "dlr")
    best = largest(logits, 3)
    return margin(logits, labels) / (best[:, 0] - best[:, 2] + _TINY)


def targeted_dlr(
    logits: Float[Array, "b classes"],
    labels: Int[Array, " b"],
    targets: Int[Array, " b"],
) -> Float[Array, " b"]:
    """Difference of logits ratio towards one class.

        −(z_y − z_t) / (z_π1 − (z_π3 + z_π4) / 2)

    Args:
      logits: of each class, of which there are four or more.
      labels: true classes.
      targets: classes to be predicted instead.

    Returns:
      Losses, positive where the target is above the true class.

    Raises:
      ValueError: if there are fewer than four classes.

    Example:
      >>> logits = jnp.array([[4.0, 3.0, 2.0, 0.0]])
      >>> targeted_dlr(logits, jnp.array([0]), jnp.array([2])).tolist()
      [-0.66...]

    References:
      Croce and Hein 2020, Eq. 7.
    """
    _check_classes(logits, 4, "targeted_dlr")
    best = largest(logits, 4)
    own = jnp.take_along_axis(logits, labels[:, None], 1)[:, 0]
    aim = jnp.take_along_axis(logits, targets[:, None], 1)[:, 0]
    return (aim - own) / (best[:, 0] - (best[:, 2] + best[:, 3]) / 2 + _TINY)


def largest(logits: Float[Array, "b classes"], count: int) -> Float[Array, "b {count}"]:
    """The largest logits in order; `top_k` would gather a batch that devices share."""
    if count == 1:
        return logits.max(1, keepdims=True)
    return jnp.sort(logits, axis=1)[:, : -count - 1 : -1]


def without_label(
    logits: Float[Array, "b classes"], labels: Int[Array, " b"]
) -> Float[Array, "b classes"]:
    """The logits, with -∞ for the true class."""
    own = jnp.arange(logits.shape[1])[None] == labels[:, None]
    return jnp.where(own, -jnp.inf, logits)


LOSSES: dict[str, Callable[[Array, Array], Array]] = {
    "ce": cross_entropy,
    "margin": margin,
    "dlr": dlr,
}
# Of the authors' code: it matters where all logits are equal, and nowhere else.
_TINY = 1e-12


def _check_classes(logits: Array, least: int, loss: str) -> None:
    if logits.shape[1] < least:
        raise ValueError(
            f"loss {loss!r} needs {least} or more classes, got {logits.shape[1]}"
        )
