"""Checks of how large layers shall be."""

from collections.abc import Sequence

import numpy as np


def check_sizes(name: str, sizes: Sequence[int], *, count: int | None = None) -> None:
    """Checks numbers of filters or units.

    Args:
      name: what to call them in an error.
      sizes: one per layer.
      count: how many layers there are; None for any number, but not 0.

    Raises:
      ValueError: if there are more or fewer, or one is below 1.

    Example:
      >>> check_sizes("widths", (64, 32), count=2)
    """
    fits = len(sizes) == count if count is not None else len(sizes) > 0
    if not fits or min(sizes, default=1) < 1:
        many = "one or more numbers" if count is None else f"{count} numbers"
        many = "a number" if count == 1 else many
        given = sizes[0] if count == 1 else tuple(sizes)
        raise ValueError(f"{name} must be {many} >= 1, got {given}")


def check_kernel_size(kernel_size: Sequence[int]) -> tuple[int, int]:
    """Checks the sides of filters. One number is refused: to Flax, it means one axis.

    Args:
      kernel_size: height and width in pixels.

    Returns:
      Both.

    Raises:
      ValueError: if they are not two numbers, or one is below 1.

    Example:
      >>> check_kernel_size([5, 3])
      (5, 3)
    """
    sides = np.asarray(kernel_size)
    if sides.shape != (2,) or sides.min() < 1:
        raise ValueError(
            "kernel_size must be a height and a width, integers >= 1, got "
            f"{kernel_size}"
        )
    height, width = sides.tolist()
    return height, width
