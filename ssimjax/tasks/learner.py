"""What every task does with a Flax model and an optimiser."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import optax
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from ssimjax.data import Dataset
from ssimjax.training import adam, total_steps


class State(NamedTuple):
    """Everything that training changes.

    Attributes:
      params: trained parameters of the model, nested dictionaries.
      model_state: its other variables, such as running statistics.
      opt_state: the optimiser's state.
    """

    params: Any
    model_state: Any
    opt_state: Any


@dataclasses.dataclass(frozen=True)
class Learner:
    """A model and its optimiser; tasks say what is minimised.

    Attributes:
      make_model: draws the model.
      optimizer: the optimiser.
    """

    make_model: Callable[[nnx.Rngs], Any]
    optimizer: optax.GradientTransformation

    @functools.cached_property
    def graphdef(self) -> Any:
        """The model without its variables."""
        return nnx.split(nnx.eval_shape(lambda: self.make_model(nnx.Rngs(0))))[0]

    def init(self, key: PRNGKeyArray) -> State:
        """The state before the first step."""
        model = self.make_model(nnx.Rngs(params=key))
        _, params, rest = nnx.split(model, nnx.Param, ...)
        params, rest = nnx.to_pure_dict(params), nnx.to_pure_dict(rest)
        return State(params, rest, self.optimizer.init(params))

    def model(self, state: State) -> Any:
        """The Flax module with a state's weights, in inference mode."""
        model = nnx.merge(self.graphdef, state.params, state.model_state)
        model.eval()
        return model

    def descend(
        self,
        state: State,
        objective: Callable[[Any], tuple[Array, Mapping[str, Array]]],
    ) -> tuple[State, dict[str, Array]]:
        """One step of the optimiser.

        Args:
          state: the state.
          objective: from the model, in training mode, to what is minimised, a scalar,
            and metrics.

        Returns:
          The next state; the metrics, with `loss` and `gradient_norm`.
        """

        def loss_fn(params: Any) -> tuple[Array, tuple[Mapping[str, Array], Any]]:
            model = nnx.merge(self.graphdef, params, state.model_state)
            model.train()
            loss, metrics = objective(model)
            _, _, rest = nnx.split(model, nnx.Param, ...)
            return loss, (metrics, nnx.to_pure_dict(rest))

        (loss, (metrics, model_state)), gradients = jax.value_and_grad(
            loss_fn, has_aux=True
        )(state.params)
        updates, opt_state = self.optimizer.update(
            gradients, state.opt_state, state.params
        )
        params = optax.apply_updates(state.params, updates)
        norm = optax.tree.norm(gradients)
        metrics = {"loss": loss, **metrics, "gradient_norm": norm}
        return State(params, model_state, opt_state), metrics


def steps_of(config: ml_collections.ConfigDict, dataset: Dataset) -> int:
    """Steps of the run that a config describes.

    Args:
      config: with the section `training`.
      dataset: what it is trained on.

    Returns:
      The number of steps.
    """
    return total_steps(
        len(dataset.train),
        epochs=config.training.epochs,
        batch_size=config.training.batch_size,
    )


def adam_of(
    config: ml_collections.ConfigDict,
    dataset: Dataset,
    *,
    rate_factor: float = 1.0,
    per_step: int = 1,
    rate_factors: Mapping[str, float] | None = None,
) -> optax.GradientTransformation:
    """The optimiser that a config describes.

    Args:
      config: with the sections `optimizer`, of Adam, and `training`.
      dataset: what it is trained on, which decides the length of its schedule.
      rate_factor: on the rate, > 0.
      per_step: steps of this optimiser for one of the run.
      rate_factors: as in `training.adam`.

    Returns:
      The optimiser.

    Raises:
      ValueError: if a key is out of its range.
    """
    section = config.optimizer
    return adam(
        rate=section.rate * rate_factor,
        schedule=section.schedule,
        b1=section.b1,
        steps=per_step * steps_of(config, dataset),
        rate_factors=rate_factors,
    )


def masked_sums(mask: Array, values: Mapping[str, Array]) -> dict[str, Array]:
    """Sums over the examples of a batch that count, and their number.

    Args:
      mask: which examples count, `[batch]`.
      values: a number per example, `[batch]`, by name.

    Returns:
      The sums, and `count`.
    """
    every = {**values, "count": jnp.ones_like(mask)}
    return {
        name: jnp.where(mask, value, 0).sum().astype(jnp.float32)
        for name, value in every.items()
    }


def as_floats(images: Array) -> Float[Array, "b h w c"]:
    """Images in [0, 1]: uint8 divided by 255, floats as they are.

    Args:
      images: uint8 or floats.

    Returns:
      float32 images.
    """
    if images.dtype == jnp.uint8:
        return images.astype(jnp.float32) / 255
    return images.astype(jnp.float32)
