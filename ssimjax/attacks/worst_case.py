"""Several attacks, one after the other, on whoever is left."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ssimjax.attacks.inputs import as_inputs, check_labels
from ssimjax.attacks.objectives import LogitsFn, is_fooled
from ssimjax.attacks.registry import Attack
from ssimjax.attacks.slots import choose, sound


def worst_case(
    key: PRNGKeyArray,
    logits_fn: LogitsFn,
    images: Float[ArrayLike, "b h w c"],
    labels: Int[ArrayLike, " b"],
    *,
    attacks: Mapping[str, Attack],
    epsilon: float | Float[Array, ""],
    top_k: int = 1,
) -> Float[Array, "b h w c"]:
    """For each image, what the first attack finds that succeeds.

    A classifier is as robust as it is against whichever attack is the worst for each
    image; the accuracy on the result is that number. Images that have fallen cost the
    later attacks one evaluation. The network sees the images themselves once more.

    Args:
      key: PRNG key.
      logits_fn: maps images to logits `[b, classes]`, each image on its own.
      images: images.
      labels: true classes.
      attacks: by name, cheap ones first, as `by_name` makes them with the same `top_k`.
      epsilon: radius in pixel units, >= 0, of all of them; may be traced.
      top_k: an attack succeeds when the true class is not among so many guesses.

    Returns:
      Misclassified points where there is one, the images themselves elsewhere.

    Raises:
      FloatingPointError: if a logit is not finite. Under `jit`, that image is NaN.
      TypeError: if the attacks have no names.
      ValueError: if there is no attack, one refuses its arguments, or labels are not
        one class for each image.

    Example:
      >>> from ssimjax.attacks import by_name
      >>> two = lambda x: jnp.stack([x.mean((1, 2, 3)), 0 * x[:, 0, 0, 0] + 0.4], -1)
      >>> images = jnp.stack([jnp.full((2, 2, 1), 0.5), jnp.ones((2, 2, 1))])
      >>> found = worst_case(
      ...     jax.random.key(0),
      ...     two,
      ...     images,
      ...     jnp.array([0, 0]),
      ...     attacks={name: by_name(name) for name in ("fgsm", "pgd")},
      ...     epsilon=0.25,
      ... )
      >>> is_fooled(two(found), jnp.array([0, 0])).tolist()
      [True, False]

    References:
      Croce and Hein 2020, Reliable evaluation of adversarial robustness with an
      ensemble of diverse parameter-free attacks, Section 5.
    """
    if not isinstance(attacks, Mapping):
        raise TypeError(f"attacks must be a Mapping of names to them, got {attacks}")
    if not attacks:
        raise ValueError("attacks must name at least one attack, got none")
    given = labels
    worst, labels = as_inputs(images, labels)
    logits = logits_fn(worst)
    check_labels(given, logits.shape[1])
    # Kept apart, for a logit that is NaN passes for a success.
    broken = ~jnp.isfinite(logits).all(1)
    fallen = jnp.zeros(len(worst), bool)
    for attack, own in zip(attacks.values(), jax.random.split(key, len(attacks))):
        # Images that have fallen are there for attacks to stop at; what one that does
        # not stop makes of them may lie outside the ball.
        found = attack(own, logits_fn, worst, labels, epsilon=epsilon)
        logits = logits_fn(found)
        unsound = jnp.isnan(found).any((1, 2, 3)) | ~jnp.isfinite(logits).all(1)
        broken |= unsound & ~fallen
        falls = is_fooled(logits, labels, top_k=top_k) & ~fallen
        worst, fallen = choose(falls, found, worst), fallen | falls
    return sound(worst, broken)
