"""The SSIM layer for Flax Linen: the same numbers as `ssimjax.nn.SSIMConv`."""

from collections.abc import Sequence

import jax
from flax import linen
from jaxtyping import Array, Float

from ssimjax.nn.sizes import check_kernel_size
from ssimjax.ops.layer import Patches, ssim_conv
from ssimjax.ops.patches import Padding
from ssimjax.ops.similarity import StructureForm


class SSIMConv(linen.Module):
    """Trainable filters whose activation is their SSIM with every patch.

    Fields are the arguments of `ssimjax.nn.SSIMConv`; the parameter is `filters`,
    `[kh, kw, c_in, features]`.

    Example:
      >>> layer = SSIMConv(8, (5, 5))
      >>> x = jax.numpy.ones((1, 32, 32, 3))
      >>> layer.init_with_output(jax.random.key(0), x)[0].shape
      (1, 32, 32, 8)

    References:
      Abobakr et al. 2018, SSIMLayer, Section 2.
    """

    features: int
    kernel_size: Sequence[int]
    strides: int | Sequence[int] = 1
    padding: Padding = "SAME"
    c1: float = 1e-4
    c2: float = 9e-4
    c3: float | None = None
    exponents: tuple[float, float, float] = (1.0, 1.0, 1.0)
    patches: Patches = "across_channels"
    structure_form: StructureForm = "standard"
    filters_init: jax.nn.initializers.Initializer = jax.nn.initializers.normal(1.0)

    @linen.compact
    def __call__(self, x: Float[Array, "b h w c_in"]) -> Float[Array, "b oh ow c_out"]:
        """SSIM of every patch of x with every filter, in [-1, 1]."""
        shape = (*check_kernel_size(self.kernel_size), x.shape[-1], self.features)
        return ssim_conv(
            x,
            self.param("filters", self.filters_init, shape),
            strides=self.strides,
            padding=self.padding,
            c1=self.c1,
            c2=self.c2,
            c3=self.c3,
            exponents=self.exponents,
            patches=self.patches,
            structure_form=self.structure_form,
        )
