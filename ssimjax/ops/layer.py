"""The SSIM layer as a pure function: SSIM between patches and filters."""

from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from ssimjax.ops.patches import Padding, patch_moments
from ssimjax.ops.similarity import StructureForm, similarity

Patches = Literal["across_channels", "per_channel"]


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

    def compare(x: Array, filters: Array) -> Array:
        moments = patch_moments(
            x, filters, strides=strides, padding=padding, precision=precision
        )
        return similarity(
            moments,
            c1,
            c2,
            c3=c3,
            exponents=exponents,
            structure_form=structure_form,
        )

    x, filters = jnp.asarray(x), jnp.asarray(filters)
    if patches == "across_channels":
        return compare(x, filters)
    result = jax.eval_shape(compare, x, filters)  # Refuses what does not fit.

    # One channel at a time, recomputed for the gradient: all channels at once would
    # need c_in times the memory of the result.
    @jax.checkpoint
    def add_channel(total: Array, channel: tuple[Array, Array]) -> tuple[Array, None]:
        x_channel, filters_channel = channel
        similarities = compare(x_channel[..., None], filters_channel[:, :, None])
        return total + similarities, None

    channels = (jnp.moveaxis(x, -1, 0), jnp.moveaxis(filters, 2, 0))
    zeros = jnp.zeros(result.shape, result.dtype)
    total, _ = jax.lax.scan(add_channel, zeros, channels)
    return total / x.shape[-1]
