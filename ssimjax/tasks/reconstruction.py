"""Autoencoders: deterministic, variational and MMD, on any loss."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ssimjax import losses
from ssimjax.data import Batch, Dataset
from ssimjax.tasks import regularisers
from ssimjax.tasks.generators import contact_sheet
from ssimjax.tasks.latents import Prior
from ssimjax.tasks.learner import Learner, adam_of, as_floats, masked_sums
from ssimjax.tasks.scores import image_scores
from ssimjax.training import named_key, root_key


@dataclasses.dataclass(frozen=True)
class Reconstruction(Learner):
    """The task: how an autoencoder is trained and evaluated on a batch.

        minimise  mean loss(decode(codes), images) + weight · penalty

    Attributes:
      make_model: draws an autoencoder of images in [0, 1].
      optimizer: as in `Learner`.
      loss: from reconstructions and images to a number per image.
      regulariser: from key, model and images to codes and a penalty.
      weight: of the penalty against the loss.
      code: length of a code.
      has_prior: whether codes are to be distributed as N(0, I).
    """

    loss: Callable[[Array, Array], Array]
    regulariser: regularisers.Regulariser
    weight: float
    code: int
    has_prior: bool

    def train_step(
        self, key: PRNGKeyArray, state: Any, batch: Batch
    ) -> tuple[Any, dict[str, Array]]:
        """One step of the optimiser on a batch."""
        images = as_floats(batch["image"])

        def objective(model: Any) -> tuple[Array, dict[str, Array]]:
            codes, penalty = self.regulariser(named_key(key, "codes"), model, images)
            reconstruction = self.loss(model.decode(codes), images).mean()
            total = reconstruction + self.weight * penalty
            return total, {"reconstruction": reconstruction, "penalty": penalty}

        return self.descend(state, objective)

    def eval_step(self, state: Any, batch: Batch) -> dict[str, Array]:
        """Sums over a batch of the loss and of all scores.

        `loss` is that of reconstructions from the mean codes, without the penalty.
        """
        images = as_floats(batch["image"])
        found = self.model(state)(images)
        scores = image_scores(found, images)
        return masked_sums(batch["mask"], {"loss": self.loss(found, images), **scores})

    def reconstruct(self, state: Any, images: Array) -> Float[Array, "b h w c"]:
        """Reconstructions in (0, 1) from the mean codes; uint8 images are scaled."""
        return self.model(state)(as_floats(images))

    def encode(self, state: Any, images: Array) -> Float[Array, "b code"]:
        """Mean codes; uint8 images are scaled."""
        return self.model(state).encode(as_floats(images))

    @property
    def prior(self) -> Prior:
        """The distribution of codes, N(0, I)."""
        return Prior(self.code)

    def generate(
        self, state: Any, inputs: Float[Array, "b code"]
    ) -> Float[Array, "b h w c"]:
        """Images in (0, 1) decoded from codes."""
        return self.model(state).decode(inputs)

    def sample(
        self,
        key: PRNGKeyArray,
        state: Any,
        count: int,
        *,
        labels: Int[Array, " count"] | None = None,
    ) -> Float[Array, "count h w c"]:
        """Images decoded from draws of the prior; no labels can be named."""
        return self.generate(state, self.prior.inputs(key, count, labels))

    def pictures(self, state: Any) -> dict[str, np.ndarray]:
        """Samples from the prior, for TensorBoard, where there is one."""
        if not self.has_prior:
            return {}
        images = self.sample(root_key(0), state, 16)
        return {"samples": contact_sheet(images, columns=4)}


def from_config(config: ml_collections.ConfigDict, dataset: Dataset) -> Reconstruction:
    """The task that a config describes.

    Args:
      config: with the sections `model`, `loss`, `regulariser`, `optimizer` and
        `training`.
      dataset: decides image shape and steps.

    Returns:
      The task.

    Raises:
      ValueError: if a name is unknown, or an option is out of its range.
    """
    model_class, regulariser = regularisers.by_name(config.regulariser.name)
    if not config.regulariser.weight >= 0:
        raise ValueError(
            f"regulariser.weight must be >= 0, got {config.regulariser.weight}"
        )
    shape = dataset.train.images.shape[1:]
    options = config.model.to_dict()
    arguments = config.loss.to_dict()
    loss = losses.by_name(arguments.pop("name"), data_range=1.0, **arguments)
    # A loss that cannot take such images says so before the first step.
    image = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    jax.eval_shape(loss, image, image)
    return Reconstruction(
        make_model=lambda rngs: model_class(shape, **options, rngs=rngs),
        optimizer=adam_of(config, dataset),
        loss=loss,
        regulariser=regulariser,
        weight=config.regulariser.weight,
        code=config.model.code,
        has_prior=regulariser is not regularisers.none,
    )
