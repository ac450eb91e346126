"""Training steps as compiled programs: several seeds, several steps, one call."""

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, PRNGKeyArray

from ssimjax.data import batch_indices
from ssimjax.training.keys import named_key, root_key

Metrics = Mapping[str, Array]
_TrainStep = Callable[[PRNGKeyArray, Any, Any], tuple[Any, Metrics]]


class Program:
    """The steps of a run. Step k depends on the state, the seeds and k alone.

    Attributes:
      compile_seconds: what compilation has taken so far.
      memory_bytes: what the largest compiled program needs on a device, with its
        arguments; None where the device does not say.
    """

    def __init__(
        self,
        init: Callable[[PRNGKeyArray], Any],
        train_step: _TrainStep,
        *,
        seeds: Sequence[int],
        mesh: Mesh,
        skip_nonfinite: bool,
    ):
        """Builds the programs; they are compiled when they are first called.

        Args:
          init: from a key to the state before the first step.
          train_step: from key, state and batch to the next state and metrics.
          seeds: of everything random. With more than one, the state has a leading axis
            of them, and `init` and `train_step` are vectorised over it.
          mesh: the devices.
          skip_nonfinite: whether a step with metrics that are not finite changes
            nothing.
        """
        self.compile_seconds = 0.0
        self.memory_bytes: int | None = None
        self._seeds = tuple(seeds)
        self._several = len(self._seeds) > 1
        self._replicated = NamedSharding(mesh, P())
        along = ("replica",) if self._several else ()
        self._state_sharding = NamedSharding(mesh, P(*along))
        self.batch_sharding = NamedSharding(mesh, P(None, *along, "data"))
        keys = jnp.stack([root_key(seed) for seed in self._seeds])
        self._keys = keys if self._several else keys[0]

        def one_step(key: PRNGKeyArray, step: Array, state: Any, batch: Any):
            key = jax.random.fold_in(named_key(key, "train"), step)
            after, metrics = train_step(key, state, batch)
            finite = functools.reduce(
                jnp.logical_and,
                [jnp.isfinite(value).all() for value in metrics.values()],
            )
            if skip_nonfinite:
                after = jax.tree.map(lambda a, b: jnp.where(finite, a, b), after, state)
            return after, {**metrics, "finite": finite}

        def start(key: PRNGKeyArray) -> Any:
            return init(named_key(key, "init"))

        self._start, self._one_step = start, one_step
        if self._several:
            self._start = over_seeds(start, mesh, (0,))
            self._one_step = over_seeds(one_step, mesh, (0, None, 0, 0))
        self._on_cpu = _on_cpu(mesh)
        self._compiled: dict[int, Any] = {}

    def initial_state(self) -> Any:
        """The state before the first step, on the devices."""
        start = jax.jit(self._start, out_shardings=self._state_sharding)
        return start(self._keys)

    def abstract_state(self) -> Any:
        """Shapes, dtypes and devices of the state, without computing one."""
        return jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(
                leaf.shape, leaf.dtype, sharding=self._state_sharding
            ),
            jax.eval_shape(self._start, self._keys),
        )

    def replicated(self, state: Any) -> Any:
        """A state of which every device holds all; all processes call it together."""
        copy = jax.jit(lambda state: state, out_shardings=self._replicated)
        return copy(state)

    def indices(self, part: range, *, batch_size: int, length: int) -> np.ndarray:
        """Which examples some steps see.

        Args:
          part: numbers of the steps, from 0.
          batch_size: examples per step and seed.
          length: number of training examples.

        Returns:
          `[steps, batch_size]`, or `[steps, seeds, batch_size]` with several seeds.
        """
        indices = np.stack(
            [
                [
                    batch_indices(
                        step=step, batch_size=batch_size, length=length, seed=seed
                    )
                    for seed in self._seeds
                ]
                for step in part
            ]
        )
        return indices if self._several else indices[:, 0]

    def is_compiled(self, count: int) -> bool:
        """Whether a call of so many steps need not be compiled."""
        return count in self._compiled

    def __call__(self, state: Any, batches: Any, first: int) -> tuple[Any, Metrics]:
        """Takes as many steps as there are batches.

        Args:
          state: the state; its buffers are used again.
          batches: with a leading axis of steps.
          first: number of the first step.

        Returns:
          The state after them, and metrics `[steps]` or `[steps, seeds]`; `finite` says
          whether all others are.
        """
        count = jax.tree.leaves(batches)[0].shape[0]
        arguments = (self._keys, jnp.asarray(first), state, batches)
        if count not in self._compiled:
            self._compile(count, arguments)
        return self._compiled[count](*arguments)

    def _compile(self, count: int, arguments: tuple[Any, ...]) -> None:
        before = time.perf_counter()
        compiled = (
            jax.jit(
                self._steps,
                donate_argnums=2,
                out_shardings=(self._state_sharding, self._replicated),
            )
            .lower(*arguments)
            .compile()
        )
        self.compile_seconds += time.perf_counter() - before
        self._compiled[count] = compiled
        memory = compiled.memory_analysis()
        if memory is not None:
            size = memory.temp_size_in_bytes + memory.argument_size_in_bytes
            self.memory_bytes = max(self.memory_bytes or 0, size)

    def _steps(
        self, keys: Array, first: Array, state: Any, batches: Any
    ) -> tuple[Any, Metrics]:
        count = jax.tree.leaves(batches)[0].shape[0]
        if count == 1:
            batch = jax.tree.map(lambda values: values[0], batches)
            state, metrics = self._one_step(keys, first, state, batch)
            return state, jax.tree.map(lambda value: value[None], metrics)

        def step(state: Any, inputs: tuple[Array, Any]):
            number, batch = inputs
            return self._one_step(keys, number, state, batch)

        steps = (first + jnp.arange(count), batches)
        return jax.lax.scan(step, state, steps, unroll=count if self._on_cpu else 1)


def over_seeds(
    function: Callable[..., Any], mesh: Mesh, in_axes: Sequence[int | None]
) -> Callable[..., Any]:
    """Maps a function over the leading axis of seeds.

    That is `jax.vmap`, but not on CPUs: there, the convolutions of several networks are
    one grouped convolution, which XLA computes five times more slowly than one after
    the other; and a loop that is not unrolled computes convolutions on one core
    without vectors.

    Args:
      function: of one seed.
      mesh: the devices; those along `replica` take a part of the seeds each.
      in_axes: 0 for arguments with an axis of seeds, None for others.

    Returns:
      The function of all seeds.
    """

    def one_by_one(*args: Any) -> Any:
        mapped = [arg for arg, axis in zip(args, in_axes) if axis == 0]
        count = jax.tree.leaves(mapped)[0].shape[0]

        def one(carry: None, given: Any) -> tuple[None, Any]:
            rest = iter(given)
            return carry, function(
                *(next(rest) if axis == 0 else a for a, axis in zip(args, in_axes))
            )

        return jax.lax.scan(one, None, mapped, unroll=count)[1]

    local = one_by_one if _on_cpu(mesh) else jax.vmap(function, tuple(in_axes))
    if mesh.shape["replica"] == 1:
        return local
    return jax.shard_map(
        local,
        mesh=mesh,
        in_specs=tuple(P("replica") if axis == 0 else P() for axis in in_axes),
        out_specs=P("replica"),
        axis_names={"replica"},
        check_vma=False,
    )


def _on_cpu(mesh: Mesh) -> bool:
    return mesh.devices.flat[0].platform == "cpu"
