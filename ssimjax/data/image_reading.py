"""One image file, of which nothing is dropped silently."""

import numpy as np
import PIL.Image
import PIL.ImageOps
from etils import epath

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
# What Pillow converts without loss to 8 bits of gray, or of red, green and blue.
_GRAY = ("1", "L")
_COLOR = ("RGB", "P", "CMYK", "YCbCr", "LAB", "HSV")


def read_image(file: epath.PathLike) -> np.ndarray:
    """The pixels of an image file, 8 bits each.

    Args:
      file: in any format that Pillow reads.

    Returns:
      uint8 `[h, w, 1]` of gray files, `[h, w, 3]`, red, green and blue, of others, the
      way up that the file says.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if it is no image, damaged or larger than Pillow opens, or if it has
        transparent pixels, several frames or (PNG and TIFF) more than 8 bits, none of
        which is dropped silently.
    """
    path = epath.Path(file)
    if not path.is_file():
        raise FileNotFoundError(f"no image file {path}")
    with path.open("rb") as stream:
        try:
            with PIL.Image.open(stream) as image:
                return _pixels(image, path)
        except PIL.UnidentifiedImageError:
            raise ValueError(f"{path} is not an image that Pillow can read") from None
        # Pillow calls some damaged files a SyntaxError.
        except (OSError, SyntaxError, PIL.Image.DecompressionBombError) as error:
            raise ValueError(f"{path} cannot be read: {error}") from error


def _pixels(image: PIL.Image.Image, path: epath.Path) -> np.ndarray:
    # Of 16 bits, Pillow reads color as 8 and says so nowhere but in how it decodes. (In
    # other formats, ";16" are those of a pixel.)
    tiles = getattr(image, "tile", ()) if image.format in ("PNG", "TIFF") else ()
    if any(";16" in str(tile[3]) for tile in tiles):
        raise ValueError(f"{path} has 16 bits per channel; use 8")
    # A photograph with a preview of itself is of several frames, too.
    if getattr(image, "is_animated", False) and image.format != "MPO":
        raise ValueError(f"{path} has several frames; use a file with one")
    # A camera held upright stores rows as columns, and says so in the file.
    image = PIL.ImageOps.exif_transpose(image)
    if image.has_transparency_data:
        alpha = np.asarray(image.convert("RGBA"))[..., 3]
        if alpha.min() < 255:
            raise ValueError(
                f"{path} has transparent pixels, which no network here knows; lay "
                "it over a background first"
            )
        image = image.convert("L" if image.mode == "LA" else "RGB")
    if image.mode not in _GRAY + _COLOR:
        raise ValueError(
            f"{path} has pixels of Pillow's mode {image.mode!r}; use 8 bits per channel"
        )
    gray = image.mode in _GRAY
    pixels = np.asarray(image.convert("L" if gray else "RGB"))
    return pixels[..., None] if gray else pixels
