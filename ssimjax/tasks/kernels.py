"""Kernels of two sets of images or codes by name, for configs."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from jaxtyping import Array, Float

from ssimjax.losses import window_of
from ssimjax.ops import energy_kernel, imq_kernel, rbf_kernel, ssim_kernel

Kernel = Callable[[Array, Array], Float[Array, "n m"]]
KERNELS: Mapping[str, Callable[..., Array]] = {
    "rbf": rbf_kernel,
    "imq": imq_kernel,
    "energy": energy_kernel,
    "ssim": ssim_kernel,
}


def by_name(name: str, **arguments: Any) -> Kernel:
    """The kernel of a name, with its arguments filled in, as a config states them.

    Args:
      name: "rbf", "imq", "energy" or "ssim": `ssimjax.ops.NAME_kernel`.
      arguments: further keyword arguments of that function, as plain numbers, strings,
        lists and mappings; a window as in `losses.by_name`. Images are in [0, 1].

    Returns:
      A function of two sets, `[n, ...]` and `[m, ...]`, that returns a matrix `[n, m]`.

    Raises:
      ValueError: if there is no such kernel, argument or window.
    """
    if name not in KERNELS:
        raise ValueError(f"kernel.name must be one of {sorted(KERNELS)}, got {name!r}")
    function = KERNELS[name]
    allowed = set(inspect.signature(function).parameters) - {"x", "y", "data_range"}
    for argument in arguments:
        if argument not in allowed:
            raise ValueError(
                f"kernel {name!r} has no argument {argument!r}; there are "
                f"{', '.join(sorted(allowed)) or 'none'}"
            )
    if "window" in arguments:
        arguments["window"] = window_of(arguments["window"])
    if name == "ssim":
        arguments["data_range"] = 1.0
    return functools.partial(function, **arguments)


def is_positive(name: str, **arguments: Any) -> bool:
    """Whether a kernel is positive semi-definite, and not only conditionally so.

    Args:
      name: as in `by_name`.
      arguments: likewise.

    Returns:
      False for "energy" and for the "energy" and "squared" forms of "ssim".
    """
    conditional = ("energy", "squared")
    return name != "energy" and arguments.get("form") not in conditional
