"""Filters and images as they are."""

from collections.abc import Mapping, Sequence

import numpy as np
from etils import epath

from ssimjax.figures.drawing import drawing, tile


def tiled(filters: np.ndarray, *, most: int = 64) -> np.ndarray:
    """Filters as one image, the largest in norm first.

    Filters of one or three channels are one tile each. Filters of more channels are a
    row each, with a tile per channel. Each filter is scaled on its own, symmetrically
    about its mean.

    Args:
      filters: `[kh, kw, c_in, c_out]`.
      most: how many tiles are drawn at most for filters of one or three channels; of
        filters with more channels, the first 16.

    Returns:
      An image `[h, w, 1 or 3]` in [0, 1].

    Raises:
      ValueError: if `filters` has another rank.
    """
    filters = np.asarray(filters, np.float64)
    if filters.ndim != 4:
        raise ValueError(f"filters must be [kh, kw, c_in, c_out], got {filters.shape}")
    norms = np.sqrt((filters**2).sum((0, 1, 2)))
    in_color = filters.shape[2] in (1, 3)
    order = np.argsort(-norms)[: most if in_color else 16]
    chosen = np.moveaxis(filters[..., order], -1, 0)
    centred = chosen - chosen.mean((1, 2, 3), keepdims=True)
    peak = np.abs(centred).max((1, 2, 3), keepdims=True)
    tiles = 0.5 + 0.5 * centred / np.where(peak > 0, peak, 1)
    if in_color:
        columns = int(np.ceil(np.sqrt(2 * len(tiles))))
    else:
        columns = tiles.shape[-1]
        tiles = np.moveaxis(tiles, -1, 1).reshape(-1, *tiles.shape[1:3], 1)
    return tile(tiles, columns)


def kernels(filters: np.ndarray, path: epath.PathLike, *, title: str) -> None:
    """Draws filters as `tiled` lays them out.

    Args:
      filters: `[kh, kw, c_in, c_out]`.
      path: the PNG file to write.
      title: of the picture.

    Raises:
      ValueError: if `filters` has another rank.
    """
    picture = tiled(filters)
    height, width = picture.shape[:2]
    with drawing(path, 7.0, 7.0 * height / width + 0.3) as figure:
        axes = figure.subplots()
        axes.imshow(
            picture.squeeze(), cmap="gray", vmin=0, vmax=1, interpolation="nearest"
        )
        axes.set_axis_off()
        axes.set_title(title)


def mad_images(
    panels: Mapping[str, np.ndarray],
    path: epath.PathLike,
    *,
    mse: Sequence[float],
    metric: Sequence[float],
    metric_name: str = "SSIM",
    data_range: float = 1.0,
) -> None:
    """A MAD competition in one row, both measures above every image but the first.

    Args:
      panels: the reference, then the images compared with it, `[h, w, 1 or 3]` each,
        by what they are called. Pixels outside [0, data_range] are drawn as its ends.
      path: the PNG file to write.
      mse: of each image to the reference, without the reference.
      metric: alike.
      metric_name: of the metric.
      data_range: the pixel drawn as white.

    Raises:
      ValueError: if there are not as many numbers as images after the reference.
    """
    if not len(mse) == len(metric) == len(panels) - 1:
        raise ValueError(
            f"mse and metric must hold {len(panels) - 1} numbers, one per image after "
            f"the reference, got {len(mse)} and {len(metric)}"
        )
    captions = [""] + [
        f"MSE {float(error):.4f}\n{metric_name} {float(value):.3f}"
        for error, value in zip(mse, metric)
    ]
    with drawing(path, 1.9 * len(panels), 2.7) as figure:
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for panel, (name, image), caption in zip(axes, panels.items(), captions):
            panel.imshow(
                np.clip(np.asarray(image) / data_range, 0, 1).squeeze(),
                cmap="gray",
                vmin=0,
                vmax=1,
                interpolation="nearest",
            )
            panel.set_axis_off()
            panel.set_anchor("S")  # What is left over is room for the titles.
            panel.set_title(f"{name}\n{caption}" if caption else name)


def comparison(
    rows: Mapping[str, np.ndarray], path: epath.PathLike, *, detail: int | None = None
) -> None:
    """Images in rows, one above the other, pixel for pixel.

    Args:
      rows: images `[n, h, w, 1 or 3]` in [0, 1], equally many in each row, by what is
        printed beside them. The first row is the original: beneath every other stands
        its distance from it, black for 0 and white for half of the range.
      path: the PNG file to write.
      detail: side in pixels of a central square that is drawn instead, enlarged.

    Raises:
      ValueError: if the rows differ in shape.
    """
    shapes = {np.shape(images) for images in rows.values()}
    if len(shapes) != 1:
        raise ValueError(f"rows must be of one shape [n, h, w, c], got {shapes}")
    (original, truth), *others = (
        (name, _central(np.asarray(images, np.float64), detail))
        for name, images in rows.items()
    )
    drawn = {original: truth}
    for name, images in others:
        drawn[name] = images
        errors = np.abs(images - truth).mean(-1, keepdims=True)
        drawn[f"{name}, error"] = np.minimum(2 * errors, 1).repeat(truth.shape[-1], -1)
    image_rows(drawn, path)


def image_rows(rows: Mapping[str, np.ndarray], path: epath.PathLike) -> None:
    """Rows of images with a name each, enlarged without smoothing.

    Args:
      rows: images `[n, h, w, 1 or 3]` by name, of one shape. Pixels outside [0, 1] are
        drawn as its ends.
      path: the PNG file to write.
    """
    count, height, width, _ = next(iter(rows.values())).shape
    inches = min(1.1, 9.0 / count)
    high = inches * height / width * len(rows)
    names = 0.3 + 0.09 * max(len(name) for name in rows)
    with drawing(path, inches * count + names, high + 0.1) as figure:
        axes = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
        for panel, (name, images) in zip(axes, rows.items()):
            row = tile(np.clip(np.asarray(images, np.float64), 0, 1), len(images))
            panel.imshow(
                row.squeeze(), cmap="gray", vmin=0, vmax=1, interpolation="nearest"
            )
            panel.set(xticks=[], yticks=[])
            panel.spines[:].set_visible(False)
            panel.set_anchor("E")  # What is left over is room for the names.
            panel.set_ylabel(name, rotation=0, ha="right", va="center")


def image_grid(images: np.ndarray, path: epath.PathLike, *, columns: int) -> None:
    """Many images, enlarged without smoothing, row by row.

    Args:
      images: `[n, h, w, 1 or 3]`. Pixels outside [0, 1] are drawn as its ends.
      path: the PNG file to write.
      columns: images of a row.
    """
    picture = tile(np.clip(np.asarray(images, np.float64), 0, 1), columns)
    inches = min(1.0, 10.0 / columns)
    height = inches * columns * picture.shape[0] / picture.shape[1]
    with drawing(path, inches * columns, height) as figure:
        figure.set_layout_engine("none")
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.imshow(
            picture.squeeze(), cmap="gray", vmin=0, vmax=1, interpolation="nearest"
        )
        axes.set_axis_off()


def _central(images: np.ndarray, side: int | None) -> np.ndarray:
    if side is None:
        return images
    top, left = ((length - side) // 2 for length in images.shape[1:3])
    return images[:, top : top + side, left : left + side]
