"""Convolutions that double the sides of feature maps.

Both are one convolution of the small maps with four filters in place of each, one for
every position of an output pixel within its 2×2 block. On two CPU cores, this is 10
times faster than XLA's gradient of a transposed convolution, and 3 times faster than to
convolve maps that were enlarged before.
"""

from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from ssimjax.nn.convolution import convolve
from ssimjax.ops.meshes import on_any_mesh

Upsampling = Literal["nearest", "transposed"]


class UpsampleConv(nnx.Module):
    """Doubles the sides of feature maps, and convolves.

        nearest:     every pixel becomes 2×2 equal ones, then a k×k convolution
        transposed:  three zeros follow every pixel, then a k×k convolution

    with zeros outside. "transposed" is the transposed convolution of stride 2 ("up-" or
    "deconvolution"), in which neighbouring pixels see different numbers of taps: it
    draws checkerboards (Odena et al. 2016). "nearest" cannot, on flat maps.

    Example:
      >>> layer = UpsampleConv(3, 8, 5, rngs=nnx.Rngs(0))
      >>> layer(jnp.ones((1, 4, 4, 3))).shape
      (1, 8, 8, 8)
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        size: int = 5,
        *,
        upsampling: Upsampling = "nearest",
        rngs: nnx.Rngs,
    ):
        """Draws the weights.

        Args:
          c_in: channels of the input.
          c_out: channels of the output.
          size: k, odd.
          upsampling: "nearest" or "transposed".
          rngs: its "params" stream is used.

        Raises:
          ValueError: if the size is even or the upsampling has no such name.
        """
        if size < 1 or size % 2 == 0:
            raise ValueError(f"size must be odd and >= 1, got {size}")
        if upsampling not in get_args(Upsampling):
            raise ValueError(
                f"upsampling must be 'nearest' or 'transposed', got {upsampling!r}"
            )
        # Of the taps of a transposed convolution an output pixel sees a quarter.
        taps = size**2 / (1 if upsampling == "nearest" else 4)
        scale = (2 / (taps * c_in)) ** 0.5
        shape = (size, size, c_in, c_out)
        self.kernel = nnx.Param(scale * jax.random.normal(rngs.params(), shape))
        self.bias = nnx.Param(jnp.zeros(c_out))
        self.upsampling: Upsampling = upsampling

    def __call__(self, x: Float[Array, "b h w c_in"]) -> Float[Array, "b h2 w2 c_out"]:
        """Maps `[b, 2h, 2w, c_out]`."""
        kernel = self.kernel[...]
        size, _, c_in, c_out = kernel.shape
        phases = _phases(size, self.upsampling)
        taps = phases.shape[1]
        filters = jnp.einsum("pai,qbj,ijcd->abcpqd", phases, phases, kernel)
        filters = filters.reshape(taps, taps, c_in, 4 * c_out)
        pad = (taps // 2, taps // 2)
        out = convolve(x, filters, (1, 1), (pad, pad))
        return _side_by_side(out) + jnp.reshape(self.bias[...], (1, 1, 1, -1))


@on_any_mesh
def _side_by_side(blocks: Float[Array, "b h w c4"]) -> Float[Array, "b h2 w2 c"]:
    """The pixels of every 2×2 block, whose channels lie behind one another."""
    b, h, w, channels = blocks.shape
    pixels = blocks.reshape(b, h, w, 2, 2, channels // 4).swapaxes(2, 3)
    return pixels.reshape(b, 2 * h, 2 * w, channels // 4)


def _phases(size: int, upsampling: Upsampling) -> np.ndarray:
    """Which taps meet which small pixel, `[phase, small pixel, tap]`."""
    reach = (size // 2 + 1) // 2
    phases = np.zeros((2, 2 * reach + 1, size), np.float32)
    for phase in range(2):
        for tap in range(size):
            large = phase + tap - size // 2
            if upsampling == "nearest" or large % 2 == 0:
                phases[phase, large // 2 + reach, tap] = 1
    return phases
