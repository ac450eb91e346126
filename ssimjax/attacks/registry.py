"""Attacks by name, with the settings of a thorough evaluation."""

import functools
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Array, Float, PRNGKeyArray

from ssimjax.attacks.apgd import apgd
from ssimjax.attacks.fgsm import fgsm
from ssimjax.attacks.noise import random_noise
from ssimjax.attacks.objectives import LogitsFn
from ssimjax.attacks.pgd import pgd
from ssimjax.attacks.square import square


@runtime_checkable
class Attack(Protocol):
    """What all attacks look like once their options are chosen."""

    def __call__(
        self,
        key: PRNGKeyArray,
        logits_fn: LogitsFn,
        images: Any,
        labels: Any,
        /,
        *,
        epsilon: float | Float[Array, ""],
    ) -> Float[Array, "b h w c"]:
        """Images at most epsilon from the given ones."""
        ...


def _noise(key, logits_fn, images, labels, *, epsilon, top_k=1, slots=None, **options):
    return random_noise(key, images, epsilon=epsilon, **options)


def _fgsm(key, logits_fn, images, labels, *, epsilon, top_k=1, slots=None, **options):
    return fgsm(logits_fn, images, labels, epsilon=epsilon, **options)


_ATTACKS: dict[str, Attack] = {
    "noise": _noise,
    "fgsm": _fgsm,
    "pgd": functools.partial(pgd, restarts=10),
    "pgd_margin": functools.partial(pgd, restarts=10, loss="margin"),
    "pgd_l2": functools.partial(pgd, restarts=10, norm="l2"),
    "apgd_ce": functools.partial(apgd, loss="ce"),
    "apgd_dlr": functools.partial(apgd, loss="dlr"),
    "apgd_t": functools.partial(apgd, loss="targeted_dlr"),
    "square": square,
}
NAMES: tuple[str, ...] = tuple(_ATTACKS)


def by_name(name: str, **options: Any) -> Attack:
    """An attack, ready to be called.

    `noise`, `fgsm`; `pgd` and `pgd_margin`, 50 steps from each of 10 starts; `pgd_l2`,
    whose epsilon is Euclidean; `apgd_ce` and `apgd_dlr`, 100 steps; `apgd_t`, 100 steps
    towards each of 9 classes; `square`, 5000 queries.

    Args:
      name: one of these.
      options: of the function behind it, such as `steps`, `top_k` or `slots`; the two
        last are ignored by attacks that do not look at their result.

    Returns:
      A function of a key, a logits function, images, labels and the keyword `epsilon`.

    Raises:
      TypeError: when it is called, if the attack has no such option.
      ValueError: if there is no such attack.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> attack = by_name("noise")
      >>> images, labels = jnp.full((1, 2, 2, 1), 0.5), jnp.array([0])
      >>> attack(jax.random.key(0), lambda x: x, images, labels, epsilon=0.25).shape
      (1, 2, 2, 1)
    """
    return _chosen(name, options)


def norm_of(name: str, **options: Any) -> str:
    """The norm in which an attack measures what it changes.

    Args:
      name: as in `by_name`.
      options: as in `by_name`.

    Returns:
      "linf" or "l2".

    Raises:
      ValueError: if there is no such attack.

    Example:
      >>> norm_of("pgd"), norm_of("pgd_l2"), norm_of("pgd", norm="l2")
      ('linf', 'l2', 'l2')
    """
    return _chosen(name, options).keywords.get("norm", "linf")


def _chosen(name: str, options: Mapping[str, Any]) -> functools.partial:
    if name not in _ATTACKS:
        raise ValueError(f"name must be one of {NAMES}, got {name!r}")
    return functools.partial(_ATTACKS[name], **options)
