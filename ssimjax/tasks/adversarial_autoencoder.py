"""Adversarial autoencoders: a discriminator of codes takes the place of KL or MMD."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
from jaxtyping import Array, PRNGKeyArray

from ssimjax.data import Batch, Dataset
from ssimjax.nn import MLP
from ssimjax.nn.generative import LEAK
from ssimjax.tasks import objectives, reconstruction
from ssimjax.tasks.learner import Learner, State, adam_of, as_floats
from ssimjax.training import named_key


class AutoencoderAndCritic(NamedTuple):
    """Everything that training changes.

    Attributes:
      autoencoder: its state.
      discriminator: its state.
    """

    autoencoder: State
    discriminator: State

    @property
    def params(self) -> dict[str, Any]:
        """Trained parameters of both networks."""
        return {
            "autoencoder": self.autoencoder.params,
            "discriminator": self.discriminator.params,
        }


@dataclasses.dataclass(frozen=True, eq=False)
class AdversarialReconstruction(reconstruction.Reconstruction):
    """The task: an autoencoder whose codes a discriminator takes for draws of N(0, I).

        discriminator:  -E log D(z) - E log(1 - D(encode(x)))
        autoencoder:    mean loss(decode(codes), images) - weight · E log D(codes)

    Attributes:
      discriminator: of codes.
      game: the objective of both.

    References:
      Makhzani et al. 2015, Adversarial autoencoders, Section 2.
      Ghojogh et al. 2020, Theoretical insights into the use of SSIM, Section 5.
    """

    discriminator: Learner
    game: objectives.Objective

    def init(self, key: PRNGKeyArray) -> Any:
        """The state before the first step."""
        return AutoencoderAndCritic(
            super().init(named_key(key, "autoencoder")),
            self.discriminator.init(named_key(key, "discriminator")),
        )

    def train_step(
        self, key: PRNGKeyArray, state: Any, batch: Batch
    ) -> tuple[Any, dict[str, Array]]:
        """A step of the discriminator, then one of the autoencoder."""
        images = as_floats(batch["image"])
        encoder = super().model(state.autoencoder)
        encoder.train()
        codes = jax.lax.stop_gradient(encoder.encode(images))
        draws = jax.random.normal(named_key(key, "codes"), codes.shape)

        def judged(critic: Any) -> tuple[Array, dict[str, Array]]:
            real, fake = _scores(critic, draws), _scores(critic, codes)
            loss = self.game.discriminator(real, fake)
            return loss, {"real_score": real.mean(), "fake_score": fake.mean()}

        discriminator, told = self.discriminator.descend(state.discriminator, judged)

        def objective(model: Any) -> tuple[Array, dict[str, Array]]:
            critic = self.discriminator.model(discriminator)
            codes = model.encode(images)
            real, fake = _scores(critic, draws), _scores(critic, codes)
            penalty = self.game.generator(real, fake, images, images)
            loss = self.loss(model.decode(codes), images).mean()
            total = loss + self.weight * penalty
            return total, {"reconstruction": loss, "penalty": penalty}

        autoencoder, metrics = self.descend(state.autoencoder, objective)
        metrics |= {
            "critic_loss": told["loss"],
            "critic_gradient_norm": told["gradient_norm"],
            "real_score": told["real_score"],
            "fake_score": told["fake_score"],
        }
        return AutoencoderAndCritic(autoencoder, discriminator), metrics

    def model(self, state: Any) -> Any:
        """The autoencoder with a state's weights, in inference mode."""
        return super().model(state.autoencoder)


def _scores(critic: Any, codes: Array) -> Array:
    """Scores of codes as maps of one pixel, which objectives are functions of."""
    return jnp.reshape(critic(codes), (-1, 1, 1, 1))


def from_config(
    config: ml_collections.ConfigDict, dataset: Dataset
) -> AdversarialReconstruction:
    """The task that a config describes.

    Args:
      config: as for `reconstruction`, with the section `discriminator`; the weight of
        its `regulariser` is that of the game.
      dataset: decides image shape and steps.

    Returns:
      The task.

    Raises:
      ValueError: as for `reconstruction`; if the factor on the rate of the
        discriminator is not positive.
    """
    plain = ml_collections.ConfigDict(config.to_dict())
    plain.regulariser.name = "none"
    base = reconstruction.from_config(plain, dataset)
    fields: dict[str, Any] = {
        field.name: getattr(base, field.name) for field in dataclasses.fields(base)
    }
    widths, code = tuple(config.discriminator.widths), config.model.code
    discriminator = Learner(
        lambda rngs: MLP(code, 1, widths=widths, leak=LEAK, rngs=rngs),
        adam_of(config, dataset, rate_factor=config.discriminator.rate_factor),
    )
    return AdversarialReconstruction(
        **{**fields, "has_prior": True},
        discriminator=discriminator,
        game=objectives.by_name("gan", weight=0.0),
    )
