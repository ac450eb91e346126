"""Where arrays live: one mesh over all devices of all processes.

Its axes are `replica`, over which independent seeds are spread, and `data`, over which
a batch is.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
from jax.sharding import AxisType, Mesh


def data_mesh(
    *,
    replicas: int = 1,
    shape: Sequence[int] | None = None,
    devices: Sequence[Any] | None = None,
) -> Mesh:
    """A mesh with the axes `replica` and `data`.

    Args:
      replicas: number of independently seeded replicas that are trained together. As
        many devices as divide both them and the devices are given to the first axis.
      shape: sizes of both axes, instead of that.
      devices: the devices; all of all processes if None.

    Returns:
      The mesh.

    Raises:
      ValueError: if `shape` does not fit the devices or the replicas.

    Example:
      >>> data_mesh().axis_names
      ('replica', 'data')
    """
    devices = jax.devices() if devices is None else devices
    count = len(devices)
    if shape is None:
        across = math.gcd(replicas, count)
        shape = (across, count // across)
    shape = tuple(shape)
    if len(shape) != 2 or math.prod(shape) != count or replicas % shape[0]:
        raise ValueError(
            "mesh must be (replica, data) sizes whose product is the number of devices "
            f"({count}), the first a divisor of the number of seeds ({replicas}), got "
            f"{shape}"
        )
    # Explicit axes, JAX's default, refuse Gram matrices and permutations of a batch.
    return jax.make_mesh(
        shape, ("replica", "data"), axis_types=(AxisType.Auto,) * 2, devices=devices
    )


def check_batch_size(name: str, batch_size: int, mesh: Mesh) -> None:
    """Raises unless the devices can share a batch evenly.

    Args:
      name: of the config key, for the message.
      batch_size: examples per batch, over all devices.
      mesh: the devices.

    Raises:
      ValueError: if the batch is empty or not divisible; the message lists what is.
    """
    devices = mesh.shape["data"]
    if batch_size < 1 or batch_size % devices:
        below = batch_size // devices * devices
        near = [size for size in (below, below + devices) if size > 0] or [devices]
        raise ValueError(
            f"{name} must be a positive multiple of the {devices} devices, got "
            f"{batch_size}; near it: {', '.join(map(str, near))}"
        )
