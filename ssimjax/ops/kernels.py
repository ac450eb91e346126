"""Kernel matrices of two sets of images: SSIM kernels and distances."""

import math
from collections.abc import Callable, Sequence
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ssimjax.ops.compiled import compiled
from ssimjax.ops.constants import check_constants
from ssimjax.ops.distance import DistanceForm, Norm
from ssimjax.ops.euclidean import check_positive, check_sets, total
from ssimjax.ops.images import Images, prepare
from ssimjax.ops.moments import Moments, variance_factor
from ssimjax.ops.pairwise import sum_over_windows, window_layout
from ssimjax.ops.powers import safe_sqrt
from ssimjax.ops.similarity import additive_similarity, similarity, squared_distance
from ssimjax.ops.windows import UNIFORM_7, Window

KernelForm = Literal["exponential", "energy", "squared", "product", "sum"]
_FORMS = ("exponential", "energy", "squared", "product", "sum")
_HIGHEST = jax.lax.Precision.HIGHEST

_Formula = Callable[[Moments, float, float], Array]


@compiled
def ssim_distance_matrix(
    x: Images,
    y: Images,
    *,
    data_range: float | None = None,
    form: DistanceForm = "uncentred",
    norm: Norm = "frobenius",
    window: Window = UNIFORM_7,
    stride: int = 1,
    sample_covariance: bool = True,
    k1: float = 0.01,
    k2: float = 0.03,
    spatial_axes: int = 2,
    max_bytes: int = 2**28,
) -> Float[Array, "n m"]:
    """SSIM distances of all images of one set from all images of another.

        D(i, j) = ‖D'(i, j)‖

    where D' is `ssim_distance_map` of x_i and y_j: √(2 - l - cs), or √(1 - cs).

    Args:
      x: n images `[n, *spatial, channels]`, floats in [0, data_range] or integers.
      y: m images of the same shape, both sets floats or both integers.
      data_range: L, the largest possible pixel minus the smallest. Required for floats;
        integers take the range of their dtype if it is None.
      form: "uncentred" (Eq. 2) or "centred" (Eq. 1), where blocks lose their means
        first, so that images that differ by a constant have no distance.
      norm: "frobenius", over windows and channels, the paper's, which grows with the
        number of windows; or "mean", the root mean square, in [0, 2], and for
        non-negative images in [0, √3].
      window: weights of the local statistics: `uniform_window`, `gaussian_window`.
      stride: pixels between windows, >= 1. The size of the window makes disjoint
        blocks, and costs stride² times less.
      sample_covariance: whether variances and covariances are multiplied by
        P / (P - 1), P being the number of pixels of a window, as in the paper.
      k1: stabiliser of the luminance term relative to L, > 0.
      k2: stabiliser of the contrast and structure terms relative to L, > 0.
      spatial_axes: number of spatial axes: 2 for images, 1 for signals, 3 for volumes.
      max_bytes: memory for intermediate results, in bytes. It is exceeded only if a
        single window needs more; x, y, their gradients and a few matrices [n, m] come
        on top.

    Returns:
      Distances `[n, m]`, symmetric and with a zero diagonal for x = y; a metric.
      float32, or float64 for float64 input. In float32 a mean D'² is accurate to about
      1e-6, and a distance that rests on less is 0, as is its gradient.

    Raises:
      TypeError: if one set is integer and the other float, or either is neither.
      ValueError: if shapes do not fit, a set is empty, images are smaller than the
        window, `data_range` is missing for floats, or an option is out of range.

    Example:
      >>> x = jnp.stack([jnp.zeros((16, 16, 1)), jnp.ones((16, 16, 1))])
      >>> ssim_distance_matrix(x, x, data_range=1.0, norm="mean").round(3).tolist()
      [[0.0, 1.0], [1.0, 0.0]]

    References:
      Ghojogh et al. 2020, Theoretical insights into the use of SSIM, Eq. 1 and 2, and
      D in Section 2. Brunet et al. 2012, On the mathematical properties of the SSIM.
    """
    squares, scale = _pooled_over_windows(
        squared_distance,
        x,
        y,
        data_range=data_range,
        blocks=form,
        norm=norm,
        window=window,
        stride=stride,
        sample_covariance=sample_covariance,
        k1=k1,
        k2=k2,
        spatial_axes=spatial_axes,
        max_bytes=max_bytes,
    )
    return math.sqrt(scale) * _root(squares, window, spatial_axes)


@compiled
def ssim_kernel(
    x: Images,
    y: Images,
    *,
    data_range: float | None = None,
    form: KernelForm = "exponential",
    gammas: Sequence[float] = (0.5, 2.0, 8.0, 32.0),
    blocks: DistanceForm = "uncentred",
    norm: Norm = "mean",
    window: Window = UNIFORM_7,
    stride: int = 1,
    sample_covariance: bool = True,
    k1: float = 0.01,
    k2: float = 0.03,
    spatial_axes: int = 2,
    max_bytes: int = 2**28,
) -> Float[Array, "n m"]:
    """SSIM kernel of all images of one set with all images of another.

        exponential:  k = Σ_γ exp(-γ D²)
        energy:       k = -D / 2
        squared:      k = -D² / 2
        product:      k = mean of l · cs
        sum:          k = mean of l + cs

    with D as in `ssim_distance_matrix`. "energy" and "squared" are conditionally
    positive semi-definite: `centred` makes them the kernels -½ H D H, as printed, and
    -½ H (D∘D) H, which give the same MMD; that of "energy" is half the energy distance.

    "exponential" and "energy" tell all distributions apart, provided that every pixel
    lies under a window, and blocks keep their means. The others do not: their MMD
    compares no more than means of local features, and is exactly 0 for {g + a, g - a}
    and {g + b, g - b} if g is flat, and a and b have mean 0 and equal variance under
    every window, for example a checkerboard and stripes.

    Args:
      x: n images `[n, *spatial, channels]`, floats in [0, data_range] or integers.
      y: m images of the same shape, both sets floats or both integers.
      data_range: as in `ssim_distance_matrix`.
      form: which of the kernels.
      gammas: γ of the exponential form, > 0. The default has length scales 1 / √(2γ) of
        1, 1/2, 1/4 and 1/8 for distances of norm "mean": unrelated images are about 1
        apart, and slightly distorted ones about 1/8.
      blocks: `form` of the distance; "centred" makes l = 1 in all kernels.
      norm: as in `ssim_distance_matrix`; under "frobenius" the last two forms are sums.
      window: as in `ssim_distance_matrix`.
      stride: as in `ssim_distance_matrix`.
      sample_covariance: as in `ssim_distance_matrix`.
      k1: as in `ssim_distance_matrix`.
      k2: as in `ssim_distance_matrix`.
      spatial_axes: as in `ssim_distance_matrix`.
      max_bytes: as in `ssim_distance_matrix`.

    Returns:
      Kernel matrix `[n, m]`; float32, or float64 for float64 input.

    Raises:
      TypeError: as `ssim_distance_matrix`.
      ValueError: as `ssim_distance_matrix`, or if γ are not positive numbers.

    Example:
      >>> x = jnp.linspace(0, 1, 2 * 16 * 16).reshape(2, 16, 16, 1)
      >>> ssim_kernel(x, x, data_range=1.0, form="product").diagonal().round(4).tolist()
      [1.0, 1.0]

    References:
      Ghojogh et al. 2020, Theoretical insights into the use of SSIM, Section 2. Székely
      and Rizzo 2013, Energy statistics. Lyons 2013, Distance covariance in metric
      spaces (strong negative type of Hilbert spaces). Christmann and Steinwart 2010,
      Universal kernels on non-standard input spaces.
    """
    if form not in _FORMS:
        raise ValueError(f"form must be one of {list(_FORMS)}, got {form!r}")
    check_positive("gammas", gammas)
    formulas = {"product": similarity, "sum": additive_similarity}
    values, scale = _pooled_over_windows(
        formulas.get(form, squared_distance),
        x,
        y,
        data_range=data_range,
        blocks=blocks,
        norm=norm,
        window=window,
        stride=stride,
        sample_covariance=sample_covariance,
        k1=k1,
        k2=k2,
        spatial_axes=spatial_axes,
        max_bytes=max_bytes,
    )
    if form == "energy":
        return -0.5 * math.sqrt(scale) * _root(values, window, spatial_axes)
    if form == "exponential":
        return total(jnp.exp(-gamma * scale * values) for gamma in gammas)
    return -0.5 * scale * values if form == "squared" else scale * values


def centred(gram: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """A kernel matrix with its origin moved to the mean of the sample.

        H K H,  H = I - 1 1ᵀ / n

    Over the union of two samples this changes no MMD; within each sample it would make
    every MMD 0.

    Args:
      gram: symmetric matrix K `[n, n]` of a set with itself.

    Returns:
      Matrix `[n, n]` whose rows and columns sum to 0.

    Raises:
      ValueError: if K is not square.

    Example:
      >>> centred(jnp.eye(2)).tolist()
      [[0.5, -0.5], [-0.5, 0.5]]

    References:
      Ghojogh et al. 2020, Theoretical insights into the use of SSIM, Section 2, where
      K = -½ H D H.
    """
    if gram.ndim != 2 or gram.shape[0] != gram.shape[1]:
        raise ValueError(f"gram must be a square matrix, got shape {gram.shape}")
    gram = gram - gram.mean(0, keepdims=True)
    return gram - gram.mean(1, keepdims=True)


def _root(
    squares: Float[Array, "n m"], window: Window, spatial_axes: int
) -> Float[Array, "n m"]:
    """Root of mean squared distances, 0 where they are no more than rounding.

    1 - cs is a difference of sums over a window here, and is rounded as they are.
    """
    pixels = math.prod(window.sizes(spatial_axes))
    smallest = float(jnp.finfo(squares.dtype).eps) * max(8.0, pixels / 4)
    return safe_sqrt(squares, smallest=smallest)


def _pooled_over_windows(
    formula: _Formula,
    x: Images,
    y: Images,
    *,
    data_range: float | None,
    blocks: DistanceForm,
    norm: Norm,
    window: Window,
    stride: int,
    sample_covariance: bool,
    k1: float,
    k2: float,
    spatial_axes: int,
    max_bytes: int,
) -> tuple[Float[Array, "n m"], int]:
    """Mean of a formula over windows and channels, and the factor that pools it."""
    x, y = check_sets(x, y)
    if x.ndim != spatial_axes + 2:
        raise ValueError(
            f"x and y must have the axes [n, spatial..., channels] with {spatial_axes} "
            f"spatial axes, got shapes {x.shape} and {y.shape}"
        )
    pair = prepare(
        x[:, None], y[None], data_range=data_range, spatial_axes=spatial_axes
    )
    check_constants(k1=k1, k2=k2)
    if not max_bytes > 0:
        raise ValueError(f"max_bytes must be > 0, got {max_bytes}")
    if stride < 1:
        raise ValueError(f"stride must be >= 1 pixel, got {stride}")
    if norm not in ("frobenius", "mean"):
        raise ValueError(f"norm must be 'frobenius' or 'mean', got {norm!r}")
    if blocks not in ("uncentred", "centred"):
        raise ValueError(f"blocks must be 'uncentred' or 'centred', got {blocks!r}")
    factor = variance_factor(
        window, sample_covariance=sample_covariance, spatial_axes=spatial_axes
    )
    c1, c2 = (k1 * pair.data_range) ** 2, (k2 * pair.data_range) ** 2

    def values(moments: Moments) -> Array:
        if blocks == "centred":
            zero = jnp.zeros((1, 1, 1), moments.mean_x.dtype)
            moments = moments._replace(mean_x=zero, mean_y=zero)
        sample = Moments(
            moments.mean_x,
            moments.mean_y,
            factor * moments.var_x,
            factor * moments.var_y,
            factor * moments.cov_xy,
        )
        return formula(sample, c1, c2)

    layout = window_layout(x.shape[1:], window, stride)
    total = sum_over_windows(
        values,
        pair.x.reshape(len(x), -1),
        pair.y.reshape(len(y), -1),
        layout,
        max_bytes,
    )
    terms = len(layout.starts)
    return total / terms, terms if norm == "frobenius" else 1
