"""What super-resolution makes of whole images, and how it is judged on them."""

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from flax import nnx
from jaxtyping import Array, Float

from ssimjax.data import Arrays, Dataset, image_files, read_image
from ssimjax.ops import psnr, resize_bicubic, rgb_to_ycbcr, ssim, ycbcr_to_rgb
from ssimjax.tasks.learner import as_floats
from ssimjax.tasks.run import Run, load
from ssimjax.tasks.super_resolution import degraded, luma
from ssimjax.training import Row, read_config, with_spread

# Larger images are taken apart, so that feature maps need no more than some 100 MB.
_TILE = 512
# Of the window of SSIM.
_WINDOW = 11


def load_upscaler(
    workdir: epath.PathLike, *, checkpoint: int | Literal["best"] | None = None
) -> Run:
    """A super-resolution run as `load` returns it, but without its data.

    Args:
      workdir: the folder of the run.
      checkpoint: as in `load`.

    Returns:
      The run, whose data set is one black image.

    Raises:
      FileNotFoundError: if the folder holds no run or no checkpoint.
      ValueError: if it is a run of another task, or as `load`.
    """
    config = read_config(epath.Path(workdir))
    if config.task != "super_resolution":
        raise ValueError(
            f"workdir {workdir} must hold a run of the task 'super_resolution', got "
            f"{config.task!r}"
        )
    factor, patch = config.resolution.factor, config.resolution.patch
    side = factor * (math.ceil(patch / factor) + 8)
    blank = Arrays(np.zeros((1, side, side, 1), np.uint8), [0])
    nothing = Dataset(blank, blank, ("image",), "nothing")
    return load(workdir, checkpoint=checkpoint, data=nothing)


def upscaled(run: Run, image: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """An image, larger by the factor of the run.

    The network makes luma, Y of BT.601 (studio range); the two colour differences are
    enlarged by `resize_bicubic`, as in Dong et al. 2016, Section 4.5. A gray image is
    luma itself.

    Args:
      run: a trained super-resolution network.
      image: uint8 `[h, w, 1]`, or `[h, w, 3]` of red, green and blue.
      seed: which network of several, from 0.

    Returns:
      uint8 `[factor h, factor w, 1 or 3]`.

    Raises:
      IndexError: if the run has no such seed.
      TypeError: if the image is not uint8.
      ValueError: if it has other axes.
    """
    if image.dtype != np.uint8:
        raise TypeError(f"image must be uint8, got {image.dtype}")
    if image.ndim != 3 or image.shape[2] not in (1, 3) or not image.size:
        raise ValueError(
            f"image must be [height, width, 1 or 3], not empty, got {image.shape}"
        )
    color = image.shape[2] == 3
    pixels = as_floats(jnp.asarray(image)[None])
    height, width = (run.task.factor * side for side in image.shape[:2])
    large = resize_bicubic(rgb_to_ycbcr(pixels) if color else pixels, (height, width))
    sharp = _sharpener(run)(run.states()[seed], large[..., :1])
    if color:
        sharp = ycbcr_to_rgb(jnp.concatenate([sharp, large[..., 1:]], -1))
    return np.asarray(_eight_bits(sharp)[0]).astype(np.uint8)


def folder_scores(
    folder: epath.PathLike, *, factor: int, runs: Mapping[str, Run] | None = None
) -> list[Row]:
    """PSNR and SSIM on every image of a folder, of bicubic enlargement and networks.

    As published for SRCNN: sides are cut to multiples of the factor; Y of BT.601
    (studio range), rounded to 8 bits, of a gray file its pixels; made smaller and
    enlarged by `resize_bicubic`, not rounded in between; the result rounded to 8 bits;
    `factor` pixels left out at every border; SSIM with a Gaussian window of 11 pixels,
    within the rest.

    Args:
      folder: of image files.
      factor: by which sides are made smaller.
      runs: networks of that factor, by name.

    Returns:
      A row for each image and method, "bicubic" first: `image`, the file's name,
      `method`, `psnr` in dB and `ssim`; of several seeds the mean of each, `_sd` and
      `_each`.

    Raises:
      FileNotFoundError: if there is no such folder, or no image in it.
      ValueError: if a network has another factor or is called "bicubic", or an image is
        too small.

    References:
      Dong et al. 2016, Image super-resolution using deep convolutional networks,
      Section 4.
    """
    runs = dict(runs or {})
    if "bicubic" in runs:
        raise ValueError("runs must not be called 'bicubic', which has rows of its own")
    for name, run in runs.items():
        if run.task.factor != factor:
            raise ValueError(
                f"factor must be that of all networks, got {factor}, and "
                f"{run.task.factor} of {name}"
            )
    networks = {name: (run.states(), _sharpener(run)) for name, run in runs.items()}
    rows = []
    for file in image_files(folder):
        true, large = _true_and_large(_cut(file, factor)[None], factor)
        found = {"bicubic": [large]} | {
            name: [sharpen(state, large) for state in states]
            for name, (states, sharpen) in networks.items()
        }
        for method, images in found.items():
            scores = [_scores(image, true, border=factor) for image in images]
            values = {
                score: np.array([one[score] for one in scores]) for score in scores[0]
            }
            rows.append({"image": file.name, "method": method} | with_spread(values))
    return rows


def mean_scores(rows: Sequence[Row]) -> list[Row]:
    """Means over the images of a folder.

    Args:
      rows: of `folder_scores`.

    Returns:
      A row for each method, with the entries of `folder_scores`; its standard deviation
      is that of the means of each seed.

    Example:
      >>> rows = [{"image": name, "method": "bicubic", "psnr": psnr, "ssim": 0.5}
      ...         for name, psnr in (("a", 20.0), ("b", 30.0))]
      >>> mean_scores(rows)[0]["psnr"]
      25.0
    """
    means = []
    for method in dict.fromkeys(row["method"] for row in rows):
        chosen = [row for row in rows if row["method"] == method]
        values = {
            score: np.mean([row.get(f"{score}_each", row[score]) for row in chosen], 0)
            for score in ("psnr", "ssim")
        }
        means.append({"image": "mean", "method": method} | with_spread(values))
    return means


def _cut(file: epath.Path, factor: int) -> np.ndarray:
    pixels = read_image(file)
    height, width = (side - side % factor for side in pixels.shape[:2])
    if min(height, width) < _WINDOW + 2 * factor:
        raise ValueError(
            f"images must have sides of at least {_WINDOW} pixels within a border of "
            f"{factor}; {file} has {pixels.shape[0]}x{pixels.shape[1]}"
        )
    return pixels[:height, :width]


# One program for an image, since whoever judges a folder waits for their compilation.
@functools.partial(jax.jit, static_argnames="factor")
def _true_and_large(pixels: Array, factor: int) -> tuple[Array, Array]:
    """Luma in [0, 255], and what is left of it in [0, 1]."""
    true = _eight_bits(luma(as_floats(pixels)))
    return true, degraded(true / 255, factor)


def _scores(found: Array, true: Array, *, border: int) -> dict[str, float]:
    """Of an image in [0, 1] beside one in [0, 255]."""
    return {k: float(v) for k, v in _compared(found, true, border).items()}


@functools.partial(jax.jit, static_argnames="border")
def _compared(found: Array, true: Array, border: int) -> dict[str, Array]:
    inner = slice(border, -border)
    pair = [image[0, inner, inner] for image in (_eight_bits(found), true)]
    return {
        "psnr": psnr(*pair, data_range=255.0),
        "ssim": ssim(*pair, data_range=255.0),
    }


def _eight_bits(images: Float[Array, "*batch h w c"]) -> Float[Array, "*batch h w c"]:
    """Images in [0, 1] as whole numbers from 0 to 255, still floats."""
    return jnp.clip(jnp.floor(255 * images + 0.5), 0, 255)


def _sharpener(run: Run) -> Callable[[Any, Array], Array]:
    """The network on one image of any size, tile by tile if it is large."""
    sharpen = jax.jit(run.task.sharpen)
    reach = nnx.eval_shape(lambda: run.task.make_model(nnx.Rngs(0))).reach

    def apply(state: Any, enlarged: Array) -> Array:
        rows = []
        for down, keep_down in _tiles(enlarged.shape[1], reach):
            row = []
            for across, keep_across in _tiles(enlarged.shape[2], reach):
                tile = sharpen(state, enlarged[:, down, across])
                row.append(tile[:, keep_down, keep_across])
            rows.append(jnp.concatenate(row, 2))
        return jnp.concatenate(rows, 1)

    return apply


def _tiles(length: int, reach: int) -> Iterator[tuple[slice, slice]]:
    """Stretches of an axis, all of one length, and the part of each that counts.

    What counts is further than `reach` from an end that is none of the axis.
    """
    window = min(length, _TILE + 2 * reach)
    for start in range(0, length, _TILE):
        stop = min(start + _TILE, length)
        low = min(max(start - reach, 0), length - window)
        yield slice(low, low + window), slice(start - low, stop - low)
