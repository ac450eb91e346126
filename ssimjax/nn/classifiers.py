"""The image classifiers of Abobakr et al. 2018."""

from collections.abc import Sequence
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from ssimjax.nn.convolution import HE_NORMAL, convolve
from ssimjax.nn.pooling import avg_pool, max_pool
from ssimjax.nn.sizes import check_sizes
from ssimjax.nn.ssim_conv import SSIMConv
from ssimjax.ops.layer import Patches
from ssimjax.ops.similarity import StructureForm

FeatureLayer = Literal["ssim", "conv"]


class QuickClassifier(nnx.Module):
    """The two networks of Fig. 4: alike but for their last feature layer.

        5x5 conv - maxpool - ReLU - 5x5 conv - ReLU - avgpool
        - 5x5 SSIM or conv - [ReLU] - avgpool - dense - ReLU - dense

    The figure did not survive in the text of the paper. This is the classic "quick"
    CIFAR-10 network, which has the paper's layers (5x5, 32 filters, stride 1, padding
    2) and its accuracy; pooling is 3x3 with stride 2.

    Images come in [0, 1]; normalisation is the model's first step, so that an attack
    works in pixel space. The output is logits.

    Example:
      >>> model = QuickClassifier((32, 32, 3), 10, rngs=nnx.Rngs(0))
      >>> model(jnp.ones((1, 32, 32, 3))).shape
      (1, 10)

    References:
      Abobakr et al. 2018, SSIMLayer, Fig. 4 and 7.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        num_classes: int,
        *,
        feature_layer: FeatureLayer = "ssim",
        widths: Sequence[int] = (32, 32, 64),
        hidden: int = 64,
        relu_after: bool = True,
        pixel_mean: float = 0.5,
        pixel_std: float = 0.25,
        c1: float = 1e-4,
        c2: float = 9e-4,
        exponents: tuple[float, float, float] = (1.0, 1.0, 1.0),
        patches: Patches = "across_channels",
        structure_form: StructureForm = "standard",
        output_gain: float = 1.0,
        norm_before: bool = False,
        rngs: nnx.Rngs,
    ):
        """Draws the weights.

        Args:
          image_shape: height, width and channels of the images.
          num_classes: number of logits.
          feature_layer: "ssim" or "conv", the last feature layer.
          widths: filters of the three feature layers.
          hidden: units of the first dense layer.
          relu_after: whether a ReLU follows the last feature layer (Fig. 7).
          pixel_mean: subtracted from the pixels.
          pixel_std: the centred pixels are divided by it.
          c1: of the SSIM layer, as in `ops.ssim_conv`, like the four that follow.
          c2: see `c1`.
          exponents: see `c1`.
          patches: see `c1`.
          structure_form: see `c1`.
          output_gain: constant factor on the SSIM layer's output, whose similarities
            to random filters are of order 0.01.
          norm_before: whether its input is batch-normalised.
          rngs: its "params" stream is used.

        Raises:
          ValueError: if `feature_layer` is neither name, or there are not three widths
            and a number of units >= 1.
        """
        _check_feature_layer(feature_layer)
        check_sizes("widths", widths, count=3)
        check_sizes("hidden", (hidden,), count=1)
        height, width, channels = image_shape
        first, second, third = widths
        self.conv1 = _conv(channels, first, 5, rngs)
        self.conv2 = _conv(first, second, 5, rngs)
        if feature_layer == "conv":
            self.features = _conv(second, third, 5, rngs)
        else:
            self.features = SSIMConv(
                second,
                third,
                (5, 5),
                c1=c1,
                c2=c2,
                exponents=exponents,
                patches=patches,
                structure_form=structure_form,
                rngs=rngs,
            )
        for _ in range(3):
            height, width = -(-height // 2), -(-width // 2)
        self.norm = nnx.BatchNorm(second, rngs=rngs) if norm_before else None
        self.dense = nnx.Linear(height * width * third, hidden, rngs=rngs)
        self.logits = nnx.Linear(hidden, num_classes, rngs=rngs)
        self.relu_after = relu_after
        self.pixel_mean = pixel_mean
        self.pixel_std = pixel_std
        self.output_gain = output_gain if feature_layer == "ssim" else 1.0

    def __call__(self, images: Float[Array, "b h w c"]) -> Float[Array, "b classes"]:
        """Logits of images in [0, 1]."""
        return self.logits(self.embed(images))

    def embed(self, images: Float[Array, "b h w c"]) -> Float[Array, "b hidden"]:
        """The units before the logits, >= 0, of images in [0, 1]."""
        x = (images - self.pixel_mean) / self.pixel_std
        x = nnx.relu(max_pool(self.conv1(x)))
        x = avg_pool(nnx.relu(self.conv2(x)))
        if self.norm is not None:
            x = self.norm(x)
        x = self.output_gain * self.features(x)
        x = avg_pool(nnx.relu(x) if self.relu_after else x)
        return nnx.relu(self.dense(jnp.reshape(x, (x.shape[0], -1))))


class ShallowClassifier(nnx.Module):
    """The two networks of Fig. 6, whose first layer sees the image.

        7x7 SSIM - [ReLU] - maxpool - 5x5 conv - ReLU - maxpool - dense
        7x7 conv          - maxpool - 5x5 conv - ReLU - maxpool - dense

    The paper gives neither widths nor the size of pooling, which is 3x3 with stride 2
    here. Images come in [0, 1]; normalisation is the model's first step. The output is
    logits.

    Example:
      >>> model = ShallowClassifier((32, 32, 3), 10, rngs=nnx.Rngs(0))
      >>> model(jnp.ones((1, 32, 32, 3))).shape
      (1, 10)

    References:
      Abobakr et al. 2018, SSIMLayer, Fig. 6.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        num_classes: int,
        *,
        feature_layer: FeatureLayer = "ssim",
        widths: Sequence[int] = (32, 64),
        relu_after: bool = True,
        pixel_mean: float = 0.5,
        pixel_std: float = 0.25,
        c1: float = 1e-4,
        c2: float = 9e-4,
        exponents: tuple[float, float, float] = (1.0, 1.0, 1.0),
        patches: Patches = "across_channels",
        structure_form: StructureForm = "standard",
        output_gain: float = 1.0,
        rngs: nnx.Rngs,
    ):
        """Draws the weights.

        Args:
          image_shape: height, width and channels of the images.
          num_classes: number of logits.
          feature_layer: "ssim" or "conv", the first layer.
          widths: filters of the two layers.
          relu_after: whether a ReLU follows an SSIM layer.
          pixel_mean: subtracted from the pixels.
          pixel_std: the centred pixels are divided by it.
          c1: of the SSIM layer, as in `ops.ssim_conv`, like the four that follow.
          c2: see `c1`.
          exponents: see `c1`.
          patches: see `c1`.
          structure_form: see `c1`.
          output_gain: constant factor on the SSIM layer's output.
          rngs: its "params" stream is used.

        Raises:
          ValueError: if `feature_layer` is neither name, or there are not two widths
            >= 1.
        """
        _check_feature_layer(feature_layer)
        check_sizes("widths", widths, count=2)
        height, width, channels = image_shape
        first, second = widths
        if feature_layer == "conv":
            # No ReLU follows.
            init = jax.nn.initializers.lecun_normal()
            self.features = _conv(channels, first, 7, rngs, init=init)
        else:
            self.features = SSIMConv(
                channels,
                first,
                (7, 7),
                c1=c1,
                c2=c2,
                exponents=exponents,
                patches=patches,
                structure_form=structure_form,
                rngs=rngs,
            )
        self.conv = _conv(first, second, 5, rngs)
        for _ in range(2):
            height, width = -(-height // 2), -(-width // 2)
        self.logits = nnx.Linear(height * width * second, num_classes, rngs=rngs)
        similar = feature_layer == "ssim"
        self.relu_after = relu_after and similar
        self.output_gain = output_gain if similar else 1.0
        self.pixel_mean = pixel_mean
        self.pixel_std = pixel_std

    def __call__(self, images: Float[Array, "b h w c"]) -> Float[Array, "b classes"]:
        """Logits of images in [0, 1]."""
        x = (images - self.pixel_mean) / self.pixel_std
        x = self.output_gain * self.features(x)
        x = max_pool(nnx.relu(x) if self.relu_after else x)
        x = max_pool(nnx.relu(self.conv(x)))
        return self.logits(jnp.reshape(x, (x.shape[0], -1)))


def _check_feature_layer(feature_layer: str) -> None:
    if feature_layer not in get_args(FeatureLayer):
        raise ValueError(
            f"feature_layer must be 'ssim' or 'conv', got {feature_layer!r}"
        )


def _conv(
    c_in: int,
    c_out: int,
    size: int,
    rngs: nnx.Rngs,
    *,
    init: nnx.Initializer = HE_NORMAL,
) -> nnx.Conv:
    return nnx.Conv(
        c_in,
        c_out,
        (size, size),
        kernel_init=init,
        conv_general_dilated=convolve,
        rngs=rngs,
    )
