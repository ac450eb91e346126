"""Convolutional autoencoders: deterministic (also for MMD) and variational."""

import itertools
from collections.abc import Sequence

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from ssimjax.nn.convolution import HE_NORMAL, convolve
from ssimjax.nn.sizes import check_sizes
from ssimjax.nn.upsampling import UpsampleConv, Upsampling


class Encoder(nnx.Module):
    """Images to vectors.

        [5x5 conv, stride 2 - batch norm - ReLU] for each width - dense

    Example:
      >>> encoder = Encoder((64, 64, 3), 16, widths=(8, 8), rngs=nnx.Rngs(0))
      >>> encoder(jnp.ones((2, 64, 64, 3))).shape
      (2, 16)

    References:
      Tolstikhin et al. 2018, Wasserstein auto-encoders, Appendix F, CelebA.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        outputs: int,
        *,
        widths: Sequence[int] = (128, 256, 512, 1024),
        rngs: nnx.Rngs,
    ):
        """Draws the weights.

        Args:
          image_shape: height, width and channels; sides are multiples of 2 to the
            number of widths.
          outputs: length of a vector.
          widths: filters of each layer.
          rngs: its "params" stream is used.

        Raises:
          ValueError: if the sides are no such multiples, or there is no width.
        """
        _check_shape(image_shape, widths)
        height, width, channels = image_shape
        before = (channels, *widths)
        self.convs = nnx.List(
            [
                nnx.Conv(
                    c_in,
                    c_out,
                    (5, 5),
                    strides=2,
                    kernel_init=HE_NORMAL,
                    conv_general_dilated=convolve,
                    rngs=rngs,
                )
                for c_in, c_out in zip(before, widths)
            ]
        )
        self.norms = nnx.List([_norm(c, rngs) for c in widths])
        height, width = (side // 2 ** len(widths) for side in (height, width))
        self.dense = nnx.Linear(height * width * widths[-1], outputs, rngs=rngs)

    def __call__(self, images: Float[Array, "b h w c"]) -> Float[Array, "b outputs"]:
        """Vectors of images in [0, 1]."""
        x = 2 * images - 1
        for conv, norm in zip(self.convs, self.norms):
            x = nnx.relu(norm(conv(x)))
        return self.dense(jnp.reshape(x, (x.shape[0], -1)))


class Decoder(nnx.Module):
    """Codes to images in (0, 1).

        dense - batch norm - ReLU
        - [upsampling 5x5 conv - batch norm - ReLU] for each other width, from the end
        - 5x5 conv - sigmoid

    Example:
      >>> decoder = Decoder((64, 64, 3), 16, widths=(8, 8), rngs=nnx.Rngs(0))
      >>> decoder(jnp.ones((2, 16))).shape
      (2, 64, 64, 3)

    References:
      Tolstikhin et al. 2018, Wasserstein auto-encoders, Appendix F, CelebA.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        code: int,
        *,
        widths: Sequence[int] = (128, 256, 512, 1024),
        upsampling: Upsampling = "nearest",
        rngs: nnx.Rngs,
    ):
        """Draws the weights.

        Args:
          image_shape: as in `Encoder`.
          code: length of a code.
          widths: those of the encoder, whose order is reversed.
          upsampling: as in `UpsampleConv`.
          rngs: its "params" stream is used.

        Raises:
          ValueError: as `Encoder`; if the upsampling has no such name.
        """
        _check_shape(image_shape, widths)
        height, width, channels = image_shape
        doublings = len(widths) - 1
        self.start = (height // 2**doublings, width // 2**doublings, widths[-1])
        pixels = self.start[0] * self.start[1]
        self.dense = nnx.Linear(code, pixels * widths[-1], rngs=rngs)
        self.norms = nnx.List([_norm(c, rngs) for c in reversed(widths)])
        inner = tuple(reversed(widths))
        self.convs = nnx.List(
            [
                UpsampleConv(c_in, c_out, 5, upsampling=upsampling, rngs=rngs)
                for c_in, c_out in itertools.pairwise(inner)
            ]
        )
        self.pixels = nnx.Conv(
            widths[0], channels, (5, 5), conv_general_dilated=convolve, rngs=rngs
        )

    def __call__(self, codes: Float[Array, "b code"]) -> Float[Array, "b h w c"]:
        """Images in (0, 1)."""
        x = jnp.reshape(self.dense(codes), (-1, *self.start))
        x = nnx.relu(self.norms[0](x))
        for conv, norm in zip(self.convs, self.norms[1:]):
            x = nnx.relu(norm(conv(x)))
        return nnx.sigmoid(self.pixels(x))


class Autoencoder(nnx.Module):
    """An encoder and a decoder around a code of few numbers.

    The default widths are those of Tolstikhin et al. for CelebA, which Lu 2019 refers
    to.

    Attributes:
      encoder: images in [0, 1] to codes.
      decoder: codes to images in (0, 1).
      code: length of a code.

    Example:
      >>> model = Autoencoder((32, 32, 1), 16, widths=(8, 8), rngs=nnx.Rngs(0))
      >>> model(jnp.ones((2, 32, 32, 1))).shape
      (2, 32, 32, 1)

    References:
      Tolstikhin et al. 2018, Wasserstein auto-encoders, Appendix F, CelebA.
      Lu 2019, The level weighted structural similarity loss.
    """

    _numbers_per_unit = 1

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        code: int,
        *,
        widths: Sequence[int] = (128, 256, 512, 1024),
        upsampling: Upsampling = "nearest",
        rngs: nnx.Rngs,
    ):
        """Draws the weights.

        Args:
          image_shape: height, width and channels; sides are multiples of 2 to the
            number of widths.
          code: length of a code, the bottleneck.
          widths: filters of each layer of the encoder.
          upsampling: "nearest" or "transposed", as in `UpsampleConv`.
          rngs: its "params" stream is used.

        Raises:
          ValueError: if an option is out of its range.
        """
        check_sizes("code", (code,), count=1)
        self.code = code
        outputs = self._numbers_per_unit * code
        self.encoder = Encoder(image_shape, outputs, widths=widths, rngs=rngs)
        self.decoder = Decoder(
            image_shape, code, widths=widths, upsampling=upsampling, rngs=rngs
        )

    def encode(self, images: Float[Array, "b h w c"]) -> Float[Array, "b code"]:
        """Codes of images in [0, 1]."""
        return self.encoder(images)

    def decode(self, codes: Float[Array, "b code"]) -> Float[Array, "b h w c"]:
        """Images in (0, 1)."""
        return self.decoder(codes)

    def __call__(self, images: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """Reconstructions, in (0, 1), of images in [0, 1]."""
        return self.decode(self.encode(images))


class VariationalAutoencoder(Autoencoder):
    """An autoencoder whose encoder gives a normal distribution of codes.

    Attributes:
      encoder: images to mean and log variance, side by side.
      decoder: codes to images in (0, 1).
      code: length of a code.

    Example:
      >>> model = VariationalAutoencoder((32, 32, 1), 16, widths=(8, 8),
      ...                                rngs=nnx.Rngs(0))
      >>> mean, log_variance = model.posterior(jnp.ones((2, 32, 32, 1)))
      >>> log_variance.shape
      (2, 16)

    References:
      Kingma and Welling 2014, Auto-encoding variational Bayes, Appendix B.
    """

    _numbers_per_unit = 2

    def posterior(
        self, images: Float[Array, "b h w c"]
    ) -> tuple[Float[Array, "b code"], Float[Array, "b code"]]:
        """Mean and log variance of the codes of images in [0, 1]."""
        mean, log_variance = jnp.split(self.encoder(images), 2, -1)
        return mean, log_variance

    def encode(self, images: Float[Array, "b h w c"]) -> Float[Array, "b code"]:
        """Mean codes of images in [0, 1]."""
        return self.posterior(images)[0]


def _check_shape(image_shape: tuple[int, int, int], widths: Sequence[int]) -> None:
    check_sizes("widths", widths)
    step = 2 ** len(widths)
    if image_shape[0] % step or image_shape[1] % step:
        raise ValueError(
            f"image sides must be multiples of {step} for {len(widths)} widths, got "
            f"{image_shape[0]}x{image_shape[1]}"
        )


def _norm(channels: int, rngs: nnx.Rngs) -> nnx.BatchNorm:
    return nnx.BatchNorm(channels, momentum=0.9, rngs=rngs)
