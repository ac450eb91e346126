"""Projected gradient descent."""

from typing import get_args

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray

from ssimjax.attacks.balls import NORMS, Ball, Epsilon, Norm, ball_around
from ssimjax.attacks.inputs import float_type
from ssimjax.attacks.objectives import LOSSES, LogitsFn, Loss, margin
from ssimjax.attacks.slots import Method, Seen, Slots, attack, check_positive, choose


def pgd(
    key: PRNGKeyArray,
    logits_fn: LogitsFn,
    images: Float[ArrayLike, "b h w c"],
    labels: Int[ArrayLike, " b"],
    *,
    epsilon: Epsilon,
    norm: Norm = "linf",
    steps: int = 50,
    step_size: Epsilon | None = None,
    restarts: int = 1,
    random_start: bool = True,
    loss: Loss = "ce",
    top_k: int = 1,
    early_stop: bool = True,
    clip_range: tuple[float, float] = (0.0, 1.0),
    slots: int | None = None,
) -> Float[Array, "b h w c"]:
    """Steps along the gradient, each projected back to the ball.

        x_{t+1} = P(x_t + α d(∇_x J(x_t, label))),
        d the sign for L∞, the gradient over its length for L2

    An image that is misclassified to begin with is returned as it is. A gradient that
    is not finite moves nothing. Call it under `jit` to compile it once for many calls.

    Args:
      key: PRNG key of the starts.
      logits_fn: maps images to logits `[b, classes]`, each image on its own.
      images: images in `clip_range`.
      labels: true classes.
      epsilon: radius of the ball in pixel units, >= 0; may be traced.
      norm: "linf" or "l2", the length of the change of a whole image.
      steps: of each restart, >= 1.
      step_size: α, in pixel units; 2.5 ε / steps if None.
      restarts: how many starts, >= 1.
      random_start: from a random point of the ball, or from the image.
      loss: "ce", "margin" or "dlr"; see `objectives`.
      top_k: an attack succeeds when the true class is not among so many guesses.
      early_stop: whether an image is done when it is misclassified; if not, the point
        of the largest margin is returned, for an attack on another network.
      clip_range: smallest and largest valid pixel.
      slots: how many images the network sees at a time; when one is done, the next
        takes its place. If None, 64 on CPUs, and elsewhere as many as there are images,
        which a batch that devices share needs.

    Returns:
      For each image the point of the largest margin, misclassified if any point was.
      It depends on the key, the image and its index alone.

    Raises:
      FloatingPointError: if a logit is not finite. Under `jit`, that image is NaN.
      ValueError: if an argument is out of its range.

    Example:
      >>> two = lambda x: jnp.stack([x.mean((1, 2, 3)), 0 * x[:, 0, 0, 0] + 0.4], -1)
      >>> image = jnp.full((1, 2, 2, 1), 0.5)
      >>> found = pgd(
      ...     jax.random.key(0), two, image, jnp.array([0]), epsilon=0.25
      ... )
      >>> bool(two(found)[0, 0] < 0.4)
      True

    References:
      Madry et al. 2018, Towards deep learning models resistant to adversarial attacks,
      Section 2.1.
    """
    ball = ball_around(
        images, epsilon=epsilon, norm=norm, clip_range=clip_range, allowed=NORMS
    )
    check_positive(steps=steps, restarts=restarts, top_k=top_k)
    if loss not in get_args(Loss):
        raise ValueError(f"loss must be one of {get_args(Loss)}, got {loss!r}")
    if restarts > 1 and not random_start:
        raise ValueError(f"restarts must be 1 without random_start, got {restarts}")
    size = 2.5 * epsilon / steps if step_size is None else step_size
    size = jnp.asarray(size, float_type(images))

    def advance(
        keys: Key[Array, " s"], state: Slots, seen: Seen
    ) -> tuple[Array, tuple]:
        assert seen.gradient is not None
        moved = state.point + size * ball.steepest(seen.gradient)
        points = ball.project(moved, state.image)
        if random_start:
            points = at_starts(ball, keys, state, points, every=steps + 1)
        return points, ()

    def objective(logits: Array, state: Slots) -> Array:
        if loss == "margin":
            return margin(logits, state.label, top_k=top_k)
        return LOSSES[loss](logits, state.label)

    method = Method(
        # The image itself, and all points of every start, the first and the last too.
        evaluations=1 + (restarts * (steps + 1) if random_start else steps),
        start=lambda images: (),
        advance=advance,
        loss=objective,
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


def at_starts(
    ball: Ball,
    keys: Key[Array, " s"],
    state: Slots,
    points: Float[Array, "s h w c"],
    *,
    every: int,
) -> Float[Array, "s h w c"]:
    """The points, and a random one of the ball where a run begins.

    Args:
      ball: where to draw from.
      keys: one per slot.
      state: of the attack, after an evaluation.
      points: what comes next otherwise.
      every: evaluations of a run.

    Returns:
      Points of the same shape.
    """
    begins = state.visits % every == 0
    return jax.lax.cond(
        begins.any(),
        lambda: choose(begins, ball.random(keys, state.image), points),
        lambda: points,
    )
