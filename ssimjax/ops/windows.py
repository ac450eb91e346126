"""Windows, and the local weighted mean that each of them defines.

The local mean is the only operator of the SSIM family that touches neighbouring
pixels; every formula above it is pointwise arithmetic on its results.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from ssimjax.ops.filtering import weighted_sums
from ssimjax.ops.meshes import on_any_mesh

Padding = Literal["valid", "zero", "reflect", "symmetric", "edge"]
_PADDING_MODES = {
    "valid": None,
    "zero": "constant",
    "reflect": "reflect",
    "symmetric": "symmetric",
    "edge": "edge",
}
# Of a sum of weights that were float32.
_ROUNDING = 1e-5


@dataclasses.dataclass(frozen=True)
class Window:
    """A separable window: the product of weights along each spatial axis.

    Hashable, hence usable as a static argument of `jax.jit`.

    Attributes:
      taps: weights along one axis, non-negative, summing to 1, for all spatial axes
        alike; or a tuple of such weights, one for each spatial axis.

    Raises:
      ValueError: if the taps are not such weights.
    """

    taps: tuple[float, ...] | tuple[tuple[float, ...], ...]

    def __post_init__(self):
        """Makes lists and arrays of weights tuples of numbers, and checks them."""
        taps = (np.asarray(tap, float).tolist() for tap in self.taps)
        taps = tuple(tuple(tap) if isinstance(tap, list) else tap for tap in taps)
        object.__setattr__(self, "taps", taps)
        nested = [tap for tap in taps if isinstance(tap, tuple)]
        mixed = 0 < len(nested) < len(taps)
        # A sum that is NaN or infinite is not near 1.
        if mixed or not all(
            all(tap >= 0 for tap in axis) and abs(sum(axis) - 1) <= _ROUNDING
            for axis in nested or [taps]
        ):
            raise ValueError(
                f"taps must be finite, >= 0 and sum to 1 along each axis, got {taps}"
            )

    def along(self, spatial_axes: int) -> tuple[tuple[float, ...], ...]:
        """The weights along each of so many spatial axes.

        Args:
          spatial_axes: number of spatial axes.

        Returns:
          One tuple of weights per axis.

        Raises:
          ValueError: if the window was made for another number of axes.
        """
        flat = tuple(tap for tap in self.taps if not isinstance(tap, tuple))
        if flat:
            return (flat,) * spatial_axes
        nested = tuple(taps for taps in self.taps if isinstance(taps, tuple))
        if len(nested) != spatial_axes:
            raise ValueError(
                f"window has weights for {len(nested)} axes, but the images have "
                f"{spatial_axes} spatial axes"
            )
        return nested

    def sizes(self, spatial_axes: int) -> tuple[int, ...]:
        """Number of pixels along each of so many spatial axes.

        Args:
          spatial_axes: number of spatial axes.

        Returns:
          One size per axis.

        Raises:
          ValueError: if the window was made for another number of axes.
        """
        return tuple(len(taps) for taps in self.along(spatial_axes))


def gaussian_window(
    size: int | Sequence[int] | None = None,
    *,
    sigma: float | Sequence[float] = 1.5,
    truncate: float | None = None,
) -> Window:
    """Samples of a Gaussian, normalised to sum 1.

        w_i ∝ exp(-i² / (2 sigma²)),  i = -(size-1)/2 ... (size-1)/2

    Args:
      size: number of taps, odd so that the window has a central pixel: one number, or
        one per spatial axis. 11 if neither this nor `truncate` is given.
      sigma: standard deviation in pixels, > 0: one number, or one per spatial axis.
      truncate: instead of a size, the number of standard deviations to each side:
        `size = 2 floor(truncate · sigma + 1/2) + 1`, as in SciPy.

    Returns:
      The window.

    Raises:
      ValueError: if a size is even or not positive, `sigma` or `truncate` is not
        positive, both `size` and `truncate` are given, or sizes and sigmas are for
        different numbers of axes.

    Example:
      >>> gaussian_window(3, sigma=1.0).taps[1] > gaussian_window(3, sigma=1.0).taps[0]
      True
      >>> gaussian_window(sigma=(0.5, 1.5), truncate=3.5).sizes(2)
      (5, 11)

    References:
      Wang et al. 2004, Image quality assessment, Section III-C.
    """
    if size is not None and truncate is not None:
        raise ValueError(
            f"give size or truncate, not both: got size={size}, truncate={truncate}"
        )
    if truncate is not None and not truncate > 0:
        raise ValueError(f"truncate must be > 0 deviations, got {truncate}")
    sigmas = np.atleast_1d(sigma).tolist()
    if not sigmas or not all(s > 0 for s in sigmas):
        raise ValueError(f"sigma must be > 0 pixels, got {sigma}")
    if truncate is not None:
        size = tuple(2 * int(truncate * s + 0.5) + 1 for s in sigmas)
    sizes = [11] if size is None else np.atleast_1d(size).tolist()
    if not sizes or not all(n >= 1 and n % 2 for n in sizes):
        raise ValueError(f"size of a Gaussian window must be odd and >= 1, got {size}")
    axes = max(len(sizes), len(sigmas))
    if {len(sizes), len(sigmas)} - {1, axes}:
        raise ValueError(
            f"size={size} and sigma={sigma} are for different numbers of axes"
        )
    taps = tuple(
        _gaussian_taps(n, s)
        for n, s in zip(sizes * (axes // len(sizes)), sigmas * (axes // len(sigmas)))
    )
    one_for_all = np.ndim(sigma) == 0 and (size is None or np.ndim(size) == 0)
    return Window(taps[0] if one_for_all or axes == 1 else taps)


def _gaussian_taps(size: int, sigma: float) -> tuple[float, ...]:
    offsets = np.arange(size) - size // 2
    taps = np.exp(-(offsets**2) / (2 * sigma**2))
    return tuple((taps / taps.sum()).tolist())


# The window of Wang et al. 2004, and of most libraries.
GAUSSIAN_11 = gaussian_window(11, sigma=1.5)


def uniform_window(size: int | Sequence[int] = 7) -> Window:
    """Equal weights.

        w_i = 1 / size

    Args:
      size: number of taps, >= 1: one number, or one per spatial axis.

    Returns:
      The window.

    Raises:
      ValueError: if a size is not positive.

    Example:
      >>> uniform_window(2).taps
      (0.5, 0.5)

    References:
      Wang and Bovik 2002, A universal image quality index.
    """
    sizes = np.atleast_1d(size).tolist()
    if not sizes or min(sizes) < 1:
        raise ValueError(f"size of a uniform window must be >= 1, got {size}")
    taps = tuple((1.0 / n,) * n for n in sizes)
    return Window(taps[0] if np.ndim(size) == 0 else taps)


# The window of scikit-image, and of SSIM distances.
UNIFORM_7 = uniform_window(7)


def check_window(window: Window) -> None:
    """Raises a TypeError where something else is given, such as a size."""
    if not isinstance(window, Window):
        raise TypeError(
            "window must be a Window, as gaussian_window and uniform_window make them, "
            f"got {window!r}"
        )


def pad_to_same(
    image: Float[Array, "..."],
    window: Window,
    *,
    padding: Padding,
    spatial_axes: int = 2,
    fill: float = 0.0,
) -> Float[Array, "..."]:
    """An image with the borders that make its map of windows as large as itself.

    Args:
      image: images `[..., *spatial, channels]`.
      window: whose size is padded for: `(size - 1) // 2` pixels before and `size // 2`
        after the image along each axis.
      padding: "valid", which pads nothing, or how borders are filled: "zero";
        "reflect" (…c b | a b c…, repeated if the image is small); "symmetric" (…b a |
        a b…, likewise); "edge" (…a a | a b…).
      spatial_axes: number of spatial axes.
      fill: value of the "zero" border, if it shall be another.

    Returns:
      The padded images.

    Raises:
      ValueError: if `padding` is none of these.

    Example:
      >>> image = jnp.arange(3.0)[:, None]
      >>> window = uniform_window(3)
      >>> pad_to_same(image, window, padding="symmetric", spatial_axes=1)[:, 0].tolist()
      [0.0, 0.0, 1.0, 2.0, 2.0]
    """
    if padding not in _PADDING_MODES:
        raise ValueError(
            f"padding must be one of {sorted(_PADDING_MODES)}, got {padding!r}"
        )
    mode = _PADDING_MODES[padding]
    if mode is None:
        return image
    margins = [((n - 1) // 2, n // 2) for n in window.sizes(spatial_axes)]
    batch = image.ndim - spatial_axes - 1
    margins = [(0, 0)] * batch + margins + [(0, 0)]
    if padding == "zero":
        return jnp.pad(image, margins, constant_values=fill)
    if padding == "edge":
        return pad_with_edge(image, margins)
    return jnp.pad(image, margins, mode=mode)


def pad_with_edge(
    image: Float[Array, "..."], margins: Sequence[tuple[int, int]]
) -> Float[Array, "..."]:
    """`jnp.pad` with mode "edge", whose gradient devices that share a batch can take.

    That of `jnp.pad` sends the batch from device to device.

    Args:
      image: any array.
      margins: how often the first and the last slice of each axis are repeated.

    Returns:
      The larger array.

    Example:
      >>> pad_with_edge(jnp.arange(3.0), [(2, 1)]).tolist()
      [0.0, 0.0, 0.0, 1.0, 2.0, 2.0]
    """
    for axis, (before, after) in enumerate(margins):
        if before or after:
            size = image.shape[axis]
            first = jax.lax.slice_in_dim(image, 0, 1, axis=axis)
            last = jax.lax.slice_in_dim(image, size - 1, size, axis=axis)
            parts = [first] * before + [image] + [last] * after
            image = jnp.concatenate(parts, axis)
    return image


@on_any_mesh
def local_mean(
    image: Float[ArrayLike, "..."], window: Window, *, spatial_axes: int = 2
) -> Float[Array, "..."]:
    """Weighted mean of every whole window of an image ("valid" padding).

        out[i, j] = Σ_u Σ_v taps[u] taps[v] image[i + u, j + v]

    Args:
      image: images `[..., *spatial, channels]`, at least as large as the window.
      window: the weights.
      spatial_axes: number of spatial axes, 1 to 3.

    Returns:
      Local means, `size - 1` pixels smaller along each spatial axis, in the unit of
      `image`.

    Raises:
      TypeError: if the image is not of floats.
      ValueError: if the image is smaller than the window.

    Example:
      >>> local_mean(jnp.ones((9, 8, 1)), uniform_window(3)).shape
      (7, 6, 1)
    """
    return _local_mean(image, window, spatial_axes, fused=False)


def local_mean_for_one_use(
    image: Float[Array, "..."], window: Window, *, spatial_axes: int = 2
) -> Float[Array, "..."]:
    """`local_mean` for what uses it once, as a map without a gradient does.

    On a CPU the sums along the last axis are taken in the loop that uses them, which
    saves a tenth. A gradient uses them several times, and takes half as long again.

    Args:
      image: as in `local_mean`.
      window: as in `local_mean`.
      spatial_axes: as in `local_mean`.

    Returns:
      As `local_mean`.

    Raises:
      TypeError: as `local_mean`.
      ValueError: as `local_mean`.

    Example:
      >>> local_mean_for_one_use(jnp.ones((9, 8, 1)), uniform_window(3)).shape
      (7, 6, 1)
    """
    return _local_mean(image, window, spatial_axes, fused=True)


def _local_mean(
    image: Float[ArrayLike, "..."], window: Window, spatial_axes: int, *, fused: bool
) -> Float[Array, "..."]:
    image = jnp.asarray(image)
    if not jnp.issubdtype(image.dtype, jnp.floating):
        raise TypeError(f"image must be floats, got {image.dtype}")
    first, last = image.ndim - 1 - spatial_axes, image.ndim - 2
    sides, sizes = image.shape[first:-1], window.sizes(spatial_axes)
    if any(side < size for side, size in zip(sides, sizes)):
        raise ValueError(
            f"image is {'x'.join(map(str, sides))} pixels, smaller than the window of "
            f"{'x'.join(map(str, sizes))}; use a smaller window, or padding"
        )
    for axis, taps in enumerate(window.along(spatial_axes), start=first):
        shape = image.shape
        if len(taps) > 1:
            rows = image.reshape(*shape[: axis + 1], math.prod(shape[axis + 1 :]))
            rows = weighted_sums(rows, taps, fused=fused and axis == last)
            image = rows.reshape(*shape[:axis], rows.shape[-2], *shape[axis + 1 :])
    return image
