"""Distances of images made of SSIM: the map of patches and its norm."""

import math
from typing import Literal

from jaxtyping import Array, Float

from ssimjax.ops.comparison import Formula, compare
from ssimjax.ops.compiled import compiled
from ssimjax.ops.images import Images, Mask
from ssimjax.ops.pooling import mean_over_channels
from ssimjax.ops.powers import safe_sqrt
from ssimjax.ops.similarity import centred_squared_distance, squared_distance
from ssimjax.ops.windows import UNIFORM_7, Padding, Window

DistanceForm = Literal["uncentred", "centred"]
Norm = Literal["frobenius", "mean"]


@compiled
def ssim_distance_map(
    x: Images,
    y: Images,
    *,
    data_range: float | None = None,
    mask: Mask | None = None,
    form: DistanceForm = "uncentred",
    window: Window = UNIFORM_7,
    padding: Padding = "valid",
    crop: int = 0,
    sample_covariance: bool = True,
    k1: float = 0.01,
    k2: float = 0.03,
    luma: bool = False,
    spatial_axes: int = 2,
    check_range: bool = False,
) -> Float[Array, "..."]:
    """SSIM distance of every patch of two images, per channel.

        centred:    D' = √(1 - cs) = ‖x - y‖ / √(‖x‖² + ‖y‖² + c), patches centred
        uncentred:  D' = √(2 - l - cs)

    Args:
      x: as in `ssim`.
      y: as in `ssim`.
      data_range: as in `ssim`.
      mask: as in `ssim`.
      form: "centred" (Eq. 1) or "uncentred" (Eq. 2).
      window: as in `ssim`; uniform as in the paper, which does not state its size.
      padding: as in `ssim`.
      crop: as in `ssim`.
      sample_covariance: as in `ssim`; the paper's q - 1 by default.
      k1: as in `ssim`.
      k2: as in `ssim`.
      luma: as in `ssim`.
      spatial_axes: as in `ssim`.
      check_range: as in `ssim`.

    Returns:
      Distances in [0, √2] ("centred") or [0, 2], `[*batch, *map, channels]`; 0 with
      gradient 0 at equal patches, and where a window sees no pixel of a mask.

    Raises:
      TypeError: as `ssim`.
      ValueError: as `ssim`, or if there is no such form.

    Example:
      >>> import jax.numpy as jnp
      >>> image = jnp.linspace(0, 1, 16 * 16).reshape(16, 16, 1)
      >>> ssim_distance_map(image, image, data_range=1.0).shape
      (10, 10, 1)

    References:
      Ghojogh, Karray, Crowley 2020, Theoretical insights, Eq. 1 and 2. Brunet, Vrscay,
      Wang 2012, On the mathematical properties of the structural similarity index.
    """
    comparison = compare(
        x,
        y,
        data_range=data_range,
        mask=mask,
        window=window,
        padding=padding,
        crop=crop,
        sample_covariance=sample_covariance,
        k1=k1,
        k2=k2,
        downsample=None,
        luma=luma,
        spatial_axes=spatial_axes,
        check_range=check_range,
    )
    squares = squared_distances(form)
    return comparison.map(lambda *arguments: safe_sqrt(squares(*arguments)))


@compiled
def ssim_distance(
    x: Images,
    y: Images,
    *,
    data_range: float | None = None,
    mask: Mask | None = None,
    form: DistanceForm = "uncentred",
    norm: Norm = "frobenius",
    window: Window = UNIFORM_7,
    padding: Padding = "valid",
    crop: int = 0,
    sample_covariance: bool = True,
    k1: float = 0.01,
    k2: float = 0.03,
    luma: bool = False,
    spatial_axes: int = 2,
    check_range: bool = False,
) -> Float[Array, "*batch"]:
    """SSIM distance of two images: the norm of the map of their patches' distances.

        frobenius:  D = √(Σ W D'²)
        mean:       D = √(Σ W D'² / Σ W)

    over windows and channels, with W = 1, or under a mask the weight that a window
    sees, as a share of the image's largest weight.

    Args:
      x: as in `ssim`.
      y: as in `ssim`.
      data_range: as in `ssim`.
      mask: as in `ssim`.
      form: as in `ssim_distance_map`.
      norm: "frobenius", the paper's, which grows with the number of windows, or "mean".
      window: as in `ssim_distance_map`.
      padding: as in `ssim`.
      crop: as in `ssim`.
      sample_covariance: as in `ssim_distance_map`.
      k1: as in `ssim`.
      k2: as in `ssim`.
      luma: as in `ssim`.
      spatial_axes: as in `ssim`.
      check_range: as in `ssim`.

    Returns:
      One distance >= 0 per image; exactly 0 for equal images, where the gradient is 0,
      too. Squares are accurate to rounding.

    Raises:
      TypeError: as `ssim`.
      ValueError: as `ssim`, or if there is no such form or norm.

    Example:
      >>> import jax.numpy as jnp
      >>> image = jnp.linspace(0, 1, 16 * 16).reshape(16, 16, 1)
      >>> float(ssim_distance(image, image, data_range=1.0))
      0.0

    References:
      Ghojogh, Karray, Crowley 2020, Theoretical insights, Section 2.
    """
    squares = squared_ssim_distance(
        x,
        y,
        data_range=data_range,
        mask=mask,
        form=form,
        norm=norm,
        window=window,
        padding=padding,
        crop=crop,
        sample_covariance=sample_covariance,
        k1=k1,
        k2=k2,
        luma=luma,
        spatial_axes=spatial_axes,
        check_range=check_range,
    )
    return safe_sqrt(squares)


def squared_ssim_distance(
    x: Images,
    y: Images,
    *,
    data_range: float | None,
    mask: Mask | None,
    form: DistanceForm,
    norm: Norm,
    window: Window,
    padding: Padding,
    crop: int,
    sample_covariance: bool,
    k1: float,
    k2: float,
    luma: bool,
    spatial_axes: int,
    check_range: bool,
) -> Float[Array, "*batch"]:
    """The square of `ssim_distance`, smooth at 0; the arguments are the same."""
    if norm not in ("frobenius", "mean"):
        raise ValueError(f"norm must be 'frobenius' or 'mean', got {norm!r}")
    comparison = compare(
        x,
        y,
        data_range=data_range,
        mask=mask,
        window=window,
        padding=padding,
        crop=crop,
        sample_covariance=sample_covariance,
        k1=k1,
        k2=k2,
        downsample=None,
        luma=luma,
        spatial_axes=spatial_axes,
        check_range=check_range,
    )
    means, weights = comparison.channel_means(squared_distances(form))
    if norm == "mean":
        return mean_over_channels(means, weights)
    windows = math.prod(comparison.moments.mean_x.shape[-1 - spatial_axes : -1])
    return windows * (means if weights is None else means * weights).sum(-1)


def squared_distances(form: DistanceForm) -> Formula:
    """The formula D'² of a form; see `ssim_distance_map`."""
    if form == "centred":
        return lambda moments, c1, c2: centred_squared_distance(moments, c2)
    if form == "uncentred":
        return squared_distance
    raise ValueError(f"form must be 'uncentred' or 'centred', got {form!r}")
