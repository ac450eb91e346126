"""SSIM of two images: the map over all windows, its mean and its three factors."""

import functools
from typing import NamedTuple

from jaxtyping import Array, Float

from ssimjax.ops.comparison import compare
from ssimjax.ops.compiled import compiled
from ssimjax.ops.images import Downsampling, Images, Mask
from ssimjax.ops.similarity import contrast, luminance, similarity, structure
from ssimjax.ops.windows import GAUSSIAN_11, Padding, Window


class Components(NamedTuple):
    """The three factors of SSIM under every window, `[*batch, *map, channels]` each.

    Attributes:
      luminance: l, in [-1, 1], [0, 1] for non-negative images.
      contrast: c, in (0, 1].
      structure: s, in [-1, 1].
    """

    luminance: Float[Array, "..."]
    contrast: Float[Array, "..."]
    structure: Float[Array, "..."]


@compiled
def ssim(
    x: Images,
    y: Images,
    *,
    data_range: float | None = None,
    mask: Mask | None = None,
    window: Window = GAUSSIAN_11,
    padding: Padding = "valid",
    crop: int = 0,
    sample_covariance: bool = False,
    k1: float = 0.01,
    k2: float = 0.03,
    exponents: tuple[float, float, float] = (1.0, 1.0, 1.0),
    downsample: Downsampling | None = None,
    luma: bool = False,
    spatial_axes: int = 2,
    check_range: bool = False,
) -> Float[Array, "*batch"]:
    """Mean SSIM of two images, over windows and channels.

        MSSIM = Σ W SSIM / Σ W

    with W = 1, or under a mask m the weight that each window sees, W = Σ w m.

    Args:
      x: images `[*batch, *spatial, channels]`, floats in [0, data_range] or integers.
      y: images of the same spatial axes and channels, both floats or both integers;
        batch axes broadcast with those of x.
      data_range: L, the largest possible pixel minus the smallest. Required for floats;
        integers take the range of their dtype if it is None.
      mask: weights >= 0 of the pixels, numbers or booleans, `[*batch, *spatial, 1 or
        channels]`. Pixels of weight 0 have no influence, even if they are NaN. A border
        of zeros has the largest weight of its image.
      window: weights of the local statistics: `gaussian_window`, `uniform_window`.
      padding: "valid" for whole windows alone, or one of "zero", "reflect", "symmetric"
        and "edge" for a map as large as the images; see `pad_to_same`.
      crop: pixels dropped from every side of the map.
      sample_covariance: whether variances and covariances are multiplied by
        P / (P - 1), P being the number of pixels of a window.
      k1: stabiliser of the luminance term relative to L, > 0.
      k2: stabiliser of the contrast and structure terms relative to L, > 0.
      exponents: (α, β, γ), each > 0; see `similarity`.
      downsample: None, or the rule by which images of 384 pixels and more are first
        made smaller: "matlab" (as the authors' `ssim.m`) or "average_pool".
      luma: whether RGB images are first converted to luma (BT.601).
      spatial_axes: number of spatial axes: 2 for images, 1 for signals, 3 for volumes.
      check_range: whether pixels outside [0, data_range] are an error, where their
        values are known: not under `jax.jit`.

    Returns:
      One similarity in [-1, 1] per image; 1 only for equal images. float32, or float64
      for float64 input. NaN under `jax.jit` where a mask is all zero.

    Raises:
      TypeError: if one image is integer and the other float, or either is neither, if
        the mask is complex, or `window` is no window.
      ValueError: if shapes do not fit, images are smaller than the window,
        `data_range` is missing for floats, a constant is not finite and > 0, or a mask
        is negative, NaN or all zero.

    Example:
      >>> import jax.numpy as jnp
      >>> image = jnp.linspace(0, 1, 16 * 16).reshape(16, 16, 1)
      >>> float(ssim(image, image, data_range=1.0))
      1.0

    References:
      Wang et al. 2004, Image quality assessment, Eq. 17.
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
        downsample=downsample,
        luma=luma,
        spatial_axes=spatial_axes,
        check_range=check_range,
    )
    return comparison.mean(functools.partial(similarity, exponents=exponents))


@compiled
def ssim_map(
    x: Images,
    y: Images,
    *,
    data_range: float | None = None,
    mask: Mask | None = None,
    window: Window = GAUSSIAN_11,
    padding: Padding = "valid",
    crop: int = 0,
    sample_covariance: bool = False,
    k1: float = 0.01,
    k2: float = 0.03,
    exponents: tuple[float, float, float] = (1.0, 1.0, 1.0),
    downsample: Downsampling | None = None,
    luma: bool = False,
    spatial_axes: int = 2,
    check_range: bool = False,
) -> Float[Array, "..."]:
    """SSIM under every window of two images, per channel.

        SSIM = l^α c^β s^γ,  c1 = (k1 L)², c2 = (k2 L)², c3 = c2 / 2

    Args:
      x: as in `ssim`.
      y: as in `ssim`.
      data_range: as in `ssim`.
      mask: as in `ssim`.
      window: as in `ssim`.
      padding: as in `ssim`.
      crop: as in `ssim`.
      sample_covariance: as in `ssim`.
      k1: as in `ssim`.
      k2: as in `ssim`.
      exponents: as in `ssim`.
      downsample: as in `ssim`.
      luma: as in `ssim`.
      spatial_axes: as in `ssim`.
      check_range: as in `ssim`.

    Returns:
      Similarities in [-1, 1], `[*batch, *map, channels]`; with "valid" padding the map
      is smaller than the images by the size of the window minus 1. 0 where a window
      sees no pixel of a mask.

    Raises:
      TypeError: as `ssim`.
      ValueError: as `ssim`.

    Example:
      >>> import jax.numpy as jnp
      >>> image = jnp.linspace(0, 1, 16 * 16).reshape(16, 16, 1)
      >>> ssim_map(image, image, data_range=1.0).shape
      (6, 6, 1)

    References:
      Wang et al. 2004, Image quality assessment, Eq. 12 and 13.
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
        downsample=downsample,
        luma=luma,
        spatial_axes=spatial_axes,
        check_range=check_range,
    )
    return comparison.map(functools.partial(similarity, exponents=exponents))


@compiled
def ssim_components(
    x: Images,
    y: Images,
    *,
    data_range: float | None = None,
    mask: Mask | None = None,
    window: Window = GAUSSIAN_11,
    padding: Padding = "valid",
    crop: int = 0,
    sample_covariance: bool = False,
    k1: float = 0.01,
    k2: float = 0.03,
    downsample: Downsampling | None = None,
    luma: bool = False,
    spatial_axes: int = 2,
    check_range: bool = False,
) -> Components:
    """Luminance, contrast and structure under every window of two images, per channel.

        SSIM = luminance · contrast · structure

    Args:
      x: as in `ssim`.
      y: as in `ssim`.
      data_range: as in `ssim`.
      mask: as in `ssim`.
      window: as in `ssim`.
      padding: as in `ssim`.
      crop: as in `ssim`.
      sample_covariance: as in `ssim`.
      k1: as in `ssim`.
      k2: as in `ssim`.
      downsample: as in `ssim`.
      luma: as in `ssim`.
      spatial_axes: as in `ssim`.
      check_range: as in `ssim`.

    Returns:
      The three maps, `[*batch, *map, channels]` each; 0 where a window sees no pixel of
      a mask.

    Raises:
      TypeError: as `ssim`.
      ValueError: as `ssim`.

    Example:
      >>> import jax.numpy as jnp
      >>> image = jnp.linspace(0, 1, 16 * 16).reshape(16, 16, 1)
      >>> maps = ssim_components(image, image / 2, data_range=1.0)
      >>> bool((maps.structure > maps.contrast).all())
      True

    References:
      Wang et al. 2004, Image quality assessment, Eq. 6, 9 and 10.
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
        downsample=downsample,
        luma=luma,
        spatial_axes=spatial_axes,
        check_range=check_range,
    )
    return Components(
        comparison.map(lambda moments, c1, c2: luminance(moments, c1)),
        comparison.map(lambda moments, c1, c2: contrast(moments, c2)),
        comparison.map(lambda moments, c1, c2: structure(moments, c2 / 2)),
    )
