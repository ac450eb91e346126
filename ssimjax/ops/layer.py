"""The SSIM layer as a pure function: SSIM between patches and filters."""

import functools
from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from ssimjax.ops.channel_patches import mean_over_single_channels
from ssimjax.ops.meshes import on_any_mesh
from ssimjax.ops.partial_derivatives import by_partial_derivatives, over_patches
from ssimjax.ops.patch_ssim import patch_ssim
from ssimjax.ops.patches import Padding, patch_moments
from ssimjax.ops.similarity import StructureForm, is_product, similarity

Patches = Literal["across_channels", "per_channel"]


@on_any_mesh
def ssim_conv(
    x: Float[ArrayLike, "b h w c_in"],
    filters: Float[ArrayLike, "kh kw c_in c_out"],
    *,
    strides: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    c1: float = 1e-4,
    c2: float = 9e-4,
    c3: float | None = None,
    exponents: tuple[float, float, float] = (1.0, 1.0, 1.0),
    patches: Patches = "across_channels",
    structure_form: StructureForm = "standard",
    precision: jax.lax.PrecisionLike = jax.lax.Precision.HIGHEST,
) -> Float[Array, "b out_h out_w c_out"]:
    """SSIM between every patch of x and every filter, laid out like a convolution.

        SSIM(x, y) = l^α c^β s^γ
                   = (2 μ_x μ_y + c1)(2 σ_xy + c2)
                     / ((μ_x² + μ_y² + c1)(σ_x² + σ_y² + c2))  by default

    with sample (N - 1) variances and covariance over the N elements of a patch.

    Args:
      x: images or feature maps.
      filters: filters y, laid out like the kernel of a convolution.
      strides: step between patches, in pixels: one number or one per spatial axis.
      padding: "SAME", "VALID" or `((top, bottom), (left, right))` zeros, as in
        `jax.lax`. Padded elements belong to the patch.
      c1: stabiliser of the luminance term, in squared units of x, > 0. The default is
        (0.01 L)² for a data range L of 1.
      c2: stabiliser of the contrast term, in squared units of x, > 0. The default is
        (0.03 L)² for a data range L of 1.
      c3: stabiliser of the structure term, > 0; c2 / 2 if None, as in Eq. 8.
      exponents: (α, β, γ) of Eq. 1, each > 0; see `similarity`.
      patches: "across_channels" compares kh x kw x c_in patches, as the paper does;
        "per_channel" compares kh x kw patches in each input channel and averages the
        similarities over the channels.
      structure_form: "standard", or "printed" for Eq. 6 as it stands.
      precision: of the convolution, as in `jax.lax`.

    Returns:
      Similarities in [-1, 1] (in the "standard" form); float32, or float64 for float64
      input.

    Raises:
      TypeError: if x or filters are not floating-point.
      ValueError: if a rank, the channels, a stride or the padding does not fit, if a
        filter has no or one element, or if a constant is not positive.

    Example:
      >>> x = jnp.linspace(0, 1, 2 * 8 * 8 * 3).reshape(2, 8, 8, 3)
      >>> ssim_conv(x, x[:1, 1:6, 1:6, :, None][0], padding="VALID").shape
      (2, 4, 4, 1)

    References:
      Abobakr et al. 2018, SSIMLayer, Eq. 1-8.
    """
    if patches not in ("across_channels", "per_channel"):
        raise ValueError(
            f"patches must be 'across_channels' or 'per_channel', got {patches!r}"
        )

    compare = functools.partial(
        similarity,
        c1=c1,
        c2=c2,
        c3=c3,
        exponents=exponents,
        structure_form=structure_form,
    )
    x, filters = jnp.asarray(x), jnp.asarray(filters)
    options = {"strides": strides, "padding": padding, "precision": precision}
    # The same for one channel, for which XLA's convolutions are slow on a CPU: training
    # steps take two to five times as long.
    gray = x.ndim == 4 and x.shape[-1] == 1 and jax.default_backend() == "cpu"
    if patches == "per_channel" or gray:
        # Its products cost one channel more than they save.
        if is_product(c3, exponents, structure_form) and not gray:
            compare = patch_ssim(c1, c2)
        else:
            compare = by_partial_derivatives(compare)
        return mean_over_single_channels(compare, x, filters, **options)
    return over_patches(compare, patch_moments(x, filters, **options))
