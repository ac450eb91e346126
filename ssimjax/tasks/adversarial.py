"""Generative adversarial networks, conditional or not, with and without SSIM."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ssimjax.data import Batch, Dataset
from ssimjax.nn import Discriminator
from ssimjax.tasks import objectives
from ssimjax.tasks.generators import (
    contact_sheet,
    image_generator,
    pixel_mmd,
    prior_of,
)
from ssimjax.tasks.latents import Prior
from ssimjax.tasks.learner import Learner, State, adam_of, as_floats, masked_sums
from ssimjax.training import named_key, root_key


class Players(NamedTuple):
    """Everything that training changes.

    Attributes:
      generator: its state.
      discriminator: its state.
      average: exponential averages of the generator's parameters and of its other
        variables, the running statistics, which are those of the parameters.
    """

    generator: State
    discriminator: State
    average: tuple[Any, Any]

    @property
    def params(self) -> dict[str, Any]:
        """Trained parameters of both networks."""
        return {
            "generator": self.generator.params,
            "discriminator": self.discriminator.params,
        }


@dataclasses.dataclass(frozen=True, eq=False)
class Adversarial:
    """The task: a generator and a discriminator against each other.

    Attributes:
      generator: draws images from latent vectors and conditions, side by side.
      discriminator: scores images, given conditions.
      prior: of latent vectors.
      objective: what both minimise.
      critic_steps: steps of the discriminator for one of the generator, each on its
        own share of the batch.
      decay: of the averages of the generator's variables, in [0, 1); samples are made
        with the averages.

    References:
      Goodfellow et al. 2014, Generative adversarial nets, Algorithm 1. Mirza and
      Osindero 2014, Conditional generative adversarial nets. Ghojogh, Karray, Crowley
      2020, Theoretical insights into the use of SSIM, Section 5.
    """

    generator: Learner
    discriminator: Learner
    prior: Prior
    objective: objectives.Objective
    critic_steps: int
    decay: float

    def init(self, key: PRNGKeyArray) -> Players:
        """The state before the first step."""
        generator = self.generator.init(named_key(key, "generator"))
        discriminator = self.discriminator.init(named_key(key, "discriminator"))
        # A copy: a buffer that is given to a step twice cannot be used again.
        average = jax.tree.map(jnp.copy, (generator.params, generator.model_state))
        return Players(generator, discriminator, average)

    def train_step(
        self, key: PRNGKeyArray, state: Players, batch: Batch
    ) -> tuple[Players, dict[str, Array]]:
        """`critic_steps` steps of the discriminator, then one of the generator."""
        shares = jax.tree.map(
            lambda x: x.reshape(-1, self.critic_steps, *x.shape[1:]),
            {"image": as_floats(batch["image"]), "label": batch["label"]},
        )
        discriminator, metrics, images, labels = state.discriminator, {}, None, None
        for step in range(self.critic_steps):
            images, labels = shares["image"][:, step], shares["label"][:, step]
            latents = self._inputs(jax.random.fold_in(key, step), labels)
            fakes = jax.lax.stop_gradient(self._playing(state.generator)(latents))
            given = self.prior.conditions(labels)

            def scored(critic: Any, images=images, fakes=fakes, given=given):
                real, fake = critic(images, given), critic(fakes, given)
                loss = self.objective.discriminator(real, fake)
                return loss, {"real_score": real.mean(), "fake_score": fake.mean()}

            discriminator, metrics = self.discriminator.descend(discriminator, scored)
        assert images is not None and labels is not None
        latents = self._inputs(named_key(key, "generator"), labels)
        given = self.prior.conditions(labels)
        critic = discriminator

        def deceived(model: Any) -> tuple[Array, dict[str, Array]]:
            fakes = model(latents)
            judge = _training(self.discriminator, critic)
            real, fake = judge(images, given), judge(fakes, given)
            return self.objective.generator(real, fake, images, fakes), {}

        generator, made = self.generator.descend(state.generator, deceived)
        average = jax.tree.map(
            lambda old, new: self.decay * old + (1 - self.decay) * new,
            state.average,
            (generator.params, generator.model_state),
        )
        metrics = {
            **made,
            "critic_loss": metrics["loss"],
            "critic_gradient_norm": metrics["gradient_norm"],
            "real_score": metrics["real_score"],
            "fake_score": metrics["fake_score"],
        }
        return Players(generator, discriminator, average), metrics

    def eval_step(self, state: Players, batch: Batch) -> dict[str, Array]:
        """Sums over a batch, from samples that are always the same.

        `loss` and `pixel_mmd` are `generators.pixel_mmd`, whatever is minimised;
        `real_score` and `fake_score` are what the discriminator gives.
        """
        images, labels, mask = as_floats(batch["image"]), batch["label"], batch["mask"]
        fakes = self.generate(state, self._inputs(_evaluation_key(), labels))
        judge = self.discriminator.model(state.discriminator)
        given = self.prior.conditions(labels)
        apart = jnp.broadcast_to(pixel_mmd(images, fakes, mask), mask.shape)
        return masked_sums(
            mask,
            {
                "loss": apart,
                "pixel_mmd": apart,
                "real_score": judge(images, given).mean((1, 2, 3)),
                "fake_score": judge(fakes, given).mean((1, 2, 3)),
            },
        )

    def model(self, state: Players) -> Any:
        """The generator with the averaged variables, in inference mode."""
        params, rest = state.average
        return self.generator.model(
            state.generator._replace(params=params, model_state=rest)
        )

    def generate(
        self, state: Players, inputs: Float[Array, "b inputs"]
    ) -> Float[Array, "b h w c"]:
        """Images in (0, 1) of latent vectors and conditions, side by side."""
        return self.model(state)(inputs)

    def sample(
        self,
        key: PRNGKeyArray,
        state: Players,
        count: int,
        *,
        labels: Int[Array, " count"] | None = None,
    ) -> Float[Array, "count h w c"]:
        """Images in (0, 1); of a conditional model, of each class in turn."""
        return self.generate(state, self.prior.inputs(key, count, labels))

    def pictures(self, state: Players) -> dict[str, np.ndarray]:
        """Samples, for TensorBoard."""
        return {"samples": contact_sheet(self.sample(root_key(0), state, 64))}

    def _inputs(self, key: PRNGKeyArray, labels: Int[Array, " b"]) -> Array:
        told = labels if self.prior.classes else None
        return self.prior.inputs(named_key(key, "latents"), len(labels), told)

    def _playing(self, state: State) -> Any:
        return _training(self.generator, state)


def _training(learner: Learner, state: State) -> Any:
    """A model in training mode, whose running statistics are not kept."""
    model = learner.model(state)
    model.train()
    return model


def _evaluation_key() -> PRNGKeyArray:
    return named_key(root_key(0), "evaluation")


def from_config(config: ml_collections.ConfigDict, dataset: Dataset) -> Adversarial:
    """The task that a config describes.

    Args:
      config: with the sections `model`, `discriminator`, `objective`, `optimizer` and
        `training`.
      dataset: decides image shape, classes and steps.

    Returns:
      The task.

    Raises:
      ValueError: if a name is unknown, or an option is out of its range.
    """
    options = config.objective.to_dict()
    name = options.pop("name")
    objective = objectives.by_name(name, **options)
    per_patch = config.discriminator.per_patch
    if objective.needs_map and not per_patch:
        raise ValueError(
            f"discriminator.per_patch must be True for objective.name={name!r}: a "
            "single score has no structure"
        )
    critic_steps = config.adversarial.critic_steps
    if critic_steps < 1 or config.training.batch_size % critic_steps:
        raise ValueError(
            "adversarial.critic_steps must be >= 1 and divide training.batch_size = "
            f"{config.training.batch_size}, got {critic_steps}"
        )
    if not 0 <= config.adversarial.decay < 1:
        raise ValueError(
            f"adversarial.decay must be in [0, 1), got {config.adversarial.decay}"
        )
    prior = prior_of(config, dataset)
    height, width, channels = dataset.train.images.shape[1:]
    shape = (height, width, channels)
    section = config.discriminator
    make_generator = image_generator(config, shape, prior)
    return Adversarial(
        generator=Learner(
            lambda rngs: make_generator(rngs=rngs), adam_of(config, dataset)
        ),
        discriminator=Learner(
            lambda rngs: Discriminator(
                shape,
                conditions=prior.classes,
                widths=tuple(section.widths),
                normalisation=section.normalisation,
                per_patch=section.per_patch,
                rngs=rngs,
            ),
            adam_of(
                config,
                dataset,
                rate_factor=config.optimizer.discriminator_factor,
                per_step=critic_steps,
            ),
        ),
        prior=prior,
        objective=objective,
        critic_steps=critic_steps,
        decay=config.adversarial.decay,
    )
