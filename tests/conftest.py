"""Eight CPU devices, strict ranks, and the data sets that may be absent."""

import os
import pathlib
import tempfile

# Before jax is imported anywhere.
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
)
# Most of the time goes into compiling, often of what another test of a worker has
# compiled. Workers do not share, nor do runs that are killed: JAX writes in place.
_programs = tempfile.TemporaryDirectory(prefix="ssimjax-programs-")
os.environ["JAX_COMPILATION_CACHE_DIR"] = _programs.name
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"

import jax
import jaxtyping
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")

_usual_key = jax.random.key


def _key(seed, *, impl=None):
    """The usual key, of equal numbers, from which drawing compiles quickly."""
    # Not before pytest has put the type checks into the package.
    from ssimjax.training import root_key

    return root_key(seed) if impl is None else _usual_key(seed, impl=impl)


jax.random.key = _key

SHARED = pathlib.Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(autouse=True, scope="module")
def forgotten_programs():
    """Compiled programs of a file are dropped: a worker would hold thousands."""
    yield
    jax.clear_caches()


@pytest.fixture
def own_errors():
    """Lets our own messages through, which the type checks of the tests precede."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def float64():
    """Arrays of 64 bits."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def tfds_dir() -> str:
    """The folder of prepared data sets beside a development checkout."""
    folder = SHARED / "tfds"
    if not folder.is_dir():
        pytest.skip(f"no data sets in {folder}: TFDS is tested only where they are")
    return str(folder)
