"""The convolution that the models use, in the form that is fast on CPUs.

Flax has its own sent through `ops.convolution` by `conv_general_dilated=convolve`.
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ssimjax.ops.convolution import correlate
from ssimjax.ops.meshes import on_any_mesh

# Initial filters before a ReLU.
HE_NORMAL = jax.nn.initializers.he_normal()


@on_any_mesh
def convolve(
    x: Float[Array, "b h w c_in"],
    kernel: Float[Array, "kh kw c_in c_out"],
    strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    *,
    precision: Any = None,
    **options: Any,
) -> Float[Array, "b out_h out_w c_out"]:
    """`jax.lax.conv_general_dilated` for feature maps, as Flax calls it.

    Args:
      x: images or feature maps.
      kernel: filters.
      strides: as in `jax.lax.conv_general_dilated`.
      padding: likewise.
      precision: likewise.
      **options: likewise; `dimension_numbers` are those of the shapes here.

    Returns:
      The convolution, the same up to rounding.

    Example:
      >>> from flax import nnx
      >>> layer = nnx.Conv(3, 8, (5, 5), conv_general_dilated=convolve,
      ...                  rngs=nnx.Rngs(0))
      >>> layer(jnp.ones((1, 8, 8, 3))).shape
      (1, 8, 8, 8)
    """
    if jax.default_backend() == "cpu":
        plain = {"lhs_dilation": (1, 1), "rhs_dilation": (1, 1)}
        plain |= {"feature_group_count": 1, "preferred_element_type": None}
        if all(options.get(name) in (None, usual) for name, usual in plain.items()):
            if isinstance(padding, str):
                padding = jax.lax.padtype_to_pads(
                    x.shape[1:3], kernel.shape[:2], strides, padding
                )
            return correlate(
                x, kernel, padding=padding, strides=strides, precision=precision
            )
    options["dimension_numbers"] = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(
        x, kernel, strides, padding, precision=precision, **options
    )


@on_any_mesh
def convolve_to_few(
    x: Float[Array, "b h w c_in"],
    kernel: Float[Array, "kh kw c_in c_out"],
    strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    *,
    precision: Any = None,
    **options: Any,
) -> Float[Array, "b out_h out_w c_out"]:
    """A convolution of stride 1 without borders, for fewer filters than channels.

    XLA's CPU backend first copies every pixel once for each tap, which for few filters
    costs more than the products: for 16 maps of 37x37x64 under 32 filters of 5x5, value
    and gradients take `convolve` 141 ms, for 36x36x32 under a single one 49. Here
    pixels are copied once for each column of taps, one matrix product makes the sums
    along all rows of taps, and these are added up, shifted: 95 and 9 ms (two cores).

    Args:
      x: feature maps.
      kernel: filters.
      strides: (1, 1).
      padding: "VALID", or no pixels anywhere.
      precision: of the products.
      **options: as Flax gives them.

    Returns:
      The convolution, the same up to rounding.

    Raises:
      ValueError: if a stride is not 1, or there is padding.

    Example:
      >>> from flax import nnx
      >>> layer = nnx.Conv(8, 1, (5, 5), padding="VALID",
      ...                  conv_general_dilated=convolve_to_few, rngs=nnx.Rngs(0))
      >>> layer(jnp.ones((1, 8, 8, 8))).shape
      (1, 4, 4, 1)
    """
    none = [(0, 0), (0, 0)]
    unpadded = padding == "VALID" or list(map(tuple, padding)) == none
    if tuple(strides) != (1, 1) or not unpadded:
        raise ValueError(
            "strides must be (1, 1) and padding 'VALID', got "
            f"{tuple(strides)} and {padding!r}"
        )
    if jax.default_backend() != "cpu":
        return jax.lax.conv_general_dilated(
            x, kernel, strides, padding, precision=precision, **options
        )
    kh, kw, c_in, c_out = kernel.shape
    b, h, w, _ = x.shape
    out_h, out_w = h - kh + 1, w - kw + 1
    columns = jnp.concatenate([x[:, :, j : j + out_w] for j in range(kw)], -1)
    filters = kernel.transpose(1, 2, 0, 3).reshape(kw * c_in, kh * c_out)
    sums = jnp.matmul(columns.reshape(-1, kw * c_in), filters, precision=precision)
    sums = sums.reshape(b, h, out_w, kh, c_out)
    rows = [sums[:, i : i + out_h, :, i] for i in range(kh)]
    return functools.reduce(jnp.add, rows)
