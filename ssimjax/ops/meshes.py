"""Arrays on a mesh whose axes are Explicit, as `jax.make_mesh` makes them.

There the type of an array says how it is divided, and every operation must know how its
result is. Those here leave that to the compiler, as on meshes of Auto axes.
"""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import jax
from jax.sharding import NamedSharding, PartitionSpec

_P = ParamSpec("_P")
_R = TypeVar("_R")


def on_any_mesh(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Lets arrays be divided along Explicit axes of a mesh.

    Args:
      function: of arrays, in trees or not, and of whatever else.

    Returns:
      The function. Leading axes of a result that are those of an argument, as those of
      a batch are, are divided alike; the others are not.

    Example:
      >>> import jax.numpy as jnp
      >>> mesh = jax.make_mesh((1,), ("data",))
      >>> by_rows = NamedSharding(mesh, PartitionSpec("data"))
      >>> x = jax.device_put(jnp.ones((4, 3)), by_rows)
      >>> means = on_any_mesh(lambda x: x.reshape(12).reshape(4, 3).mean(1))
      >>> means(x).sharding.spec == PartitionSpec("data")
      True
    """

    @functools.wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        leaves, tree = jax.tree.flatten((args, kwargs))
        places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, jax.Array)]
        types = [jax.typeof(leaves[i]) for i in places]
        meshes = [t.sharding.mesh for t in types if t.sharding.mesh.explicit_axes]
        if not meshes:
            return function(*args, **kwargs)

        whole: Callable[..., Any] = function

        def of_arrays(*arrays: Any) -> Any:
            values = list(leaves)
            for place, array in zip(places, arrays):
                values[place] = array
            args, kwargs = jax.tree.unflatten(tree, values)
            return whole(*args, **kwargs)

        undivided = [jax.ShapeDtypeStruct(t.shape, t.dtype) for t in types]
        shardings = jax.tree.map(
            lambda of: NamedSharding(meshes[0], _divided_alike(of.shape, types)),
            jax.eval_shape(of_arrays, *undivided),
        )
        on_auto_axes: Any = jax.sharding.auto_axes(
            of_arrays, axes=meshes[0].explicit_axes, out_sharding=shardings
        )
        return on_auto_axes(*(leaves[i] for i in places))

    return call


def _divided_alike(shape: tuple[int, ...], types: list[Any]) -> PartitionSpec:
    """How a result is divided, by the argument that is along most axes."""

    def shared(of: Any) -> list[Any]:
        count = 0
        while shape[: count + 1] == of.shape[: count + 1] and count < len(shape):
            count += 1
        return list(of.sharding.spec[:count])

    specs = map(shared, types)
    return PartitionSpec(*max(specs, key=lambda spec: len(spec) - spec.count(None)))
