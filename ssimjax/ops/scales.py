"""A pyramid of resolutions: pairs of images, each half as large as the one before."""

from collections.abc import Sequence
from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Float

from ssimjax.ops.blocks import block_means
from ssimjax.ops.comparison import Comparison, compare_pair
from ssimjax.ops.images import Images, Mask, Pair, prepare
from ssimjax.ops.windows import Padding, Window, check_window, pad_with_edge

OddSizes = Literal["symmetric", "zero", "replicate", "drop"]


def compare_scales(
    x: Images,
    y: Images,
    *,
    data_range: float | None,
    mask: Mask | None,
    weights: Sequence[float],
    window: Window,
    padding: Padding,
    last_padding: Padding | None,
    sample_covariance: bool,
    k1: float,
    k2: float,
    odd_sizes: OddSizes,
    luma: bool,
    spatial_axes: int,
    check_range: bool,
) -> list[Comparison]:
    """Moments at every scale of a pyramid; the arguments are those of `ms_ssim`."""
    if not weights or not all(value >= 0 for value in weights):
        raise ValueError(f"weights must be one number >= 0 per scale, got {weights}")
    if odd_sizes not in _ODD_MARGINS:
        raise ValueError(
            f"odd_sizes must be one of {tuple(_ODD_MARGINS)}, got {odd_sizes!r}"
        )
    check_window(window)
    pair = prepare(
        x,
        y,
        data_range=data_range,
        mask=mask,
        luma=luma,
        spatial_axes=spatial_axes,
        check_range=check_range,
    )
    paddings: list[Padding] = [padding] * len(weights)
    if last_padding is not None:
        paddings[-1] = last_padding
    _check_scales(
        pair.x.shape[-1 - spatial_axes : -1],
        window.sizes(spatial_axes),
        whole=[border == "valid" for border in paddings],
        odd_sizes=odd_sizes,
    )
    scales = []
    for scale, border in enumerate(paddings):
        if scale > 0:
            pair = halved(pair, odd_sizes=odd_sizes, spatial_axes=spatial_axes)
        comparison = compare_pair(
            pair,
            window,
            padding=border,
            crop=0,
            sample_covariance=sample_covariance,
            k1=k1,
            k2=k2,
            spatial_axes=spatial_axes,
        )
        scales.append(comparison)
    return scales


def halved(
    pair: Pair, *, odd_sizes: OddSizes = "symmetric", spatial_axes: int = 2
) -> Pair:
    """The next scale of a pair: means of 2 pixels along each spatial axis, step 2.

    Args:
      pair: images and their mask.
      odd_sizes: see `ms_ssim`.
      spatial_axes: number of spatial axes, 1 to 3.

    Returns:
      The smaller pair; under a mask, means weighted by it.
    """

    def half(image: Float[Array, "..."], fill: float = 0.0) -> Float[Array, "..."]:
        axes = range(image.ndim - 1 - spatial_axes, image.ndim - 1)
        odd = [axis for axis in axes if image.shape[axis] % 2]
        margins = [(0, 0)] * image.ndim
        for axis in axes if odd and odd_sizes == "replicate" else odd:
            margins[axis] = _ODD_MARGINS[odd_sizes]
        if odd_sizes == "zero":
            image = jnp.pad(image, margins, constant_values=fill)
        else:
            image = pad_with_edge(image, margins)
        return block_means(image, 2, axes=axes)

    if pair.mask is None:
        return pair._replace(x=half(pair.x), y=half(pair.y))
    weight = half(pair.mask, fill=1.0)
    safe = jnp.where(weight > 0, weight, 1.0)
    return pair._replace(
        x=half(pair.mask * pair.x) / safe,
        y=half(pair.mask * pair.y) / safe,
        mask=weight,
    )


# Pixels added before and after an odd side.
_ODD_MARGINS = {
    "symmetric": (0, 1),
    "zero": (1, 1),
    "replicate": (1, 0),
    "drop": (0, 0),
}


def _check_scales(
    sides: tuple[int, ...],
    window: tuple[int, ...],
    *,
    whole: Sequence[bool],
    odd_sizes: OddSizes,
) -> None:
    """Raises unless each scale has a pixel, and a whole window where it needs one."""
    now = sides
    for fit, needs_window in enumerate(whole):
        least = window if needs_window else (1,) * len(sides)
        if any(side < size for side, size in zip(now, least)):
            reason = f"with odd_sizes={odd_sizes!r}"
            remedy = "or another odd_sizes"
            if needs_window:
                reason = f"under a window of {'x'.join(map(str, window))}"
                remedy = "a smaller window or a padding, or see ms_ssim_map"
            raise ValueError(
                f"{len(whole)} scales are too many for images of "
                f"{'x'.join(map(str, sides))} pixels {reason}: {fit} fit. Give fewer "
                f"weights, {remedy}"
            )
        margins = [sum(_ODD_MARGINS[odd_sizes]) * (side % 2) for side in now]
        if odd_sizes == "replicate":
            margins = [max(margins)] * len(now)
        now = tuple((side + margin) // 2 for side, margin in zip(now, margins))
