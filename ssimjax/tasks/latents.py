"""What generators start from: latent vectors, and the labels they are told."""

import dataclasses
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

Distribution = Literal["uniform", "normal"]


@dataclasses.dataclass(frozen=True)
class Prior:
    """The distribution of latent vectors.

    Attributes:
      length: of a vector.
      distribution: "uniform" on [-1, 1], or "normal", N(0, I).
      classes: number of labels that a conditional model is told; 0 for none.
    """

    length: int
    distribution: Distribution = "normal"
    classes: int = 0

    def __post_init__(self) -> None:
        if self.length < 1:
            raise ValueError(f"model.latent must be >= 1, got {self.length}")
        if self.distribution not in get_args(Distribution):
            raise ValueError(
                f"model.prior must be one of {get_args(Distribution)}, got "
                f"{self.distribution!r}"
            )

    def draw(self, key: PRNGKeyArray, count: int) -> Float[Array, "count length"]:
        """Latent vectors."""
        shape = (count, self.length)
        if self.distribution == "uniform":
            return jax.random.uniform(key, shape, minval=-1.0, maxval=1.0)
        return jax.random.normal(key, shape)

    def labels(self, count: int) -> Int[Array, " count"]:
        """The labels of samples for which none were named: each in turn."""
        return jnp.arange(count) % max(self.classes, 1)

    def conditions(self, labels: Int[Array, " b"]) -> Float[Array, "b classes"]:
        """What networks are told of labels: one-hot vectors, empty if nothing."""
        return jax.nn.one_hot(labels, self.classes)

    def inputs(
        self, key: PRNGKeyArray, count: int, labels: Int[Array, " count"] | None
    ) -> Float[Array, "count inputs"]:
        """Latent vectors and conditions side by side, as a generator takes them.

        Raises:
          ValueError: if labels are named, but the model is not conditional.
        """
        if labels is None:
            labels = self.labels(count)
        elif not self.classes:
            raise ValueError("labels must be None: the model is not conditional")
        latents = self.draw(key, count)
        return jnp.concatenate([latents, self.conditions(labels)], -1)
