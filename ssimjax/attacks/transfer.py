"""Attacks on one network by way of another."""

from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ssimjax.attacks.balls import Epsilon, Norm
from ssimjax.attacks.objectives import LogitsFn, Loss
from ssimjax.attacks.pgd import pgd


def transfer(
    key: PRNGKeyArray,
    surrogate_fn: LogitsFn,
    images: Float[ArrayLike, "b h w c"],
    labels: Int[ArrayLike, " b"],
    *,
    epsilon: Epsilon,
    norm: Norm = "linf",
    steps: int = 50,
    loss: Loss = "margin",
    top_k: int = 1,
    clip_range: tuple[float, float] = (0.0, 1.0),
    slots: int | None = None,
) -> Float[Array, "b h w c"]:
    """The worst points for another network, found by PGD with all its steps.

    If they fool a network more often than an attack with its own gradient does, that
    gradient is masked.

    Args:
      key: PRNG key of the start.
      surrogate_fn: logits of the network whose gradient is followed.
      images: images in `clip_range`.
      labels: true classes.
      epsilon: see `pgd`, like all that follow.
      norm: see `epsilon`.
      steps: see `epsilon`.
      loss: see `epsilon`.
      top_k: see `epsilon`.
      clip_range: see `epsilon`.
      slots: see `epsilon`.

    Returns:
      Images of the largest margin for the other network, fooled or not.

    Raises:
      FloatingPointError: if one of its logits is not finite.
      ValueError: if an argument is out of its range.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> surrogate_fn = lambda x: jnp.stack([x.mean((1, 2, 3)), 0 * x[:, 0, 0, 0]], -1)
      >>> image = jnp.full((1, 2, 2, 1), 0.5)
      >>> found = transfer(
      ...     jax.random.key(0), surrogate_fn, image, jnp.array([0]), epsilon=0.25
      ... )
      >>> bool((found == 0.25).all())
      True

    References:
      Athalye et al. 2018, Obfuscated gradients give a false sense of security,
      Section 3.1.
    """
    return pgd(
        key,
        surrogate_fn,
        images,
        labels,
        epsilon=epsilon,
        norm=norm,
        steps=steps,
        loss=loss,
        top_k=top_k,
        early_stop=False,
        clip_range=clip_range,
        slots=slots,
    )
