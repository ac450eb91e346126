"""SRCNN: three convolutions that sharpen an enlarged image."""

from collections.abc import Sequence
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from ssimjax.nn.convolution import HE_NORMAL, convolve, convolve_to_few
from ssimjax.nn.sizes import check_sizes

Initial = Literal["published", "he"]
Output = Literal["image", "residual"]

_PUBLISHED = jax.nn.initializers.normal(0.001)


class SRCNN(nnx.Module):
    """Enlarged gray images to sharper ones, of the same size.

        conv 9x9, 64 - ReLU - conv 5x5, 32 - ReLU - conv 5x5, 1

    Before each convolution its maps are continued by their edges, as the authors' test
    code does it, where the network was trained without any border.

    Attributes:
      features: first layer, patches to features.
      mapping: second layer.
      reconstruction: third layer, features to pixels.
      reach: how many pixels around an output pixel have an influence on it, on each
        side.

    Example:
      >>> model = SRCNN(widths=(8, 4), rngs=nnx.Rngs(0))
      >>> model(jnp.ones((2, 33, 33, 1))).shape
      (2, 33, 33, 1)

    References:
      Dong et al. 2016, Image super-resolution using deep convolutional networks,
      Section 3 and, for 9-5-5, Section 4.3.
      Snell et al. 2017, Learning to generate images with perceptual similarity metrics,
      Section 5.
    """

    def __init__(
        self,
        *,
        widths: Sequence[int] = (64, 32),
        sizes: Sequence[int] = (9, 5, 5),
        initial: Initial = "published",
        output: Output = "image",
        rngs: nnx.Rngs,
    ):
        """Draws the weights.

        Args:
          widths: filters of the first two layers.
          sizes: sides of the filters of the three layers, odd.
          initial: "published": N(0, 0.001) everywhere, with which the output, an image,
            is black at first, and gradients are products of tiny weights. "he": He's
            deviation before a ReLU, and N(0, 0.001) in the last layer.
          output: "image", as published, or "residual": what is added to the input, so
            that training begins with the enlarged image.
          rngs: its "params" stream is used.

        Raises:
          ValueError: if an option is out of its range.
        """
        check_sizes("widths", widths, count=2)
        if len(sizes) != 3 or any(size < 1 or size % 2 == 0 for size in sizes):
            raise ValueError(
                f"sizes must be three odd numbers >= 1, got {tuple(sizes)}"
            )
        for name, value, names in (
            ("initial", initial, get_args(Initial)),
            ("output", output, get_args(Output)),
        ):
            if value not in names:
                raise ValueError(f"{name} must be one of {names}, got {value!r}")
        inner = _PUBLISHED if initial == "published" else HE_NORMAL
        first, second = widths
        self.features = _layer(1, first, sizes[0], inner, rngs)
        self.mapping = _layer(first, second, sizes[1], inner, rngs)
        self.reconstruction = _layer(second, 1, sizes[2], _PUBLISHED, rngs)
        self.output = output
        self.reach = sum(size // 2 for size in sizes)

    def __call__(self, images: Float[Array, "b h w 1"]) -> Float[Array, "b h w 1"]:
        """Sharper images, near [0, 1], of enlarged ones in [0, 1]."""
        x = nnx.relu(self.features(_continued(images, self.features)))
        x = nnx.relu(self.mapping(_continued(x, self.mapping)))
        x = self.reconstruction(_continued(x, self.reconstruction))
        return x + images if self.output == "residual" else x


def _layer(c_in: int, c_out: int, size: int, initial, rngs: nnx.Rngs) -> nnx.Conv:
    return nnx.Conv(
        c_in,
        c_out,
        (size, size),
        padding="VALID",
        kernel_init=initial,
        conv_general_dilated=convolve if c_out > c_in else convolve_to_few,
        rngs=rngs,
    )


def _continued(x: Array, layer: nnx.Conv) -> Array:
    height, width = (side // 2 for side in layer.kernel.shape[:2])
    margins = ((0, 0), (height, height), (width, width), (0, 0))
    return jnp.pad(x, margins, mode="edge")
