"""What every metric of the family asks of its images before it looks at them."""

from typing import Literal, NamedTuple

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Integer

from ssimjax.ops.blocks import block_means
from ssimjax.ops.constants import check_constants

Images = Float[ArrayLike, "..."] | Integer[ArrayLike, "..."]
Mask = Float[ArrayLike, "..."] | Integer[ArrayLike, "..."] | Bool[ArrayLike, "..."]
Downsampling = Literal["matlab", "average_pool"]

# ITU-R BT.601 weights of red, green and blue in luma.
_BT601 = (0.299, 0.587, 0.114)


class Pair(NamedTuple):
    """Two images ready to be compared.

    Attributes:
      x: images `[*batch, *spatial, channels]`, float32 or float64.
      y: images of the same spatial axes and channels; batch axes broadcast with x.
      mask: weights >= 0 of the pixels, `[*batch, *spatial, 1 or channels]`, or None.
      data_range: largest possible pixel minus the smallest.
    """

    x: Float[Array, "..."]
    y: Float[Array, "..."]
    mask: Float[Array, "..."] | None
    data_range: float


def prepare(
    x: Images,
    y: Images,
    *,
    data_range: float | None,
    mask: Mask | None = None,
    luma: bool = False,
    downsample: Downsampling | None = None,
    spatial_axes: int = 2,
    check_range: bool = False,
) -> Pair:
    """Checks two images, and converts, reduces to luma and downsamples them.

    Args:
      x: images `[*batch, *spatial, channels]`, floats or integers.
      y: images of the same spatial axes and channels, both floats or both integers;
        leading axes broadcast with those of x.
      data_range: largest possible pixel minus the smallest. Required for floats;
        integers take the range of their dtype if it is None.
      mask: weights >= 0 of the pixels, `[*batch, *spatial, 1 or channels]`, or None.
      luma: whether to convert RGB to luma first.
      downsample: None, or the rule by which large images are first made smaller; see
        `downsampled`.
      spatial_axes: number of spatial axes, 1 to 3.
      check_range: whether pixels outside [0, data_range] are an error (where their
        values are known: not under `jax.jit`).

    Returns:
      The pair, in float32, or float64 if x or y is.

    Raises:
      TypeError: if one image is integer and the other float, or either is neither.
      ValueError: if shapes do not fit, `data_range` is missing for floats or not
        positive, or a mask has weights that are negative, NaN or all zero.

    Example:
      >>> image = jnp.zeros((4, 4, 1), jnp.uint8)
      >>> pair = prepare(image, image + 1, data_range=None)
      >>> pair.data_range, pair.x.dtype.name
      (255.0, 'float32')
    """
    x, y, data_range = _as_floats(x, y, data_range)
    if spatial_axes not in (1, 2, 3):
        raise ValueError(f"spatial_axes must be 1, 2 or 3, got {spatial_axes}")
    axes = spatial_axes + 1
    for name, image in (("x", x), ("y", y)):
        if image.ndim < axes:
            spatial = {1: "width", 2: "height, width", 3: "depth, height, width"}
            raise ValueError(
                f"{name} must have the axes [..., {spatial[spatial_axes]}, channels], "
                f"got shape {image.shape}"
            )
    if x.shape[-axes:] != y.shape[-axes:]:
        raise ValueError(
            "x and y must have one shape up to leading batch axes, "
            f"got {x.shape} and {y.shape}"
        )
    if 0 in x.shape[-axes:]:
        raise ValueError(f"x and y have an empty axis: shape {x.shape}")
    _check_broadcast("x and y", x.shape, y.shape, axes)
    if mask is not None:
        mask = _as_weights(mask, x, y, axes)
    if check_range:
        _check_range(x, y, mask, data_range)
    if luma:
        if mask is not None and mask.shape[-1] != 1:
            raise ValueError(
                f"mask must have one channel with luma=True, got shape {mask.shape}"
            )
        x, y = to_luma(x), to_luma(y)
    ranks = [image.ndim for image in (x, y, mask) if image is not None]
    x, y = _to_rank(x, max(ranks)), _to_rank(y, max(ranks))
    if mask is not None:
        mask = _to_rank(mask, max(ranks))
        # Masked pixels may hold anything, NaN included: they end here.
        x, y = jnp.where(mask > 0, x, 0.0), jnp.where(mask > 0, y, 0.0)
    if downsample is not None:
        factor = downsampling_factor(x.shape[-axes:-1], downsample)
        x, y, mask = _downsampled_pair(x, y, mask, factor, downsample, spatial_axes)
    return Pair(x, y, mask, data_range)


def to_luma(image: Float[ArrayLike, "*batch 3"]) -> Float[Array, "*batch 1"]:
    """Luma of RGB images.

        Y = 0.299 R + 0.587 G + 0.114 B

    Args:
      image: images `[..., 3]`, red, green and blue.

    Returns:
      Luma `[..., 1]`, in the unit and range of the input.

    Raises:
      ValueError: if there are not 3 channels.

    Example:
      >>> to_luma(jnp.ones((8, 8, 3))).shape
      (8, 8, 1)

    References:
      ITU-R BT.601 (also 601-2), used by Snell et al. 2017, Section 3.
    """
    image = jnp.asarray(image)
    if image.shape[-1] != 3:
        raise ValueError(f"luma needs 3 channels, got shape {image.shape}")
    red, green, blue = (image[..., i : i + 1] for i in range(3))
    return _BT601[0] * red + _BT601[1] * green + _BT601[2] * blue


def downsampling_factor(spatial: tuple[int, ...], rule: Downsampling) -> int:
    """By how much a rule makes images smaller before they are compared.

        f = max(1, round(min(spatial) / 256))

    Args:
      spatial: sizes of the spatial axes.
      rule: "matlab", which rounds halves up, or "average_pool", which rounds them to
        even, as Python does.

    Returns:
      The factor.

    Raises:
      ValueError: if there is no such rule.

    Example:
      >>> downsampling_factor((640, 700), "matlab")
      3
      >>> downsampling_factor((640, 700), "average_pool")
      2
    """
    if rule == "matlab":
        return max(1, (min(spatial) + 128) // 256)
    if rule == "average_pool":
        return max(1, round(min(spatial) / 256))
    raise ValueError(
        f"downsample must be 'matlab', 'average_pool' or None, got {rule!r}"
    )


def downsampled(
    image: Float[Array, "..."],
    factor: int,
    *,
    rule: Downsampling = "matlab",
    spatial_axes: int = 2,
) -> Float[Array, "..."]:
    """Means of blocks of `factor` pixels along each spatial axis.

    Args:
      image: images `[..., *spatial, channels]`.
      factor: f, pixels per block and axis, >= 1.
      rule: "matlab": a mean around every f-th pixel, beginning with the first, over
        symmetric borders (for even f: from f/2 - 1 pixels before to f/2 after it), so
        that a side of n becomes ceil(n / f). "average_pool": disjoint blocks; what is
        left over at the end is dropped, floor(n / f).
      spatial_axes: number of spatial axes.

    Returns:
      Smaller images.

    Example:
      >>> downsampled(jnp.arange(5.0)[:, None], 2, spatial_axes=1)[:, 0].tolist()
      [0.5, 2.5, 4.0]
    """
    axes = range(image.ndim - 1 - spatial_axes, image.ndim - 1)
    if rule == "matlab":
        margins = [(0, 0)] * image.ndim
        for axis in axes:
            before, after = (factor - 1) // 2, factor // 2
            # Up to the last pixel that a block reaches, and no further.
            last = (-(-image.shape[axis] // factor) - 1) * factor
            end = last + after - (image.shape[axis] - 1)
            margins[axis] = (before, max(end, 0))
        image = jnp.pad(image, margins, mode="symmetric")
    return block_means(image, factor, axes=axes)


def _downsampled_pair(x, y, mask, factor, rule, spatial_axes):
    """Downsamples images, as weighted means of the pixels that a mask lets through."""

    def down(image):
        return downsampled(image, factor, rule=rule, spatial_axes=spatial_axes)

    if factor == 1:
        return x, y, mask
    if mask is None:
        return down(x), down(y), None
    weight = down(mask)
    safe = jnp.where(weight > 0, weight, 1.0)
    return down(mask * x) / safe, down(mask * y) / safe, weight


def _as_floats(
    x: Images, y: Images, data_range: float | None
) -> tuple[Array, Array, float]:
    x, y = jnp.asarray(x), jnp.asarray(y)
    kinds = [
        next(
            (k for k in (jnp.floating, jnp.integer) if jnp.issubdtype(i.dtype, k)), None
        )
        for i in (x, y)
    ]
    if None in kinds or kinds[0] != kinds[1]:
        raise TypeError(
            f"x and y must be both floating-point or both integer, got {x.dtype} and "
            f"{y.dtype}"
        )
    if kinds[0] is jnp.integer:
        if x.dtype != y.dtype:
            raise TypeError(
                f"integer x and y must have one dtype, got {x.dtype} and {y.dtype}"
            )
        if data_range is None:
            info = jnp.iinfo(x.dtype)
            data_range = float(info.max) - float(info.min)
    if data_range is None:
        raise ValueError(
            "data_range is required for floating-point images: the largest possible "
            "pixel minus the smallest, for example 1.0 or 255.0"
        )
    check_constants(data_range=data_range)
    dtype = jnp.promote_types(jnp.promote_types(x.dtype, y.dtype), jnp.float32)
    return x.astype(dtype), y.astype(dtype), data_range


def _check_broadcast(
    names: str, a: tuple[int, ...], b: tuple[int, ...], axes: int
) -> tuple[int, ...]:
    try:
        return jnp.broadcast_shapes(a[:-axes], b[:-axes])
    except ValueError:
        raise ValueError(
            f"leading axes of {names} do not broadcast: shapes {a} and {b}"
        ) from None


def _to_rank(image: Array, rank: int) -> Array:
    return image.reshape((1,) * (rank - image.ndim) + image.shape)


def _check_range(x: Array, y: Array, mask: Array | None, data_range: float) -> None:
    for name, image in (("x", x), ("y", y)):
        if isinstance(image, jax.core.Tracer) or isinstance(mask, jax.core.Tracer):
            continue
        known = np.asarray(image)
        if mask is not None:
            known, seen = np.broadcast_arrays(known, np.asarray(mask) > 0)
            known = known[seen]
        if not known.size:
            continue
        low, high = float(known.min()), float(known.max())
        if not (low >= 0 and high <= data_range):
            raise ValueError(
                f"{name} must lie in [0, {data_range}], got values from {low} to {high}"
            )


def _as_weights(mask: Mask, x: Array, y: Array, axes: int) -> Array:
    weights = jnp.asarray(mask)
    if jnp.iscomplexobj(weights):
        raise TypeError(f"mask must hold numbers or booleans, got {weights.dtype}")
    spatial, channels = x.shape[-axes:-1], x.shape[-1]
    fits = weights.ndim >= axes and weights.shape[-axes:-1] == spatial
    if not fits or weights.shape[-1] not in (1, channels):
        raise ValueError(
            f"mask must have the shape [..., {', '.join(map(str, spatial))}, 1 or "
            f"{channels}] of the images, got {weights.shape}"
        )
    batch = _check_broadcast("x and y", x.shape, y.shape, axes)
    _check_broadcast(
        "mask and the images", weights.shape, batch + x.shape[-axes:], axes
    )
    if not isinstance(weights, jax.core.Tracer):
        # Of NumPy, since jax.numpy would be traced beside other arguments that are.
        known = np.asarray(weights)
        if not ((known >= 0) & np.isfinite(known)).all():
            raise ValueError(
                "mask must hold finite weights >= 0, got negative or infinite ones or "
                "NaN"
            )
        if not (known > 0).any(tuple(range(-axes, 0))).all():
            raise ValueError("mask is zero at every pixel of an image: nothing is left")
    weights = weights.astype(x.dtype)
    # Weights have no unit, but a border of zeros has the largest.
    largest = weights.max(tuple(range(-axes, 0)), keepdims=True)
    return weights / jnp.where(largest > 0, largest, 1.0)
