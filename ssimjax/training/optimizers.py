"""The optimisers that the papers use, from optax."""

import math
from collections.abc import Mapping
from typing import Any, Literal

import jax
import optax

Schedule = Literal["constant", "cosine"]


def sgd(
    *,
    rate: float,
    schedule: Schedule = "constant",
    steps: int,
    momentum: float = 0.9,
    weight_decay: float = 1e-4,
    rate_factors: Mapping[str, float] | None = None,
) -> optax.GradientTransformation:
    """SGD with momentum and coupled weight decay.

        v ← momentum v + (g + weight_decay w),  w ← w - rate factor v

    Args:
      rate: learning rate at the first step, > 0.
      schedule: "constant", or "cosine" down to 0 after the last step.
      steps: number of steps of the run.
      momentum: in [0, 1).
      weight_decay: >= 0.
      rate_factors: factors >= 0 on the rate of the parameters, or of the modules, of
        these names, such as `{"filters": 300.0}`.

    Returns:
      The optimiser.

    Raises:
      ValueError: if the schedule is unknown or a number is out of its range.

    Example:
      >>> optimizer = sgd(rate=0.01, steps=100)
      >>> state = optimizer.init({"kernel": jax.numpy.ones(3)})

    References:
      Abobakr et al. 2018, SSIMLayer, Eq. 11-14 and Section 3.1.
    """
    _check_momentum("momentum", momentum)
    if not weight_decay >= 0:
        raise ValueError(f"weight_decay must be >= 0, got {weight_decay}")
    rates = _rates(rate, schedule, steps)
    return optax.chain(
        optax.add_decayed_weights(weight_decay),
        optax.sgd(rates, momentum),
        _scaled(rate_factors or {}),
    )


def adam(
    *,
    rate: float,
    schedule: Schedule = "constant",
    steps: int,
    b1: float = 0.9,
    b2: float = 0.999,
    rate_factors: Mapping[str, float] | None = None,
) -> optax.GradientTransformation:
    """Adam, with the rate of `sgd`.

    Args:
      rate: learning rate at the first step, > 0.
      schedule: "constant", or "cosine" down to 0 after the last step.
      steps: number of steps of the run.
      b1: decay of the mean gradient, in [0, 1).
      b2: decay of the mean squared gradient, in [0, 1).
      rate_factors: as in `sgd`.

    Returns:
      The optimiser.

    Raises:
      ValueError: if the schedule is unknown or a number is out of its range.

    Example:
      >>> optimizer = adam(rate=1e-3, steps=100, b1=0.5)
      >>> state = optimizer.init({"kernel": jax.numpy.ones(3)})

    References:
      Kingma and Ba 2015, Adam, Algorithm 1.
    """
    _check_momentum("b1", b1)
    _check_momentum("b2", b2)
    return optax.chain(
        optax.adam(_rates(rate, schedule, steps), b1, b2), _scaled(rate_factors or {})
    )


def _scaled(factors: Mapping[str, float]) -> optax.GradientTransformation:
    """Factors on the updates of what bears a name, or lies in what bears it."""
    if not factors:
        return optax.identity()
    for key, factor in factors.items():
        if not 0 <= factor < math.inf:
            raise ValueError(
                f"rate_factors must be numbers >= 0, got {factor} for {key!r}"
            )

    def names(parameters: Any) -> Any:
        def name(path: tuple[Any, ...], _: Any) -> str:
            return next((p.key for p in path if p.key in factors), "others")

        return jax.tree_util.tree_map_with_path(name, parameters)

    scales = {key: optax.scale(factor) for key, factor in factors.items()}
    return optax.partition({"others": optax.identity(), **scales}, names)


def _rates(rate: float, schedule: Schedule, steps: int) -> optax.ScalarOrSchedule:
    if schedule not in ("constant", "cosine"):
        raise ValueError(f"schedule must be 'constant' or 'cosine', got {schedule!r}")
    if not rate > 0:
        raise ValueError(f"rate must be > 0, got {rate}")
    return rate if schedule == "constant" else optax.cosine_decay_schedule(rate, steps)


def _check_momentum(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise ValueError(f"{name} must be in [0, 1), got {value}")
