"""Several processes as one program."""

import jax
from jax.experimental import multihost_utils


def is_main() -> bool:
    """Whether this process writes the files and prints.

    Returns:
      True in process 0, which may be the only one.
    """
    return jax.process_index() == 0


def barrier(name: str) -> None:
    """Waits until all processes have come here.

    Args:
      name: of the place, the same in all processes.
    """
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


def all_agree(value: bool) -> bool:
    """Whether a condition holds in every process.

    Args:
      value: whether it holds in this one.

    Returns:
      The same answer in all processes.
    """
    if jax.process_count() == 1:
        return value
    return bool(multihost_utils.process_allgather(value).all())
