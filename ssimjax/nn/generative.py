"""Networks of generative models: dense generators and discriminators.

The convolutional generator is `Decoder`, an autoencoder's second half.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Literal, get_args

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from ssimjax.nn.convolution import HE_NORMAL, convolve
from ssimjax.nn.sizes import check_sizes

Normalisation = Literal["none", "batch", "spectral"]
LEAK = 0.2  # Of the ReLUs of discriminators.


class MLP(nnx.Module):
    """Dense layers with ReLUs, leaky or not, between them.

    Example:
      >>> model = MLP(10, 64, widths=(32, 32), rngs=nnx.Rngs(0))
      >>> model(jnp.ones((2, 10))).shape
      (2, 64)

    References:
      Li et al. 2015, Generative moment matching networks, Section 5.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        widths: Sequence[int] = (64, 256, 256, 1024),
        leak: float = 0.0,
        rngs: nnx.Rngs,
    ):
        """Draws the weights.

        Args:
          inputs: length of an input.
          outputs: length of an output.
          widths: units of the hidden layers.
          leak: slope of the ReLUs below 0.
          rngs: its "params" stream is used.

        Raises:
          ValueError: if a width, or the length of an input or an output, is below 1.
        """
        check_sizes("inputs", (inputs,), count=1)
        check_sizes("outputs", (outputs,), count=1)
        check_sizes("widths", widths, count=len(widths))
        self.leak = leak
        sizes = (inputs, *widths)
        self.hidden = nnx.List(
            [
                nnx.Linear(before, after, kernel_init=HE_NORMAL, rngs=rngs)
                for before, after in itertools.pairwise(sizes)
            ]
        )
        self.last = nnx.Linear(sizes[-1], outputs, rngs=rngs)

    def __call__(self, x: Float[Array, "b inputs"]) -> Float[Array, "b outputs"]:
        """Outputs of any size."""
        for layer in self.hidden:
            x = nnx.leaky_relu(layer(x), self.leak)
        return self.last(x)


class DenseGenerator(nnx.Module):
    """Latent vectors to images in (0, 1), by dense layers.

        [dense - ReLU] for each width - dense - sigmoid

    Example:
      >>> model = DenseGenerator((28, 28, 1), 10, rngs=nnx.Rngs(0))
      >>> model(jnp.ones((2, 10))).shape
      (2, 28, 28, 1)

    References:
      Li et al. 2015, Generative moment matching networks, Section 5.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        inputs: int,
        *,
        widths: Sequence[int] = (64, 256, 256, 1024),
        rngs: nnx.Rngs,
    ):
        """Draws the weights.

        Args:
          image_shape: height, width and channels.
          inputs: length of a latent vector, with what it is conditioned on.
          widths: units of the hidden layers.
          rngs: its "params" stream is used.
        """
        self.image_shape = tuple(image_shape)
        self.layers = MLP(inputs, math.prod(image_shape), widths=widths, rngs=rngs)

    def __call__(self, latents: Float[Array, "b inputs"]) -> Float[Array, "b h w c"]:
        """Images in (0, 1)."""
        return nnx.sigmoid(self.layers(latents)).reshape(-1, *self.image_shape)


class Discriminator(nnx.Module):
    """Images to scores that say how real they look: one each, or a map of them.

        [5x5 conv, stride 2 - normalisation - leaky ReLU] for each width
        - dense, or for a map 3x3 conv

    The first layer is not batch-normalised. The conditions join the image as channels
    that are constant over it.

    Example:
      >>> model = Discriminator((28, 28, 1), widths=(8, 8), per_patch=True,
      ...                       rngs=nnx.Rngs(0))
      >>> model(jnp.ones((2, 28, 28, 1)), jnp.ones((2, 0))).shape
      (2, 7, 7, 1)

    References:
      Radford et al. 2016, Unsupervised representation learning with deep convolutional
      generative adversarial networks, Section 3. Isola et al. 2017, Image-to-image
      translation with conditional adversarial networks, Section 3.2.2 (maps). Miyato et
      al. 2018, Spectral normalization for generative adversarial networks, Algorithm 1.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        *,
        conditions: int = 0,
        widths: Sequence[int] = (64, 128),
        normalisation: Normalisation = "none",
        per_patch: bool = False,
        rngs: nnx.Rngs,
    ):
        """Draws the weights.

        Args:
          image_shape: height, width and channels.
          conditions: length of what an image is conditioned on, 0 for nothing.
          widths: filters of each layer.
          normalisation: "none"; "batch", of each layer's output but the first's; or
            "spectral", of all weights.
          per_patch: whether every patch of an image has a score.
          rngs: its "params" stream is used.

        Raises:
          ValueError: if there is no such normalisation or no width.
        """
        if normalisation not in get_args(Normalisation):
            raise ValueError(
                f"normalisation must be one of {get_args(Normalisation)}, got "
                f"{normalisation!r}"
            )
        check_sizes("widths", widths)
        height, width, channels = image_shape

        def weighted(layer: nnx.Module) -> nnx.Module:
            if normalisation == "spectral":
                return nnx.SpectralNorm(layer, rngs=rngs)
            return layer

        def conv(c_in: int, c_out: int, size: int, strides: int) -> nnx.Module:
            return weighted(
                nnx.Conv(
                    c_in,
                    c_out,
                    (size, size),
                    strides=strides,
                    kernel_init=HE_NORMAL,
                    conv_general_dilated=convolve,
                    rngs=rngs,
                )
            )

        before = (channels + conditions, *widths)
        self.convs = nnx.List(
            [conv(c_in, c_out, 5, 2) for c_in, c_out in itertools.pairwise(before)]
        )
        normed = widths[1:] if normalisation == "batch" else ()
        self.norms = nnx.List(
            [nnx.BatchNorm(c, momentum=0.9, rngs=rngs) for c in normed]
        )
        for _ in widths:
            height, width = -(-height // 2), -(-width // 2)
        if per_patch:
            self.scores = conv(widths[-1], 1, 3, 1)
        else:
            self.scores = weighted(
                nnx.Linear(height * width * widths[-1], 1, rngs=rngs)
            )
        self.per_patch = per_patch

    def __call__(
        self,
        images: Float[Array, "b h w c"],
        conditions: Float[Array, "b conditions"],
    ) -> Float[Array, "b map_h map_w 1"]:
        """Scores of images in [0, 1]; a map of one pixel, or of one for each patch."""
        x = 2 * images - 1
        shape = (*x.shape[:3], conditions.shape[-1])
        constant = jnp.broadcast_to(conditions[:, None, None], shape)
        x = jnp.concatenate([x, constant.astype(x.dtype)], -1)
        for index, conv in enumerate(self.convs):
            x = conv(x)
            if index and self.norms:
                x = self.norms[index - 1](x)
            x = nnx.leaky_relu(x, LEAK)
        if not self.per_patch:
            x = x.reshape(x.shape[0], 1, 1, -1)
        return self.scores(x)
