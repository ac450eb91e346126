"""The loop that all iterative attacks share.

Most examples fall after a few steps, and some never. So the attack goes on in a number
of slots: an example that is done makes room for the next, and no evaluation of the
network is spent on one that has been fooled. All of it is one compiled loop. What an
example goes through depends on the key and on its index, and on no other example.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.core
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from ssimjax.attacks.inputs import as_inputs, check_labels
from ssimjax.attacks.objectives import LogitsFn, is_fooled, margin

# PGD on 1000 photographs took a third of the time with 16 to 200 slots that it took
# with one for each: few of them wait for the last image, and maps stay in the cache.
_CPU_SLOTS = 64


class Slots(NamedTuple):
    """Examples under attack.

    Attributes:
      example: index of each; the number of examples where a slot is empty.
      image: as it was given.
      label: true class.
      visits: how often the network has seen the example. Before the first time, `point`
        is the image itself.
      point: what the network sees next.
      best: the point of the largest margin so far.
      best_margin: that margin.
      fooled: whether a point was misclassified; it is `best` then.
      broken: whether a logit was not finite.
      own: what one attack keeps beside.
    """

    example: Int[Array, " s"]
    image: Float[Array, "s h w c"]
    label: Int[Array, " s"]
    visits: Int[Array, " s"]
    point: Float[Array, "s h w c"]
    best: Float[Array, "s h w c"]
    best_margin: Float[Array, " s"]
    fooled: Bool[Array, " s"]
    broken: Bool[Array, " s"]
    own: Any


class Seen(NamedTuple):
    """What the network said about the points.

    Attributes:
      logits: of each class.
      margin: see `objectives.margin`.
      fooled: whether the point is misclassified.
      loss: what the attack maximises.
      gradient: of the loss in the point, 0 where it is not finite; None for an attack
        that does not ask for it.
    """

    logits: Float[Array, "s classes"]
    margin: Float[Array, " s"]
    fooled: Bool[Array, " s"]
    loss: Float[Array, " s"]
    gradient: Float[Array, "s h w c"] | None


class Method(NamedTuple):
    """An iterative attack.

    Attributes:
      evaluations: how often the network sees an example that withstands.
      start: what `Slots.own` is at first, of images.
      advance: the next points and `Slots.own`, of keys, slots and what was seen.
      loss: what to maximise, of logits and slots; None if no gradient is needed.
    """

    evaluations: int
    start: Callable[[Array], Any]
    advance: Callable[[Array, Slots, Seen], tuple[Array, Any]]
    loss: Callable[[Array, Slots], Array] | None


def attack(
    key: PRNGKeyArray,
    logits_fn: LogitsFn,
    images: Float[ArrayLike, "b h w c"],
    labels: Int[ArrayLike, " b"],
    method: Method,
    *,
    top_k: int,
    early_stop: bool,
    slots: int | None,
) -> Float[Array, "b h w c"]:
    """Runs a method on all images; see `pgd` for the arguments and errors."""
    given = labels  # Within `jit`, they are traced as soon as they are arrays of JAX.
    images, labels = as_inputs(images, labels)
    count = len(images)
    if slots is not None and slots < 1:
        raise ValueError(f"slots must be >= 1 or None, got {slots}")
    if count == 0:
        return images
    if slots is None and jax.default_backend() == "cpu":
        slots = _CPU_SLOTS
    width = count if slots is None else min(slots, count)

    def fresh(index: Array, images: Array, labels: Array) -> Slots:
        size = len(index)
        return Slots(
            example=index,
            image=images,
            label=labels,
            visits=jnp.zeros(size, jnp.int32),
            point=images,
            best=images,
            best_margin=jnp.full(size, -jnp.inf, images.dtype),
            fooled=jnp.zeros(size, bool),
            broken=jnp.zeros(size, bool),
            own=method.start(images),
        )

    def see(state: Slots) -> Seen:
        def total(points: Array) -> tuple[Array, tuple[Array, Array]]:
            logits = logits_fn(points).astype(images.dtype)
            check_labels(given, logits.shape[1])
            if method.loss is None:
                return jnp.zeros(()), (logits, margin(logits, state.label, top_k=top_k))
            losses = method.loss(logits, state)
            return losses.sum(), (logits, losses)

        gradient = None
        if method.loss is None:
            _, (logits, loss) = total(state.point)
        else:
            (_, (logits, loss)), gradient = jax.value_and_grad(total, has_aux=True)(
                state.point
            )
            gradient = jnp.where(jnp.isfinite(gradient), gradient, 0)
        return Seen(
            logits,
            margin(logits, state.label, top_k=top_k),
            is_fooled(logits, state.label, top_k=top_k),
            loss,
            gradient,
        )

    def step(state: Slots) -> tuple[Slots, Bool[Array, " s"]]:
        seen = see(state)
        better = (seen.fooled & ~state.fooled) | (
            (seen.fooled == state.fooled) & (seen.margin > state.best_margin)
        )
        state = state._replace(
            best=choose(better, state.point, state.best),
            best_margin=jnp.where(better, seen.margin, state.best_margin),
            fooled=state.fooled | seen.fooled,
            broken=state.broken | ~jnp.isfinite(seen.logits).all(1),
        )
        keys = jax.vmap(lambda i, c: jax.random.fold_in(jax.random.fold_in(key, i), c))(
            state.example, state.visits
        )
        points, own = method.advance(keys, state, seen)
        done = state.broken | (state.visits + 1 >= method.evaluations)
        if early_stop:
            done |= state.fooled
        return state._replace(point=points, own=own, visits=state.visits + 1), done

    def body(carry: tuple[Slots, Array, Array]) -> tuple[Slots, Array, Array]:
        state, results, ahead = carry
        state, done = step(state)
        done &= state.example < count
        found = choose(state.broken, jnp.full_like(state.best, jnp.nan), state.best)
        if width == count:
            # No queue, and no scattering across the devices that share the batch.
            results = choose(done, found, results)
            return (
                state._replace(example=jnp.where(done, count, state.example)),
                results,
                ahead,
            )
        results = results.at[jnp.where(done, state.example, count)].set(
            found, mode="drop"
        )

        def refill(state: Slots) -> Slots:
            index = jnp.where(done, ahead + jnp.cumsum(done) - 1, state.example)
            index = jnp.minimum(index, count)
            taken = jnp.minimum(index, count - 1)
            return jax.tree.map(
                lambda new, old: choose(done, new, old),
                fresh(index, images[taken], labels[taken]),
                state,
            )

        state = jax.lax.cond(done.any(), refill, lambda state: state, state)
        return state, results, ahead + done.sum()

    first = fresh(jnp.arange(width), images[:width], labels[:width])
    _, results, _ = jax.lax.while_loop(
        lambda carry: (carry[0].example < count).any(),
        body,
        (first, images, jnp.asarray(width)),
    )
    return sound(results, jnp.isnan(results).any((1, 2, 3)))


def sound(
    images: Float[Array, "b h w c"], broken: Bool[Array, " b"]
) -> Float[Array, "b h w c"]:
    """The images, unless the network broke on one of them.

    Args:
      images: results of an attack.
      broken: whether a logit was not finite.

    Returns:
      The images. Under `jit` nothing can be raised, and those on which it broke are NaN
      for whoever evaluates them.

    Raises:
      FloatingPointError: if it broke on one.
    """
    if isinstance(broken, jax.core.Tracer):
        return choose(broken, jnp.full_like(images, jnp.nan), images)
    found = jnp.flatnonzero(broken).tolist()
    if found:
        raise FloatingPointError(
            f"logits are not finite on the way from {len(found)} of {len(images)} "
            f"images, the first of them images[{found[0]}]"
        )
    return images


def check_positive(**numbers: int) -> None:
    """Raises a ValueError that names the first number below 1."""
    for name, number in numbers.items():
        if number < 1:
            raise ValueError(f"{name} must be >= 1, got {number}")


def per_example(values: Array, like: Array) -> Array:
    """Values `[b]` with axes to broadcast against `[b, ...]`."""
    return values.reshape(-1, *[1] * (like.ndim - 1))


def choose(condition: Bool[Array, " s"], new: Array, old: Array) -> Array:
    """The new array for the examples that a condition names, the old for the rest."""
    return jnp.where(per_example(condition, new), new, old)
