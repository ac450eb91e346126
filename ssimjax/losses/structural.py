"""Losses of the SSIM family, from dissimilarities that keep their digits near 0."""

import functools
from collections.abc import Sequence

from jaxtyping import Array, Float

from ssimjax.losses.registry import loss
from ssimjax.ops import distance as distances
from ssimjax.ops.comparison import compare, mean_of_levels
from ssimjax.ops.compiled import compiled
from ssimjax.ops.dissimilarity import dissimilarities, dissimilarity
from ssimjax.ops.images import Images, Mask
from ssimjax.ops.level_weighted import LW_SSIM_WINDOWS, compare_levels
from ssimjax.ops.moments import Moments
from ssimjax.ops.powers import safe_sqrt
from ssimjax.ops.windows import GAUSSIAN_11, UNIFORM_7, Padding, Window

_PLAIN = (1.0, 1.0, 1.0)


@loss
@compiled
def ssim(
    prediction: Images,
    target: Images,
    *,
    data_range: float | None = None,
    mask: Mask | None = None,
    window: Window = GAUSSIAN_11,
    padding: Padding = "valid",
    sample_covariance: bool = False,
    k1: float = 0.01,
    k2: float = 0.03,
    exponents: tuple[float, float, float] = _PLAIN,
    luma: bool = False,
    spatial_axes: int = 2,
) -> Float[Array, "*batch"]:
    """Mean structural dissimilarity.

        mean(1 - SSIM),  computed as d1 + d2 - d1 d2

    Args:
      prediction: images `[*batch, *spatial, channels]`.
      target: images of the same spatial axes and channels.
      data_range: as in `ssimjax.ops.ssim`.
      mask: as in `ssimjax.ops.ssim`.
      window: as in `ssimjax.ops.ssim`.
      padding: as in `ssimjax.ops.ssim`.
      sample_covariance: as in `ssimjax.ops.ssim`.
      k1: as in `ssimjax.ops.ssim`.
      k2: as in `ssimjax.ops.ssim`.
      exponents: as in `ssimjax.ops.ssim`.
      luma: as in `ssimjax.ops.ssim`.
      spatial_axes: as in `ssimjax.ops.ssim`.

    Returns:
      One number in [0, 2] per image.

    Raises:
      TypeError: as `ssimjax.ops.ssim`.
      ValueError: as `ssimjax.ops.ssim`.

    Example:
      >>> import jax.numpy as jnp
      >>> float(ssim(jnp.ones((16, 16, 1)), jnp.ones((16, 16, 1)), data_range=1.0))
      0.0

    References:
      Wang et al. 2004, Image quality assessment, Eq. 13.
    """
    comparison = compare(
        prediction,
        target,
        data_range=data_range,
        mask=mask,
        window=window,
        padding=padding,
        crop=0,
        sample_covariance=sample_covariance,
        k1=k1,
        k2=k2,
        downsample=None,
        luma=luma,
        spatial_axes=spatial_axes,
        check_range=False,
    )
    return comparison.mean(functools.partial(dissimilarity, exponents=exponents))


@loss
@compiled
def lw_ssim(
    prediction: Images,
    target: Images,
    *,
    data_range: float | None = None,
    mask: Mask | None = None,
    windows: Sequence[Window] = LW_SSIM_WINDOWS,
    weights: Sequence[float] | None = None,
    padding: Padding = "valid",
    sample_covariance: bool = False,
    k1: float = 0.01,
    k2: float = 0.03,
    exponents: tuple[float, float, float] = _PLAIN,
    luma: bool = False,
    spatial_axes: int = 2,
) -> Float[Array, "*batch"]:
    """Level-weighted SSIM below its maximum.

        (2/I) Σ_i λ_i - LWSSIM = (1/I) Σ_i λ_i mean(d1 + d2)

    Args:
      prediction: images `[*batch, *spatial, channels]`.
      target: images of the same spatial axes and channels.
      data_range: as in `ssimjax.ops.ssim`.
      mask: as in `ssimjax.ops.ssim`.
      windows: as in `ssimjax.ops.lw_ssim`.
      weights: as in `ssimjax.ops.lw_ssim`.
      padding: as in `ssimjax.ops.ssim`.
      sample_covariance: as in `ssimjax.ops.ssim`.
      k1: as in `ssimjax.ops.ssim`.
      k2: as in `ssimjax.ops.ssim`.
      exponents: as in `ssimjax.ops.lw_ssim`.
      luma: as in `ssimjax.ops.ssim`.
      spatial_axes: as in `ssimjax.ops.ssim`.

    Returns:
      One number >= 0 per image.

    Raises:
      TypeError: as `ssimjax.ops.lw_ssim`.
      ValueError: as `ssimjax.ops.lw_ssim`.

    Example:
      >>> import jax.numpy as jnp
      >>> float(lw_ssim(jnp.ones((16, 16, 1)), jnp.ones((16, 16, 1)), data_range=1.0))
      0.0

    References:
      Lu 2019, The level weighted structural similarity loss, Eq. 5 and 6.
    """
    levels = compare_levels(
        prediction,
        target,
        data_range=data_range,
        mask=mask,
        windows=windows,
        weights=weights,
        padding=padding,
        sample_covariance=sample_covariance,
        k1=k1,
        k2=k2,
        luma=luma,
        spatial_axes=spatial_axes,
        check_range=False,
    )

    def values(moments: Moments, c1: float, c2: float) -> Array:
        d1, d2 = dissimilarities(moments, c1, c2, exponents=exponents)
        return d1 + d2

    return mean_of_levels(levels, values)


@loss
@compiled
def ssim_distance(
    prediction: Images,
    target: Images,
    *,
    data_range: float | None = None,
    mask: Mask | None = None,
    form: distances.DistanceForm = "uncentred",
    norm: distances.Norm = "mean",
    squared: bool = True,
    window: Window = UNIFORM_7,
    padding: Padding = "valid",
    sample_covariance: bool = True,
    k1: float = 0.01,
    k2: float = 0.03,
    luma: bool = False,
    spatial_axes: int = 2,
) -> Float[Array, "*batch"]:
    """SSIM distance, squared by default.

        ‖x - y‖_S²

    Args:
      prediction: images `[*batch, *spatial, channels]`.
      target: images of the same spatial axes and channels.
      data_range: as in `ssimjax.ops.ssim`.
      mask: as in `ssimjax.ops.ssim`.
      form: as in `ssimjax.ops.ssim_distance`.
      norm: as in `ssimjax.ops.ssim_distance`; by default the mean over windows.
      squared: whether to square the distance, which is smooth at perfection.
      window: as in `ssimjax.ops.ssim_distance`.
      padding: as in `ssimjax.ops.ssim`.
      sample_covariance: as in `ssimjax.ops.ssim_distance`.
      k1: as in `ssimjax.ops.ssim`.
      k2: as in `ssimjax.ops.ssim`.
      luma: as in `ssimjax.ops.ssim`.
      spatial_axes: as in `ssimjax.ops.ssim`.

    Returns:
      One number >= 0 per image.

    Raises:
      TypeError: as `ssimjax.ops.ssim_distance`.
      ValueError: as `ssimjax.ops.ssim_distance`.

    Example:
      >>> import jax.numpy as jnp
      >>> image = jnp.ones((16, 16, 1))
      >>> float(ssim_distance(image, image, data_range=1.0))
      0.0

    References:
      Ghojogh, Karray, Crowley 2020, Theoretical insights, Eq. 1 and 2.
    """
    squares = distances.squared_ssim_distance(
        prediction,
        target,
        data_range=data_range,
        mask=mask,
        form=form,
        norm=norm,
        window=window,
        padding=padding,
        crop=0,
        sample_covariance=sample_covariance,
        k1=k1,
        k2=k2,
        luma=luma,
        spatial_axes=spatial_axes,
        check_range=False,
    )
    return squares if squared else safe_sqrt(squares)
