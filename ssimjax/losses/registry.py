"""Losses by name, for configs."""

import difflib
import functools
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from jaxtyping import Array, Float

from ssimjax.ops.images import Images
from ssimjax.ops.windows import Window, gaussian_window, uniform_window

Loss = Callable[..., Float[Array, "..."]]
_Function = TypeVar("_Function", bound=Callable[..., Any])
_LOSSES: dict[str, Loss] = {}
_WINDOWS = {"gaussian": gaussian_window, "uniform": uniform_window}


def loss(function: _Function) -> _Function:
    """Makes a loss known by the name of its function.

    Args:
      function: `(prediction, target, *, data_range, ...) -> [*batch]`.

    Returns:
      The function itself.
    """
    _LOSSES[function.__name__] = function
    return function


def by_name(
    name: str, *, data_range: float, **arguments: Any
) -> Callable[[Images, Images], Float[Array, "..."]]:
    """The loss of a name, with its arguments filled in, as a config states them.

    Args:
      name: of a function of this package that is decorated with `@loss`.
      data_range: largest possible pixel minus the smallest.
      arguments: further keyword arguments of that function, as plain numbers, strings,
        lists and mappings: a window is `{"gaussian": {"size": 11, "sigma": 1.5}}` or
        `{"uniform": {"size": 7}}`, `windows` a list of these.

    Returns:
      A function of prediction and target that returns one number per image.

    Raises:
      ValueError: if there is no such loss, argument or window.

    Example:
      >>> import jax.numpy as jnp
      >>> loss = by_name("ssim", data_range=1.0, window={"uniform": {"size": 5}})
      >>> float(loss(jnp.ones((8, 8, 1)), jnp.ones((8, 8, 1))))
      0.0
    """
    package = importlib.import_module(__package__ or "ssimjax.losses")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    if name not in _LOSSES:
        raise ValueError(f"no loss is named {name!r}{_suggestion(name, _LOSSES)}")
    function = _LOSSES[name]
    allowed = set(inspect.signature(function).parameters) - {"prediction", "target"}
    for argument in arguments:
        if argument not in allowed:
            raise ValueError(
                f"loss {name!r} has no argument {argument!r}"
                f"{_suggestion(argument, allowed)}"
            )
    if arguments.get("window") is not None:
        arguments["window"] = window_of(arguments["window"])
    if arguments.get("windows") is not None:
        arguments["windows"] = tuple(window_of(w) for w in arguments["windows"])
    return functools.partial(function, data_range=data_range, **arguments)


def _suggestion(word: str, words: Mapping[str, Any] | set[str]) -> str:
    near = difflib.get_close_matches(word, words, 1)
    meant = f"; did you mean {near[0]!r}?" if near else ";"
    return f"{meant} There are {', '.join(sorted(words))}"


def window_of(description: Any) -> Window:
    """The window that a config describes.

    Args:
      description: a window, `{"gaussian": {"size": ..., "sigma": ...}}` or
        `{"uniform": {"size": ...}}`.

    Returns:
      The window.

    Raises:
      ValueError: if it is none of them.

    Example:
      >>> window_of({"uniform": {"size": 2}}).sizes(2)
      (2, 2)
    """
    if isinstance(description, Window):
        return description
    items = list(description.items()) if hasattr(description, "items") else []
    named = len(items) == 1 and items[0][0] in _WINDOWS
    if not named or not hasattr(items[0][1], "items"):
        raise ValueError(
            "a window must be one of {'gaussian': {'size': ..., 'sigma': ...}} and "
            f"{{'uniform': {{'size': ...}}}}, got {description!r}"
        )
    kind, options = items[0]
    return _WINDOWS[kind](**dict(options.items()))
