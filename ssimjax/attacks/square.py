"""The Square attack: random search with the logits alone."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray

from ssimjax.attacks.balls import Epsilon, ball_around
from ssimjax.attacks.inputs import float_type
from ssimjax.attacks.objectives import LogitsFn
from ssimjax.attacks.slots import (
    Method,
    Seen,
    Slots,
    attack,
    check_positive,
    choose,
    per_example,
)

# Queries of 10,000 after which the share of pixels is halved.
_HALVED_AFTER = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)


class _Held(NamedTuple):
    """The point of the largest margin, from which the next is made."""

    point: Float[Array, "s h w c"]
    margin: Float[Array, " s"]


def square(
    key: PRNGKeyArray,
    logits_fn: LogitsFn,
    images: Float[ArrayLike, "b h w c"],
    labels: Int[ArrayLike, " b"],
    *,
    epsilon: Epsilon,
    queries: int = 5000,
    share: float = 0.8,
    top_k: int = 1,
    early_stop: bool = True,
    clip_range: tuple[float, float] = (0.0, 1.0),
    slots: int | None = None,
) -> Float[Array, "b h w c"]:
    """Changes random squares by ±2ε, clipped to the ball, and keeps what helps.

    It starts from vertical stripes of ±ε. A change is kept if the margin grows. Squares
    cover a share of the pixels that is halved after .1, .5, 2, 5, 10, 20, 40, 60 and
    80 % of the queries. No gradient is used, so that none can be masked.

    Args:
      key: PRNG key of the squares.
      logits_fn: maps images to logits `[b, classes]`, each image on its own.
      images: images in `clip_range`.
      labels: true classes.
      epsilon: L∞ radius of the ball in pixel units, >= 0; may be traced.
      queries: how often the network is asked about a changed image, the stripes
        included; once more about the image itself.
      share: of the pixels that the first squares cover, in (0, 1].
      top_k: see `pgd`, like the four that follow.
      early_stop: see `top_k`.
      clip_range: see `top_k`.
      slots: see `top_k`.

    Returns:
      For each image the point of the largest margin, misclassified if any point was.

    Raises:
      FloatingPointError: if a logit is not finite. Under `jit`, that image is NaN.
      ValueError: if an argument is out of its range.

    Example:
      >>> two = lambda x: jnp.stack([x.mean((1, 2, 3)), 0 * x[:, 0, 0, 0] + 0.4], -1)
      >>> image = jnp.full((1, 2, 2, 1), 0.5)
      >>> found = square(
      ...     jax.random.key(0), two, image, jnp.array([0]), epsilon=0.25
      ... )
      >>> bool(two(found)[0, 0] < 0.4)
      True

    References:
      Andriushchenko et al. 2020, Square attack: a query-efficient black-box adversarial
      attack via random search, Algorithms 1 and 2.
    """
    ball = ball_around(
        images, epsilon=epsilon, norm="linf", clip_range=clip_range, allowed=("linf",)
    )
    check_positive(queries=queries, top_k=top_k)
    if not 0 < share <= 1:
        raise ValueError(f"share must be in (0, 1], got {share}")
    height, width, channels = jnp.shape(images)[1:]
    dtype = float_type(images)
    sides = _sides(queries, share, height, width)

    def stripes(key: PRNGKeyArray) -> Array:
        return jax.random.rademacher(key, (1, width, channels), dtype)

    def change(key: PRNGKeyArray, side: Array) -> Array:
        signs, down, right = jax.random.split(key, 3)
        top = jax.random.randint(down, (), 0, height - side + 1)
        left = jax.random.randint(right, (), 0, width - side + 1)
        rows = jnp.arange(height)[:, None, None]
        columns = jnp.arange(width)[None, :, None]
        inside = (rows >= top) & (rows < top + side)
        inside &= (columns >= left) & (columns < left + side)
        return inside * jax.random.rademacher(signs, (1, 1, channels), dtype)

    def advance(
        keys: Key[Array, " s"], state: Slots, seen: Seen
    ) -> tuple[Array, _Held]:
        held: _Held = state.own
        # The stripes are kept whatever they do.
        kept = (state.visits <= 1) | (seen.margin > held.margin)
        held = _Held(
            choose(kept, state.point, held.point),
            jnp.where(kept, seen.margin, held.margin),
        )
        striped = jnp.broadcast_to(jax.vmap(stripes)(keys), state.image.shape)
        query = jnp.minimum(state.visits, queries - 1)
        squared = 2 * jax.vmap(change)(keys, jnp.asarray(sides)[query])
        first = per_example(state.visits == 0, state.image)
        points = jnp.where(first, state.image, held.point)
        points += ball.epsilon * jnp.where(first, striped, squared)
        return ball.project(points, state.image), held

    method = Method(
        evaluations=1 + queries,
        start=lambda images: _Held(
            images, jnp.full(len(images), -jnp.inf, images.dtype)
        ),
        advance=advance,
        loss=None,
    )
    return attack(
        key,
        logits_fn,
        images,
        labels,
        method,
        top_k=top_k,
        early_stop=early_stop,
        slots=slots,
    )


def _sides(queries: int, share: float, height: int, width: int) -> np.ndarray:
    """Side of the square of each query."""
    scaled = np.arange(queries) * 10_000 / queries
    shares = share / 2.0 ** (scaled[:, None] > _HALVED_AFTER).sum(1)
    sides = np.round(np.sqrt(shares * height * width)).astype(np.int32)
    return np.clip(sides, 1, min(height, width))
