"""Image classification: cross-entropy, top-1 and top-5 accuracy."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from ssimjax import figures
from ssimjax.data import (
    Batch,
    Dataset,
    random_crop,
    random_flip,
    random_resized_crop,
    resized,
)
from ssimjax.nn import QuickClassifier, ShallowClassifier, SSIMConv
from ssimjax.tasks.learner import Learner, State, as_floats, masked_sums, steps_of
from ssimjax.training import named_key, sgd

MODELS = {"quick": QuickClassifier, "shallow": ShallowClassifier}


@dataclasses.dataclass(frozen=True)
class Classification(Learner):
    """The task: how a classifier is trained and evaluated on a batch.

    Attributes:
      make_model: draws a model that maps images in [0, 1] to logits.
      optimizer: as in `Learner`.
      flip: whether training images are mirrored at random.
      crop: largest random shift of training images, in pixels; 0 for none.
      resized_crop: side of a random rectangle of a training image, resized, and of a
        whole test image; None for images as they are.
    """

    flip: bool = False
    crop: int = 0
    resized_crop: int | None = None

    def prepare(self, images: Array) -> Float[Array, "b h w c"]:
        """Test images as the model takes them, in [0, 1]; such images as they are."""
        images = as_floats(images)
        if self.resized_crop is None:
            return images
        return resized(images, side=self.resized_crop)

    def train_step(
        self, key: PRNGKeyArray, state: State, batch: Batch
    ) -> tuple[State, dict[str, Array]]:
        """One step of the optimiser on the mean cross-entropy of a batch."""
        images, labels = as_floats(batch["image"]), batch["label"]
        if self.resized_crop is not None:
            images = random_resized_crop(
                named_key(key, "resized crop"), images, side=self.resized_crop
            )
        if self.flip:
            images = random_flip(named_key(key, "flip"), images)
        if self.crop:
            images = random_crop(named_key(key, "crop"), images, padding=self.crop)

        def objective(model: Any) -> tuple[Array, dict[str, Array]]:
            logits = model(images)
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
            return losses.mean(), {"top1": (logits.argmax(-1) == labels).mean()}

        return self.descend(state, objective)

    def eval_step(self, state: State, batch: Batch) -> dict[str, Array]:
        """Sums over a batch of loss, top-1 and top-5 hits, and bad logits."""
        logits = self.model(state)(self.prepare(batch["image"]))
        labels, mask = batch["label"], batch["mask"]
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        _, best = jax.lax.top_k(logits, min(5, logits.shape[-1]))
        finite = jnp.isfinite(logits).all(-1)
        hits = (best == labels[:, None]) & finite[:, None]
        return masked_sums(
            mask,
            {
                "loss": losses,
                "top1": hits[:, 0],
                "top5": hits.any(-1),
                "nonfinite": ~finite,
            },
        )

    def kernels(self, state: State) -> dict[str, np.ndarray]:
        """The filters worth looking at, each `[kh, kw, c_in, c_out]`.

        `first-layer`: the filters that see the image. `ssim`: those of the SSIM layer.
        A network without such a layer lacks the entry.
        """
        modules = [module for _, module in nnx.iter_modules(self.model(state))]
        found: dict[str, np.ndarray] = {}
        for module in modules:
            if isinstance(module, SSIMConv):
                found["ssim"] = np.asarray(module.filters[...])
        kernels = [
            np.asarray(m.kernel[...]) for m in modules if isinstance(m, nnx.Conv)
        ]
        # Images have fewer channels than any feature map.
        first = min([*kernels, *found.values()], key=lambda filters: filters.shape[2])
        if "ssim" not in found or first is not found["ssim"]:
            found["first-layer"] = first
        return found

    def pictures(self, state: State) -> dict[str, np.ndarray]:
        """The kernels as images, for TensorBoard."""
        return {
            f"kernels/{layer}": figures.tiled(filters)
            for layer, filters in self.kernels(state).items()
        }


def from_config(config: ml_collections.ConfigDict, dataset: Dataset) -> Classification:
    """The task that a config describes.

    Args:
      config: with the sections `model`, `augmentation`, `optimizer` and `training`.
      dataset: decides image shape, number of classes and steps.

    Returns:
      The task.

    Raises:
      ValueError: if the model has no such name, or an option is out of its range.
    """
    # As an attribute: a config without it says so as of any other key.
    name = config.model.name
    if name not in MODELS:
        raise ValueError(f"model.name must be one of {sorted(MODELS)}, got {name!r}")
    options = {k: v for k, v in config.model.to_dict().items() if k != "name"}
    crop = config.augmentation.crop
    if crop < 0:
        raise ValueError(f"augmentation.crop must be >= 0 pixels, got {crop}")
    shape = dataset.train.images.shape[1:]
    if (side := config.augmentation.resized_crop) is not None:
        if side < 1:
            raise ValueError(
                f"augmentation.resized_crop must be None or >= 1 pixel, got {side}"
            )
        shape = (side, side, shape[2])
    classes = len(dataset.classes)
    optimizer = sgd(
        rate=config.optimizer.rate,
        schedule=config.optimizer.schedule,
        steps=steps_of(config, dataset),
        momentum=config.optimizer.momentum,
        weight_decay=config.optimizer.weight_decay,
        rate_factors={"filters": config.optimizer.filter_rate_factor},
    )
    return Classification(
        make_model=lambda rngs: MODELS[name](shape, classes, **options, rngs=rngs),
        optimizer=optimizer,
        flip=config.augmentation.flip,
        crop=crop,
        resized_crop=side,
    )
