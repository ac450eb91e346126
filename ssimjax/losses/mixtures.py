"""Weighted sums of losses."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from ssimjax.losses.registry import by_name, loss
from ssimjax.ops.images import Images, Mask


@loss
def mixture(
    prediction: Images,
    target: Images,
    *,
    terms: Sequence[Mapping[str, Any]],
    data_range: float,
    mask: Mask | None = None,
) -> Float[Array, "*batch"]:
    """Weighted sum of losses.

        Σ_i weight_i loss_i(prediction, target)

    Args:
      prediction: images `[*batch, *spatial, channels]`.
      target: images of the same spatial axes and channels.
      terms: the losses: the `name` and `weight` of each, and its further arguments, as
        in `by_name`.
      data_range: of the images, for all terms.
      mask: of the images, for all terms.

    Returns:
      One number >= 0 per image, 0 at perfection.

    Raises:
      TypeError: if there is a mask, and a term takes none.
      ValueError: if there is no term, a weight is negative, or as `by_name`.

    Example:
      >>> zhao = [{"name": "ms_ssim", "weight": 0.84}, {"name": "mae", "weight": 0.16}]
      >>> image = jnp.ones((176, 176, 1))
      >>> float(mixture(image, image, terms=zhao, data_range=1.0))
      0.0

    References:
      Zhao et al. 2017, Loss functions for image restoration with neural networks, for
      0.84 (1 - MS-SSIM) + 0.16 L1.
    """
    if not terms:
        raise ValueError("terms must name at least one loss, got none")
    values = []
    for term in terms:
        arguments = dict(term.items())
        if "name" not in arguments or "weight" not in arguments:
            raise ValueError(f"a term must have a name and a weight, got {arguments}")
        weight = arguments.pop("weight")
        if not weight >= 0:
            raise ValueError(
                f"weight of {arguments['name']!r} must be >= 0, got {weight}"
            )
        function = by_name(**arguments, data_range=data_range)
        if mask is not None and "mask" not in inspect.signature(function).parameters:
            raise TypeError(f"loss {arguments['name']!r} takes no mask")
        shared = {} if mask is None else {"mask": mask}
        values.append(weight * function(prediction, target, **shared))
    return jnp.stack(values).sum(0)
