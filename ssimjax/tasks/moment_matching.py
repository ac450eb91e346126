"""Generative moment matching networks: of images or of codes, conditional or not."""

import dataclasses
import functools
import hashlib
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ssimjax.data import Batch, Dataset
from ssimjax.nn import MLP
from ssimjax.ops import cmmd, mmd
from ssimjax.tasks import kernels
from ssimjax.tasks.generators import (
    contact_sheet,
    image_generator,
    pixel_mmd,
    prior_of,
    weighted_mmd,
)
from ssimjax.tasks.latents import Prior
from ssimjax.tasks.learner import Learner, State, adam_of, as_floats, masked_sums
from ssimjax.training import named_key, root_key


@dataclasses.dataclass(frozen=True, eq=False)
class Coder:
    """A trained autoencoder, between images and codes of mean 0 and variance 1.

    Attributes:
      model: the autoencoder, in inference mode.
      mean: of the codes of training images, `[code]`.
      deviation: their standard deviation, `[code]`.
    """

    model: Any
    mean: Float[Array, " code"]
    deviation: Float[Array, " code"]

    @functools.cached_property
    def fingerprint(self) -> str:
        """Hash of its weights."""
        digest = hashlib.sha256()
        for leaf in jax.tree.leaves(nnx.state(self.model)):
            digest.update(np.asarray(leaf).tobytes())
        return digest.hexdigest()

    def encode(self, images: Float[Array, "b h w c"]) -> Float[Array, "b code"]:
        """Standardised codes of images in [0, 1]."""
        return (self.model.encode(images) - self.mean[None]) / self.deviation[None]

    def decode(self, codes: Float[Array, "b code"]) -> Float[Array, "b h w c"]:
        """Images in (0, 1) of standardised codes."""
        return self.model.decode(codes * self.deviation[None] + self.mean[None])


@dataclasses.dataclass(frozen=True, eq=False)
class MomentMatching(Learner):
    """The task: a generator whose samples have the moments of a batch.

        minimise  √MMD²(x, G(z)),  or  CMMD²(x | labels, G(z, labels) | labels)

    where x are images, or codes in their place.

    Attributes:
      make_model: draws the generator.
      optimizer: as in `Learner`.
      prior: of z.
      kernel: of images, or of codes.
      ridge: λ of CMMD.
      coder: what images become codes by; None for images.

    References:
      Li et al. 2015, Generative moment matching networks, Algorithms 1 and 2.
      Ren et al. 2016, Conditional generative moment-matching networks, Section 4.
    """

    prior: Prior
    kernel: kernels.Kernel
    ridge: float
    coder: Coder | None

    def train_step(
        self, key: PRNGKeyArray, state: State, batch: Batch
    ) -> tuple[State, dict[str, Array]]:
        """One step of the optimiser on a batch and as many samples."""
        real = self._matched(as_floats(batch["image"]))
        labels = batch["label"] if self.prior.classes else None
        inputs = self.prior.inputs(named_key(key, "latents"), len(real), labels)

        def objective(model: Any) -> tuple[Array, dict[str, Array]]:
            fake = model(inputs)
            if labels is None:
                return mmd(real, fake, self.kernel, estimator="root"), {}
            given = self.prior.conditions(labels)
            ridge = self.ridge
            return cmmd(real, fake, given, given, self.kernel, _same, ridge=ridge), {}

        return self.descend(state, objective)

    def eval_step(self, state: State, batch: Batch) -> dict[str, Array]:
        """Discrepancies of a batch from as many samples, always the same.

        `loss` is the unbiased MMD² of the kernel, without conditions; `pixel_mmd` that
        of `generators.pixel_mmd`.
        """
        images, mask = as_floats(batch["image"]), batch["mask"]
        key = named_key(root_key(0), "evaluation")
        labels = batch["label"] if self.prior.classes else None
        fake = self.model(state)(self.prior.inputs(key, len(images), labels))
        values = {
            "loss": weighted_mmd(self._matched(images), fake, mask, self.kernel),
            "pixel_mmd": pixel_mmd(images, self._shown(fake), mask),
        }
        every = {n: jnp.broadcast_to(v, mask.shape) for n, v in values.items()}
        return masked_sums(mask, every)

    def generate(
        self, state: State, inputs: Float[Array, "b inputs"]
    ) -> Float[Array, "b h w c"]:
        """Images in (0, 1) of latent vectors and conditions, side by side."""
        return self._shown(self.model(state)(inputs))

    def sample(
        self,
        key: PRNGKeyArray,
        state: State,
        count: int,
        *,
        labels: Int[Array, " count"] | None = None,
    ) -> Float[Array, "count h w c"]:
        """Images in (0, 1); of a conditional model, of each class in turn."""
        return self.generate(state, self.prior.inputs(key, count, labels))

    def pictures(self, state: State) -> dict[str, np.ndarray]:
        """Samples, for TensorBoard."""
        return {"samples": contact_sheet(self.sample(root_key(0), state, 64))}

    def _matched(self, images: Float[Array, "b h w c"]) -> Array:
        return images if self.coder is None else self.coder.encode(images)

    def _shown(self, made: Array) -> Float[Array, "b h w c"]:
        return made if self.coder is None else self.coder.decode(made)


def _same(a: Float[Array, "n classes"], b: Float[Array, "m classes"]) -> Array:
    """1 where two labels are the same, else 0."""
    return a @ b.T


def from_config(
    config: ml_collections.ConfigDict, dataset: Dataset, *, coder: Coder | None = None
) -> MomentMatching:
    """The task that a config describes.

    Args:
      config: with the sections `model`, `kernel`, `matching`, `optimizer` and
        `training`.
      dataset: decides image shape, classes and steps.
      coder: the autoencoder whose codes are matched; None for images.

    Returns:
      The task.

    Raises:
      ValueError: if a name is unknown, an option is out of its range, or the kernel
        does not fit.
    """
    prior = prior_of(config, dataset)
    arguments = config.kernel.to_dict()
    name = arguments.pop("name")
    kernel = kernels.by_name(name, **arguments)
    if prior.classes and not kernels.is_positive(name, **arguments):
        raise ValueError(
            "kernel must be positive semi-definite where model.conditional is set, got "
            f"{config.kernel.to_dict()}, which is so only conditionally"
        )
    if not config.matching.ridge > 0:
        raise ValueError(f"matching.ridge must be > 0, got {config.matching.ridge}")
    shape = dataset.train.images.shape[1:]
    if coder is None:
        make_model = image_generator(config, shape, prior)
        example = jax.ShapeDtypeStruct((2, *shape), jnp.float32)
    else:
        if config.model.name != "dense":
            raise ValueError(
                f"model.name must be 'dense' for codes, got {config.model.name!r}"
            )
        inputs, code = prior.length + prior.classes, len(coder.mean)

        widths = tuple(config.model.widths)
        make_model = functools.partial(MLP, inputs, code, widths=widths)
        example = jax.ShapeDtypeStruct((2, code), jnp.float32)
    # A kernel that cannot take them says so before the first step.
    jax.eval_shape(kernel, example, example)
    return MomentMatching(
        make_model=lambda rngs: make_model(rngs=rngs),
        optimizer=adam_of(config, dataset),
        prior=prior,
        kernel=kernel,
        ridge=config.matching.ridge,
        coder=coder,
    )
