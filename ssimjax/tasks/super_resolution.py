"""Super-resolution: SRCNN on the luma of enlarged images, on any loss."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ssimjax import figures, losses
from ssimjax.data import Batch, Dataset, random_orientation, random_window
from ssimjax.nn import SRCNN
from ssimjax.ops import psnr, resize_bicubic, rgb_to_ycbcr, ssim
from ssimjax.tasks.learner import Learner, State, adam_of, as_floats, masked_sums
from ssimjax.training import named_key


@dataclasses.dataclass(frozen=True)
class SuperResolution(Learner):
    """The task: how a network is trained to sharpen enlarged images.

        minimise  mean loss(network(degraded(images)), images)

    The network sees one channel, Y of BT.601 (studio range) where
    images have colour.

    Attributes:
      make_model: draws a network from enlarged to sharp images in [0, 1].
      optimizer: as in `Learner`.
      loss: from found and true images to a number per image.
      factor: of the sides.
      patch: side of the squares that the loss sees, cut out of the batch's images
        where no border has an influence on the degraded ones.
      turn: whether these are turned and mirrored at random.
    """

    loss: Callable[[Array, Array], Array]
    factor: int
    patch: int
    turn: bool

    def train_step(
        self, key: PRNGKeyArray, state: State, batch: Batch
    ) -> tuple[State, dict[str, Array]]:
        """One step of the optimiser on squares of a batch."""
        images = luma(as_floats(batch["image"]))
        both = random_window(
            named_key(key, "window"),
            jnp.concatenate([degraded(images, self.factor), images], -1),
            side=self.patch,
            margin=_reach(self.factor),
        )
        if self.turn:
            both = random_orientation(named_key(key, "orientation"), both)
        enlarged, true = both[..., :1], both[..., 1:]

        def objective(model: Any) -> tuple[Array, dict[str, Array]]:
            return self.loss(model(enlarged), true).mean(), {}

        return self.descend(state, objective)

    def eval_step(self, state: State, batch: Batch) -> dict[str, Array]:
        """Sums over a batch of loss, PSNR (at most 100 dB) and SSIM, without borders.

        `bicubic_psnr` and `bicubic_ssim` are those of what the network is given.
        """
        images = luma(as_floats(batch["image"]))
        enlarged = degraded(images, self.factor)
        found = self.model(state)(enlarged)
        images, enlarged, found = (
            x[:, self.factor : -self.factor, self.factor : -self.factor]
            for x in (images, enlarged, found)
        )
        scores = {"loss": self.loss(found, images)}
        for prefix, shown in (("", found), ("bicubic_", enlarged)):
            pair = (jnp.clip(shown, 0, 1), images)
            decibels = psnr(*pair, data_range=1.0)
            scores[f"{prefix}psnr"] = jnp.minimum(decibels, 100.0)
            scores[f"{prefix}ssim"] = ssim(*pair, data_range=1.0)
        return masked_sums(batch["mask"], scores)

    def sharpen(
        self, state: State, enlarged: Float[Array, "b h w 1"]
    ) -> Float[Array, "b h w 1"]:
        """The network on enlarged gray images in [0, 1]; results are clipped to it."""
        return jnp.clip(self.model(state)(enlarged), 0, 1)

    def upscale(
        self, state: State, images: Float[Array, "b h w 1"]
    ) -> Float[Array, "b big_h big_w 1"]:
        """Gray images in [0, 1], `factor` times as high and wide."""
        height, width = (self.factor * side for side in images.shape[1:3])
        return self.sharpen(state, resize_bicubic(images, (height, width)))

    def kernels(self, state: State) -> dict[str, np.ndarray]:
        """The filters that see the image, `[kh, kw, 1, count]`, as `first-layer`."""
        return {"first-layer": np.asarray(self.model(state).features.kernel[...])}

    def pictures(self, state: State) -> dict[str, np.ndarray]:
        """The kernels as images, for TensorBoard."""
        return {
            f"kernels/{layer}": figures.tiled(filters)
            for layer, filters in self.kernels(state).items()
        }


def luma(images: Float[Array, "*batch h w c"]) -> Float[Array, "*batch h w 1"]:
    """What the network sees of images in [0, 1].

    Args:
      images: of one channel or three.

    Returns:
      Gray images as they are; of others Y of BT.601, in [16/255, 235/255].
    """
    return images if images.shape[-1] == 1 else rgb_to_ycbcr(images)[..., :1]


def degraded(images: Float[Array, "b h w c"], factor: int) -> Float[Array, "b h w c"]:
    """What is left of images made smaller and enlarged again, by `resize_bicubic`.

    Args:
      images: images, in any unit.
      factor: by which sides become smaller, and which divides them.

    Returns:
      Images of the same shape.

    Raises:
      ValueError: if a side is no multiple of the factor.
    """
    height, width = images.shape[1:3]
    if height % factor or width % factor:
        raise ValueError(
            f"images must have sides that are multiples of {factor}, got "
            f"{height}x{width}"
        )
    small = resize_bicubic(images, (height // factor, width // factor))
    return resize_bicubic(small, (height, width))


def from_config(config: ml_collections.ConfigDict, dataset: Dataset) -> SuperResolution:
    """The task that a config describes.

    Args:
      config: with the sections `model`, `loss`, `resolution`, `optimizer` and
        `training`.
      dataset: decides image shape and steps.

    Returns:
      The task.

    Raises:
      ValueError: if a name is unknown, an option is out of its range, or the images do
        not fit.
    """
    factor, patch = config.resolution.factor, config.resolution.patch
    if factor < 2 or patch < 1:
        raise ValueError(
            "resolution.factor must be >= 2 and resolution.patch >= 1, got "
            f"{factor} and {patch}"
        )
    height, width, channels = dataset.train.images.shape[1:]
    if channels not in (1, 3):
        raise ValueError(f"images must have 1 or 3 channels, got {channels}")
    least = patch + 2 * _reach(factor)
    if height % factor or width % factor or min(height, width) < least:
        raise ValueError(
            f"images must have sides of at least {least} pixels, resolution.patch and "
            f"{_reach(factor)} on each side, that are multiples of {factor}, got "
            f"{height}x{width}; data.size sets those of patches"
        )
    options = config.model.to_dict()
    arguments = config.loss.to_dict()
    loss = losses.by_name(arguments.pop("name"), data_range=1.0, **arguments)
    # A loss that cannot take such images says so before the first step.
    square = jax.ShapeDtypeStruct((1, patch, patch, 1), jnp.float32)
    jax.eval_shape(loss, square, square)
    factors = {"reconstruction": config.optimizer.last_rate_factor}
    return SuperResolution(
        make_model=lambda rngs: SRCNN(**options, rngs=rngs),
        optimizer=adam_of(config, dataset, rate_factors=factors),
        loss=loss,
        factor=factor,
        patch=patch,
        turn=config.resolution.turn,
    )


def _reach(factor: int) -> int:
    """Up to which distance a pixel has an influence on one made smaller and enlarged.

    Two small pixels, `factor` wide, each way in enlarging, and as much in the kernel
    that made them.
    """
    return 4 * factor
