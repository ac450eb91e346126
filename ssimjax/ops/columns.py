"""Means of maps and their gradients on a GPU, column by column.

On a GPU, too, the time goes into memory: every map that a formula is made of is as
large as the images. Here each thread walks down a column of windows. It keeps the sums
that lack some rows in registers and finishes a window per step, so that nothing but the
images is read and nothing but sums of the map is written. A gradient takes a second
walk, over the derivatives by the moments, which the first then leaves behind.

The kernels are written in Pallas, for Triton. Masks, signals, volumes, other numbers
than float32 and batches on several devices are left to XLA, whose programs compute the
same.
"""

import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ssimjax.ops import column_kernels, column_walks
from ssimjax.ops.map_means import (
    Arrays,
    ImageMap,
    MeansAndGradients,
    WindowFormula,
    WindowMap,
    means_with_gradients,
)
from ssimjax.ops.moments import Moments

# More rows of sums do not fit into registers.
_MOST_TAPS = 16
# CUDA's limit along the third axis of a grid.
_MOST_IMAGES = 2**16 - 1


def fit(
    maps: Sequence[WindowMap], x: Float[Array, "..."], y: Float[Array, "..."]
) -> bool:
    """Whether means of these maps are computed here.

    Args:
      maps: what is computed of windows of x and y.
      x: images `[*batch, *spatial, channels]`.
      y: images.

    Returns:
      True for float32 images of one shape on one GPU of NVIDIA, small windows, and
      formulas that do without the variances of each image alone.
    """
    return (
        column_walks.triton is not None
        and _on_cuda()
        # A kernel would gather a batch that several devices share.
        and jax.device_count() == 1
        and x.shape == y.shape
        and x.dtype == y.dtype == jnp.float32
        and 0 < x.size < 2**30
        and math.prod(x.shape[:-3]) <= _MOST_IMAGES
        and all(
            len(m.taps) == 2
            and max(map(len, m.taps)) <= _MOST_TAPS
            and not _needs_each_variance(m.formula)
            for m in maps
        )
    )


def _on_cuda() -> bool:
    return (
        jax.default_backend() == "gpu"
        and "cuda" in jax.devices()[0].client.platform_version
    )


def _needs_each_variance(formula: WindowFormula) -> bool:
    numbers = [jnp.zeros(())] * len(Moments._fields)
    program = jax.make_jaxpr(lambda *of: formula(Moments(*of)))(*numbers).jaxpr
    given = dict(zip(Moments._fields, program.invars, strict=True))
    return any(
        variable is given[name]
        for equation in program.eqns
        for variable in equation.invars
        for name in ("var_x", "var_y")
    )


def column_means(
    window_maps: Sequence[WindowMap],
    image_maps: Sequence[ImageMap],
    images: tuple[Float[Array, "..."], Float[Array, "..."]],
    constants: Sequence[Float[Array, "..."]],
    *,
    weights: Sequence[float],
    interpret: bool = False,
) -> Float[Array, "*batch c"]:
    """Weighted sum of the means of several maps over their windows, per channel.

        Σ_i weights_i · mean of map i

    Args:
      window_maps: what is computed of windows.
      image_maps: the same maps as functions of the pair of images and the constants,
        for derivatives of higher order.
      images: x and y, `[*batch, height, width, channels]` in float32.
      constants: further arguments of the image maps.
      weights: of the maps.
      interpret: whether JAX shall run the kernels itself, on whatever device.

    Returns:
      Sums of means, with derivatives of any order in both images.

    Example:
      >>> x = jnp.ones((4, 6, 1))
      >>> column_means(
      ...     [WindowMap(lambda moments: moments.mean_x, ((0.5, 0.5),) * 2, 1.0)],
      ...     [lambda x, y: x],
      ...     (x, x),
      ...     (),
      ...     weights=[2.0],
      ...     interpret=True,
      ... ).tolist()
      [2.0]
    """

    def fast(wanted: tuple[int, ...], arguments: Arrays) -> MeansAndGradients:
        x, y = arguments[:2]
        found = [
            column_kernels.means_and_gradients(
                window_map, (x, y), wanted, weight=weight, interpret=interpret
            )
            for window_map, weight in zip(window_maps, weights, strict=True)
        ]
        return jax.tree.map(lambda *parts: functools.reduce(jnp.add, parts), *found)

    return means_with_gradients(
        fast, image_maps, (*images, *constants), weights=weights, spatial_axes=2
    )
