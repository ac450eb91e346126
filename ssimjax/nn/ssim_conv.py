"""The SSIM layer as a Flax NNX module."""

from collections.abc import Sequence

import jax
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from ssimjax.nn.sizes import check_kernel_size
from ssimjax.ops.layer import Patches, ssim_conv
from ssimjax.ops.patches import Padding, as_pairs
from ssimjax.ops.similarity import StructureForm

_STANDARD_NORMAL = jax.nn.initializers.normal(1.0)


class SSIMConv(nnx.Module):
    """Trainable filters whose activation is their SSIM with every patch.

        out[b, i, j, k] = SSIM(patch of x at i, j; filter k)

    Attributes:
      filters: `[kh, kw, c_in, c_out]`, initialised from a standard normal.

    Example:
      >>> layer = SSIMConv(3, 8, (5, 5), rngs=nnx.Rngs(0))
      >>> layer(jax.numpy.ones((1, 32, 32, 3))).shape
      (1, 32, 32, 8)

    References:
      Abobakr et al. 2018, SSIMLayer, Section 2.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: Sequence[int],
        *,
        strides: int | Sequence[int] = 1,
        padding: Padding = "SAME",
        c1: float = 1e-4,
        c2: float = 9e-4,
        c3: float | None = None,
        exponents: tuple[float, float, float] = (1.0, 1.0, 1.0),
        patches: Patches = "across_channels",
        structure_form: StructureForm = "standard",
        filters_init: nnx.Initializer = _STANDARD_NORMAL,
        rngs: nnx.Rngs,
    ):
        """Draws the filters.

        Args:
          in_features: channels of the input.
          out_features: number of filters.
          kernel_size: height and width of the filters, in pixels.
          strides: as in `ops.ssim_conv`, like all keywords down to `structure_form`.
          padding: see `strides`.
          c1: see `strides`.
          c2: see `strides`.
          c3: see `strides`.
          exponents: see `strides`.
          patches: see `strides`.
          structure_form: see `strides`.
          filters_init: how filters are drawn.
          rngs: its "params" stream is used.

        Raises:
          ValueError: if the kernel size is no pair, or the padding none of two pairs.
        """
        shape = (*check_kernel_size(kernel_size), in_features, out_features)
        self.filters = nnx.Param(filters_init(rngs.params(), shape))
        strides = np.asarray(strides).tolist()
        self.strides = strides if isinstance(strides, int) else tuple(strides)
        self.padding = padding if isinstance(padding, str) else as_pairs(padding)
        self.c1 = c1
        self.c2 = c2
        self.c3 = c3
        self.exponents = exponents
        self.patches: Patches = patches
        self.structure_form: StructureForm = structure_form

    def __call__(self, x: Float[Array, "b h w c_in"]) -> Float[Array, "b oh ow c_out"]:
        """SSIM of every patch of x with every filter, in [-1, 1]."""
        return ssim_conv(
            x,
            self.filters[...],
            strides=self.strides,
            padding=self.padding,
            c1=self.c1,
            c2=self.c2,
            c3=self.c3,
            exponents=self.exponents,
            patches=self.patches,
            structure_form=self.structure_form,
        )
