"""SSIM pooled by how much information each place of an image carries: IW-SSIM."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ssimjax.ops.compiled import compiled
from ssimjax.ops.constants import check_constants
from ssimjax.ops.dissimilarity import contrast_structure_dissimilarity, dissimilarity
from ssimjax.ops.images import Images, prepare
from ssimjax.ops.moments import image_moments
from ssimjax.ops.multiscale import MS_SSIM_WEIGHTS
from ssimjax.ops.windows import GAUSSIAN_11, Window, local_mean, uniform_window

# The stabilisers and the noise variance of the paper are stated for this data range.
_RANGE = 255.0
_BINOMIAL_5 = Window((0.0625, 0.25, 0.375, 0.25, 0.0625))


@compiled
def iw_ssim(
    x: Images,
    y: Images,
    *,
    data_range: float | None = None,
    window: Window = GAUSSIAN_11,
    k1: float = 0.01,
    k2: float = 0.03,
    weights: Sequence[float] = MS_SSIM_WEIGHTS,
    parent: bool = True,
    block_size: int = 3,
    noise_variance: float = 0.4,
    check_range: bool = False,
) -> Float[Array, "*batch"]:
    """Multi-scale SSIM, pooled by local information content (IW-SSIM).

        IW-SSIM = Π_j S_j^β_j,    β = weights / Σ weights
        S_j = Σ w_j cs_j / Σ w_j  for a band j of the Laplacian pyramid
        S_M = mean of l · cs      for its low-pass residual
        w = Σ_k log2(1 + v / σ² + (v + (1 + g²) σ²) s λ_k / σ⁴)

    In a block of a band, x = g y + noise of variance v, and s λ_k are the variances of
    y along its principal directions: λ_k are the eigenvalues of the covariance C of all
    neighbourhoods u (a block, and the pixel of the next coarser band at its centre),
    s = uᵀ C⁻¹ u / N scales them to the place. σ² is the variance of the visual noise.
    w is the information, in bits, that vision shares with both images.

    The measure is not symmetric: w models y, usually the pristine image, and explains x
    by it. Images of three channels are taken as RGB and compared by their BT.601 luma
    0.299 R + 0.587 G + 0.114 B. A pooled S_j < 0, as between an image and its negative,
    counts as 0 and passes no gradient on. (The authors' code returns a complex number
    there, and others take |S_j|.)

    Args:
      x: images `[*batch, h, w, 1 or 3]`, floats in [0, data_range] or integers.
      y: images of the same size and channels, both floats or both integers; batch axes
        broadcast with those of x.
      data_range: L, the largest possible pixel minus the smallest. Required for floats;
        integers take the range of their dtype if it is None.
      window: weights of the local statistics in l and cs; of odd size, no smaller than
        a block.
      k1: stabiliser of the luminance term relative to L, > 0.
      k2: stabiliser of the contrast and structure terms relative to L, > 0.
      weights: one exponent > 0 per scale, finest first; divided by their sum. The
        number of weights is the number of scales.
      parent: whether neighbourhoods include the next coarser band, where there is one.
      block_size: pixels along each side of a block, odd and >= 3.
      noise_variance: σ², in squared units of L / 255, > 0.
      check_range: as in `ssim`.

    Returns:
      One similarity in [0, 1] per image, float32, or float64 for float64 input; 1 only
      for images of one luma. Where both are flat, w is constant.

    Raises:
      TypeError: as `ssim`.
      ValueError: as `ssim`, or if there are other than 1 or 3 channels, the images are
        too small for so many scales, or a parameter is out of its range.

    Example:
      >>> image = jnp.linspace(0, 1, 24 * 24).reshape(24, 24, 1)
      >>> value = iw_ssim(image**2, image, data_range=1.0, weights=(0.5, 0.5))
      >>> bool(0 < value < 1)
      True

    References:
      Wang and Li 2011, Information content weighting for perceptual image quality
      assessment, IEEE Transactions on Image Processing 20(5). Constants and boundaries
      are those of the authors' MATLAB code. Burt and Adelson 1983, The Laplacian
      pyramid.
    """
    _check_parameters(window, k1, k2, weights, block_size, noise_variance)
    images = _luma_pair(x, y, data_range, check_range)
    _check_size(images.shape[-3:-1], window, len(weights))

    # The bands do not depend on a constant that both images lose, and keep more digits
    # without it. The residual gets it back.
    axes = (-3, -2, -1)
    centre = jax.lax.stop_gradient(images.mean((0, *axes), keepdims=True))
    bands, residual = _laplacian_pyramid(images - centre, len(weights))
    residual = residual + centre * 2 ** len(bands)

    c1, c2 = (k1 * _RANGE) ** 2, (k2 * _RANGE) ** 2
    pooled = []
    for scale, band in enumerate(bands):
        coarser = bands[scale + 1][1] if parent and scale + 1 < len(bands) else None
        moments = image_moments(band[0], band[1], window)
        errors = contrast_structure_dissimilarity(moments, c2)
        bits = _information(band[0], band[1], coarser, block_size, noise_variance)
        bits = _inner(bits, errors.shape[-3], errors.shape[-2])
        # A weighted mean of ones would round to either side of 1.
        pooled.append(1 - (bits * errors).sum(axes) / bits.sum(axes))
    moments = image_moments(residual[0], residual[1], window)
    pooled.append(1 - dissimilarity(moments, c1, c2).mean(axes))

    exponents = np.asarray(weights, float) / math.fsum(weights)
    return math.prod(
        (_power(base, float(beta)) for base, beta in zip(pooled, exponents)),
        start=jnp.ones_like(pooled[0]),
    )


def _check_parameters(window, k1, k2, weights, block_size, noise_variance):
    check_constants(k1=k1, k2=k2, noise_variance=noise_variance)
    if len(weights) == 0 or not all(value > 0 for value in weights):
        raise ValueError(
            f"weights must be one number > 0 per scale, got {tuple(weights)}"
        )
    if block_size < 3 or block_size % 2 == 0:
        raise ValueError(f"block_size must be odd and >= 3 pixels, got {block_size}")
    if not all(size % 2 and size >= block_size for size in window.sizes(2)):
        raise ValueError(
            f"window must be of odd size, no smaller than block_size={block_size}, so "
            f"that both share a centre; got a window of {_by(window.sizes(2))}"
        )


def _check_size(sides: tuple[int, ...], window: Window, scales: int):
    sizes = window.sizes(2)
    fit, coarse = 0, sides
    while all(side >= size for side, size in zip(coarse, sizes)):
        fit, coarse = fit + 1, tuple(math.ceil(side / 2) for side in coarse)
    if fit < scales:
        least = tuple((size - 1) * 2 ** (scales - 1) + 1 for size in sizes)
        raise ValueError(
            f"images of {_by(sides)} pixels are too small for {scales} scales of a "
            f"window of {_by(sizes)}, which take {_by(least)}; {fit} would fit: pass "
            f"fewer weights or a smaller window"
        )


def _by(sides: tuple[int, ...]) -> str:
    return "x".join(map(str, sides))


def _luma_pair(
    x: Images, y: Images, data_range: float | None, check_range: bool
) -> Float[Array, "2 *batch h w 1"]:
    """Both images as luma of range 255, in float32 or float64."""
    pair = prepare(
        x,
        y,
        data_range=data_range,
        luma=jnp.shape(x)[-1:] == (3,),
        check_range=check_range,
    )
    if pair.x.shape[-1] != 1:
        raise ValueError(
            f"x and y must have 1 channel or 3 (RGB), got shape {pair.x.shape}"
        )
    images = jnp.broadcast_arrays(pair.x, pair.y)
    return jnp.stack(images) * (_RANGE / pair.data_range)


def _laplacian_pyramid(
    image: Float[Array, "*batch h w 1"], scales: int
) -> tuple[list[Float[Array, "..."]], Float[Array, "..."]]:
    """The band-pass images, finest first, and the low-pass residual (Burt and Adelson).

    Filters of sum 2 along both axes together, as in the authors' pyramid, double the
    brightness of the residual at every scale, and the bands' contrast with it.
    """
    bands = []
    for _ in range(scales - 1):
        coarse = 2 * _blur(image)[..., ::2, ::2, :]
        height, width = image.shape[-3:-1]
        # Zeros between the pixels, up to the size of the image.
        spread = [(0, (height + 1) % 2, 1), (0, (width + 1) % 2, 1), (0, 0, 0)]
        spread = [(0, 0, 0)] * (image.ndim - 3) + spread
        spaced = jax.lax.pad(coarse, jnp.zeros((), image.dtype), spread)
        bands.append(image - 2 * _blur(spaced))
        image = coarse
    return bands, image


def _blur(image: Float[Array, "*batch h w 1"]) -> Float[Array, "*batch h w 1"]:
    margins = [(0, 0)] * (image.ndim - 3) + [(2, 2), (2, 2), (0, 0)]
    return local_mean(jnp.pad(image, margins, mode="reflect"), _BINOMIAL_5)


def _information(
    x: Float[Array, "*batch h w 1"],
    y: Float[Array, "*batch h w 1"],
    coarser: Float[Array, "*batch half_h half_w 1"] | None,
    block_size: int,
    noise: float,
) -> Float[Array, "*batch out_h out_w 1"]:
    """Bits that vision shares with a band of both images, around every whole block."""
    epsilon = float(jnp.finfo(x.dtype).eps)
    moments = image_moments(x, y, uniform_window(block_size))
    varies = (moments.var_x > epsilon) & (moments.var_y > epsilon)
    gain = jnp.where(varies, moments.cov_xy, 0)
    gain = gain / (jnp.maximum(moments.var_y, 0) + epsilon)
    unexplained = jnp.maximum(moments.var_x - gain * moments.cov_xy, 0)

    height, width = gain.shape[-3:-1]
    neighbours = [
        y[..., row : row + height, column : column + width, 0]
        for row in range(block_size)
        for column in range(block_size)
    ]
    if coarser is not None:
        parents, half = _enlarged(coarser[..., 0]), block_size // 2
        neighbours.append(parents[..., half : half + height, half : half + width])
    places = height * width
    flat = (*gain.shape[:-3], 1, places)
    neighbours = jnp.concatenate([n.reshape(flat) for n in neighbours], -2)
    scale, values, coupling = _mixture(neighbours, epsilon * noise)

    gain, unexplained = gain.reshape(flat), unexplained.reshape(flat)
    constant = 1 + unexplained / noise
    slope = (unexplained + (1 + gain**2) * noise) * scale / noise**2
    terms = constant + slope * values
    rates = slope / terms
    # log det(D + E) to second order in E, which has no diagonal and is 0 here: it has
    # the derivatives that the turning of the eigenvectors contributes.
    turning = jnp.einsum(
        "...ip,...ij,...jp->...p",
        rates,
        coupling**2,
        rates,
        precision=jax.lax.Precision.HIGHEST,
    )
    bits = (jnp.log(terms).sum(-2) - turning / 2) / math.log(2)
    # Less than rounding where there is content, and a constant weight where none is.
    return bits.reshape(moments.mean_x.shape) + epsilon


def _inner(
    map_: Float[Array, "*batch h w 1"], height: int, width: int
) -> Float[Array, "*batch inner_h inner_w 1"]:
    """What is left of a map of blocks around the centres of larger windows."""
    top, left = (map_.shape[-3] - height) // 2, (map_.shape[-2] - width) // 2
    return map_[..., top : top + height, left : left + width, :]


def _mixture(
    neighbours: Float[Array, "*batch n places"], least: float
) -> tuple[
    Float[Array, "*batch 1 places"],
    Float[Array, "*batch n 1"],
    Float[Array, "*batch n n"],
]:
    """Gaussian scale mixture: local scales s and eigenvalues of the covariance.

    The derivatives of eigenvectors are infinite where eigenvalues coincide, so the
    covariance is diagonalised by constant eigenvectors. What they leave beside the
    diagonal is returned too: 0, but with derivatives.
    """
    size, places = neighbours.shape[-2:]
    precision = jax.lax.Precision.HIGHEST
    covariance = (
        jnp.einsum("...ip,...jp->...ij", neighbours, neighbours, precision=precision)
        / places
    )
    values, vectors = jnp.linalg.eigh(jax.lax.stop_gradient(covariance))
    # The smallest eigenvalue that rounding leaves positive; nothing is added to a
    # covariance whose eigenvalues all lie above.
    epsilon = float(jnp.finfo(neighbours.dtype).eps)
    floor = size * (epsilon * values.sum(-1) + least)
    ridge = jnp.maximum(floor - values[..., 0], 0)[..., None, None]
    identity = jnp.broadcast_to(jnp.eye(size, dtype=values.dtype), covariance.shape)
    covariance = covariance + ridge * identity

    root = jnp.linalg.cholesky(covariance)
    whitening = jax.lax.linalg.triangular_solve(
        root, identity, left_side=True, lower=True
    )
    white = jnp.einsum("...ij,...jp->...ip", whitening, neighbours, precision=precision)
    scale = (white**2).mean(-2, keepdims=True)
    turned = jnp.einsum(
        "...ki,...kl,...lj->...ij", vectors, covariance, vectors, precision=precision
    )
    values = jnp.diagonal(turned, axis1=-2, axis2=-1)[..., None]
    coupling = (turned - jax.lax.stop_gradient(turned)) * (1 - identity)
    return scale, values, coupling


def _enlarged(
    image: Float[Array, "*batch h w"],
) -> Float[Array, "*batch double_h double_w"]:
    for _ in range(2):
        image = _with_twice_the_rows(image).swapaxes(-2, -1)
    return image


def _with_twice_the_rows(
    image: Float[Array, "*batch n k"],
) -> Float[Array, "*batch double_n k"]:
    """Bilinear interpolation at 4n - 3 rows, of which every other is kept.

    The authors continue it by a row before and a row after. No whole block has its
    centre there, so here they only repeat the row beside them.
    """
    rows = image.shape[-2]
    samples = 4 * rows - 3
    kept = (2 * np.arange(2 * rows) - 1).clip(0, samples - 1)
    positions = ((kept + 0.5) * rows / samples - 0.5).clip(0, rows - 1)
    # A pair of output rows 2i and 2i + 1 lies among the rows i - 1, i and i + 1.
    sources = np.arange(2 * rows)[:, None] // 2 + np.array([-1, 0, 1])
    taps = np.maximum(1 - abs(positions[:, None] - sources), 0).reshape(rows, 2, 3, 1)
    taps = jnp.asarray(taps, image.dtype)
    padded = jnp.pad(image, [(0, 0)] * (image.ndim - 2) + [(1, 1), (0, 0)])
    spans = [padded[..., i : i + rows, None, :] for i in range(3)]
    lead = (1,) * (image.ndim - 2)
    pairs = sum(
        taps[:, :, i].reshape(*lead, rows, 2, 1) * span for i, span in enumerate(spans)
    )
    return jnp.reshape(pairs, (*image.shape[:-2], 2 * rows, image.shape[-1]))


def _power(base: Float[Array, "..."], exponent: float) -> Float[Array, "..."]:
    """max(base, 0) ** exponent, 0 < exponent <= 1, with finite derivatives."""
    # The derivatives are infinite at 0 and overflow near it. Less is rounding beside 1.
    hidden = base <= 1e-9
    return jnp.where(hidden, 0.0, jnp.where(hidden, 1.0, base) ** exponent)
