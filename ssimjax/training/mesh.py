"""Where arrays live: one mesh over all devices, batches split over it."""

from collections.abc import Sequence
from typing import Any

import jax
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P


def data_mesh(*, devices: Sequence[Any] | None = None) -> Mesh:
    """A mesh with the one axis `data`.

    Args:
      devices: the devices; all of them if None.

    Returns:
      The mesh.

    Example:
      >>> data_mesh().axis_names
      ('data',)
    """
    devices = jax.devices() if devices is None else devices
    # Explicit axes, JAX's default, refuse Gram matrices and permutations of a batch.
    return jax.make_mesh(
        (len(devices),), ("data",), axis_types=(AxisType.Auto,), devices=devices
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
    devices = mesh.devices.size
    if batch_size < 1 or batch_size % devices:
        below = batch_size // devices * devices
        near = [size for size in (below, below + devices) if size > 0]
        raise ValueError(
            f"{name} must be a positive multiple of the {devices} devices, got "
            f"{batch_size}; near it: {', '.join(map(str, near))}"
        )


def shard_batch(batch: Any, mesh: Mesh) -> Any:
    """Splits the leading axis of every array over the devices.

    Args:
      batch: a tree of arrays that share their leading axis.
      mesh: the devices.

    Returns:
      The tree, on the devices.
    """
    return jax.device_put(batch, NamedSharding(mesh, P("data")))


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Copies every array to all devices.

    Args:
      tree: a tree of arrays.
      mesh: the devices.

    Returns:
      The tree, on the devices.
    """
    return jax.device_put(tree, NamedSharding(mesh, P()))
