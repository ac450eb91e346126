"""Auto-PGD: projected gradient descent without a step size to choose."""

import math
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int, Key, PRNGKeyArray

from ssimjax.attacks.balls import NORMS, Epsilon, Norm, ball_around
from ssimjax.attacks.inputs import as_floats
from ssimjax.attacks.objectives import (
    LOSSES,
    LogitsFn,
    margin,
    targeted_dlr,
    without_label,
)
from ssimjax.attacks.pgd import at_starts
from ssimjax.attacks.slots import (
    Method,
    Seen,
    Slots,
    attack,
    check_positive,
    choose,
    per_example,
)

APGDLoss = Literal["ce", "margin", "dlr", "targeted_dlr"]

_MOMENTUM, _RHO = 0.75, 0.75
_FIRST, _SHORTER, _SHORTEST = 0.22, 0.03, 0.06


class _Run(NamedTuple):
    """A run of one example.

    Attributes:
      previous: the point before the current one.
      step_size: η.
      best: the point of the largest loss in this run.
      best_loss: that loss.
      best_gradient: the gradient there.
      last_loss: loss at the previous point.
      increases: how often the loss grew since the last checkpoint.
      checked_loss: the largest loss at the last checkpoint.
      halved: whether the step was halved there.
      targets: classes to aim at, one run after the other.
    """

    previous: Float[Array, "s h w c"]
    step_size: Float[Array, " s"]
    best: Float[Array, "s h w c"]
    best_loss: Float[Array, " s"]
    best_gradient: Float[Array, "s h w c"]
    last_loss: Float[Array, " s"]
    increases: Int[Array, " s"]
    checked_loss: Float[Array, " s"]
    halved: Bool[Array, " s"]
    targets: Int[Array, "s targets"]


def apgd(
    key: PRNGKeyArray,
    logits_fn: LogitsFn,
    images: Float[ArrayLike, "b h w c"],
    labels: Int[ArrayLike, " b"],
    *,
    epsilon: Epsilon,
    norm: Norm = "linf",
    steps: int = 100,
    restarts: int = 1,
    loss: APGDLoss = "ce",
    targets: int = 9,
    top_k: int = 1,
    early_stop: bool = True,
    clip_range: tuple[float, float] = (0.0, 1.0),
    slots: int | None = None,
) -> Float[Array, "b h w c"]:
    """Gradient steps with momentum whose size is halved where progress stalls.

        z = P(x_t + η d(∇J(x_t))),
        x_{t+1} = P(x_t + α (z − x_t) + (1 − α) (x_t − x_{t−1})),  α = 0.75

    η is 2ε at first. At each checkpoint it is halved, and the run goes on from its best
    point, if at most 75 % of the steps since the last one increased the loss, or if
    neither η nor the best loss has changed since then. Checkpoints are after 22 % of
    the steps, then after intervals that shrink by 3 % of the steps, to 6 %.

    Args:
      key: PRNG key of the starts.
      logits_fn: maps images to logits `[b, classes]`, each image on its own.
      images: images in `clip_range`.
      labels: true classes.
      epsilon: radius of the ball in pixel units, >= 0; may be traced.
      norm: "linf" or "l2".
      steps: of each run, >= 1.
      restarts: runs from random points of the ball, >= 1; for each target.
      loss: "ce", "margin", "dlr" or "targeted_dlr", which aims at one class after the
        other, the most likely first.
      targets: how many classes "targeted_dlr" aims at, at most all others.
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
      >>> found = apgd(
      ...     jax.random.key(0), two, image, jnp.array([0]), epsilon=0.25
      ... )
      >>> bool(two(found)[0, 0] < 0.4)
      True

    References:
      Croce and Hein 2020, Reliable evaluation of adversarial robustness with an
      ensemble of diverse parameter-free attacks, Algorithm 1, Section 3 and 4.
    """
    ball = ball_around(
        images, epsilon=epsilon, norm=norm, clip_range=clip_range, allowed=NORMS
    )
    check_positive(steps=steps, restarts=restarts, targets=targets, top_k=top_k)
    if loss not in get_args(APGDLoss):
        raise ValueError(f"loss must be one of {get_args(APGDLoss)}, got {loss!r}")
    targeted = loss == "targeted_dlr"
    if targeted:
        classes = jax.eval_shape(logits_fn, as_floats(images)[:1]).shape[-1]
        targets = min(targets, classes - 1)
    checked, intervals = _checkpoints(steps)

    def start(images: Array) -> _Run:
        count = len(images)
        none = jnp.full(count, -jnp.inf, images.dtype)
        return _Run(
            previous=images,
            step_size=jnp.zeros(count, images.dtype),
            best=images,
            best_loss=none,
            best_gradient=jnp.zeros_like(images),
            last_loss=none,
            increases=jnp.zeros(count, jnp.int32),
            checked_loss=none,
            halved=jnp.zeros(count, bool),
            targets=jnp.zeros((count, targets if targeted else 0), jnp.int32),
        )

    def objective(logits: Array, state: Slots) -> Array:
        if loss == "margin":
            return margin(logits, state.label, top_k=top_k)
        if not targeted:
            return LOSSES[loss](logits, state.label)
        run = jnp.maximum(state.visits - 1, 0) // ((steps + 1) * restarts)
        aims = jnp.take_along_axis(state.own.targets, run[:, None], 1)[:, 0]
        return targeted_dlr(logits, state.label, aims)

    def advance(keys: Key[Array, " s"], state: Slots, seen: Seen) -> tuple[Array, _Run]:
        run: _Run = state.own
        assert seen.gradient is not None
        # How many steps led to the point; the image itself, seen before all, is none.
        time = (state.visits - 1) % (steps + 1)
        first = time == 0
        improved = first | (seen.loss > run.best_loss)
        run = run._replace(
            previous=choose(first, state.point, run.previous),
            step_size=jnp.where(first, 2.0 * ball.epsilon, run.step_size),
            best=choose(improved, state.point, run.best),
            best_loss=jnp.where(improved, seen.loss, run.best_loss),
            best_gradient=choose(improved, seen.gradient, run.best_gradient),
            increases=jnp.where(first, 0, run.increases + (seen.loss > run.last_loss)),
            checked_loss=jnp.where(first, seen.loss, run.checked_loss),
            halved=run.halved & ~first,
            last_loss=seen.loss,
        )
        here = jnp.asarray(checked)[time]
        few = run.increases <= _RHO * jnp.asarray(intervals)[time]
        stuck = ~run.halved & (run.checked_loss >= run.best_loss)
        halve = here & (few | stuck)
        run = run._replace(
            step_size=jnp.where(halve, run.step_size / 2, run.step_size),
            increases=jnp.where(here, 0, run.increases),
            checked_loss=jnp.where(here, run.best_loss, run.checked_loss),
            halved=jnp.where(here, halve, run.halved),
        )
        if targeted:
            others = without_label(seen.logits, state.label)
            ranked = jnp.argsort(-others, axis=1)[:, :targets].astype(jnp.int32)
            run = run._replace(targets=choose(state.visits == 0, ranked, run.targets))

        point = choose(halve, run.best, state.point)
        gradient = choose(halve, run.best_gradient, seen.gradient)
        step = per_example(run.step_size, point) * ball.steepest(gradient)
        ahead = ball.project(point + step, state.image)
        alpha = per_example(jnp.where(first, 1.0, _MOMENTUM), point)
        # The first step has no momentum.
        moved = point + alpha * (ahead - point) + (1 - alpha) * (point - run.previous)
        points = ball.project(moved, state.image)
        points = at_starts(ball, keys, state, points, every=steps + 1)
        return points, run._replace(previous=point)

    method = Method(
        evaluations=1 + restarts * (targets if targeted else 1) * (steps + 1),
        start=start,
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


def _checkpoints(steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Which steps are checkpoints, and how many steps each has since the last."""
    checked, intervals = np.zeros(steps + 1, bool), np.ones(steps + 1)
    share, length, last = 0.0, _FIRST, 0
    while share + length < 1:
        share += length
        # Rounded first: 0.57 times 100 is a little more than 57.
        step = math.ceil(round(share * steps, 6))
        if last < step <= steps:
            checked[step], intervals[step], last = True, step - last, step
        length = max(length - _SHORTER, _SHORTEST)
    return checked, intervals
