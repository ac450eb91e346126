"""Image classification: cross-entropy, top-1 and top-5 accuracy."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

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
from ssimjax.training import named_key, sgd, total_steps

MODELS = {"quick": QuickClassifier, "shallow": ShallowClassifier}


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
class Classification:
    """The task: how a classifier is trained and evaluated on a batch.

    Attributes:
      make_model: draws a model that maps images in [0, 1] to logits.
      optimizer: the optimiser.
      flip: whether training images are mirrored at random.
      crop: largest random shift of training images, in pixels; 0 for none.
      resized_crop: side of a random rectangle of a training image, resized, and of a
        whole test image; None for images as they are.
    """

    make_model: Callable[[nnx.Rngs], Any]
    optimizer: optax.GradientTransformation
    flip: bool = False
    crop: int = 0
    resized_crop: int | None = None

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

        def loss_fn(params: Any) -> tuple[Array, tuple[Array, Any]]:
            model = nnx.merge(self.graphdef, params, state.model_state)
            model.train()
            logits = model(images)
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
            _, _, rest = nnx.split(model, nnx.Param, ...)
            model_state = nnx.to_pure_dict(rest)
            return losses.mean(), (logits, model_state)

        (loss, (logits, model_state)), gradients = jax.value_and_grad(
            loss_fn, has_aux=True
        )(state.params)
        updates, opt_state = self.optimizer.update(
            gradients, state.opt_state, state.params
        )
        params = optax.apply_updates(state.params, updates)
        metrics = {
            "loss": loss,
            "top1": (logits.argmax(-1) == labels).mean(),
            "gradient_norm": optax.tree.norm(gradients),
        }
        return State(params, model_state, opt_state), metrics

    def eval_step(self, state: State, batch: Batch) -> dict[str, Array]:
        """Sums over a batch of loss, top-1 and top-5 hits, and bad logits."""
        logits = self.model(state)(self.prepare(batch["image"]))
        labels, mask = batch["label"], batch["mask"]
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        _, best = jax.lax.top_k(logits, min(5, logits.shape[-1]))
        hits = best == labels[:, None]
        per_example = {
            "loss": losses,
            "top1": hits[:, 0],
            "top5": hits.any(-1),
            "nonfinite": ~jnp.isfinite(logits).all(-1),
            "count": jnp.ones_like(mask),
        }
        return {
            name: jnp.where(mask, value, 0).sum().astype(jnp.float32)
            for name, value in per_example.items()
        }

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
    options = config.model.to_dict()
    name = options.pop("name")
    if name not in MODELS:
        raise ValueError(f"model.name must be one of {sorted(MODELS)}, got {name!r}")
    shape = dataset.train.images.shape[1:]
    if (side := config.augmentation.resized_crop) is not None:
        shape = (side, side, shape[2])
    classes = len(dataset.classes)
    optimizer = sgd(
        rate=config.optimizer.rate,
        schedule=config.optimizer.schedule,
        steps=total_steps(
            len(dataset.train),
            epochs=config.training.epochs,
            batch_size=config.training.batch_size,
        ),
        momentum=config.optimizer.momentum,
        weight_decay=config.optimizer.weight_decay,
        rate_factors={"filters": config.optimizer.filter_rate_factor},
    )
    return Classification(
        make_model=lambda rngs: MODELS[name](shape, classes, **options, rngs=rngs),
        optimizer=optimizer,
        flip=config.augmentation.flip,
        crop=config.augmentation.crop,
        resized_crop=config.augmentation.resized_crop,
    )


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
