import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssimjax.attacks import apgd, margin
from ssimjax.attacks.apgd import _checkpoints

EPSILON = 0.3
CENTRES = jax.random.uniform(jax.random.key(5), (6, 3, 3, 2))


def curved(images):
    """Logits with many local maxima of the loss within the ball."""
    x = images.reshape(len(images), -1)
    angles = 7 * x + jnp.arange(x.shape[1])[None]
    return jnp.stack([jnp.sin(angles).sum(1), jnp.cos(1.3 * angles).sum(1)], -1)


def by_hand(image, label, *, steps, norm):
    """Algorithm 1 of Croce and Hein 2020, for one image, in NumPy."""

    def project(z):
        z = np.asarray(z)
        if norm == "linf":
            z = np.clip(z, image - EPSILON, image + EPSILON)
        else:
            length = np.linalg.norm(z - image)
            z = image + (z - image) * min(1, EPSILON / max(length, 1e-30))
        return np.clip(z, 0, 1)

    def climb(x, gradient, size):
        if norm == "linf":
            return project(x + size * np.sign(gradient))
        return project(x + size * gradient / np.linalg.norm(gradient))

    def loss(x):
        return margin(curved(x[None]), label[None])[0]

    evaluate = jax.jit(jax.value_and_grad(loss))
    previous = current = image
    value, gradient = map(np.asarray, evaluate(current))
    best, best_value, best_gradient = current, value, gradient
    values = [value]
    size, halved, checked_value, last = 2 * EPSILON, False, value, 0
    checkpoints = np.flatnonzero(_checkpoints(steps)[0])
    for step in range(1, steps + 1):
        alpha = 0.75 if step > 1 else 1.0
        ahead = climb(current, gradient, size)
        moved = project(
            current + alpha * (ahead - current) + (1 - alpha) * (current - previous)
        )
        previous, current = current, moved
        value, gradient = map(np.asarray, evaluate(current))
        values.append(value)
        if value > best_value:
            best, best_value, best_gradient = current, value, gradient
        if step in checkpoints:
            grown = sum(values[i + 1] > values[i] for i in range(last, step))
            few = grown <= 0.75 * (step - last)
            stuck = not halved and checked_value >= best_value
            halved, checked_value, last = few or stuck, best_value, step
            if halved:
                size, current, gradient = size / 2, best, best_gradient
    return best


# In L2 a longer run magnifies the rounding of the last digit.
@pytest.mark.parametrize(("norm", "steps"), [("linf", 40), ("l2", 20)])
def test_follows_algorithm_1(norm, steps, float64, monkeypatch):
    images = jnp.asarray(np.asarray(CENTRES), jnp.float64)
    labels = curved(images).argmax(1)
    # From the images themselves, so that both begin alike.
    monkeypatch.setattr(
        "ssimjax.attacks.balls.Ball.random", lambda self, keys, centres: centres
    )
    found = apgd(
        jax.random.key(0),
        curved,
        images,
        labels,
        epsilon=EPSILON,
        norm=norm,
        steps=steps,
        loss="margin",
        early_stop=False,
    )
    for i, image in enumerate(np.asarray(images)):
        target = by_hand(image, labels[i], steps=steps, norm=norm)
        np.testing.assert_allclose(found[i], target, atol=1e-9)
        assert np.abs(target - image).max() > 0.1


def test_checkpoints_of_a_hundred_steps():
    checked, intervals = _checkpoints(100)
    steps = np.flatnonzero(checked)
    np.testing.assert_array_equal(steps, [22, 41, 57, 70, 80, 87, 93, 99])
    np.testing.assert_array_equal(intervals[steps], np.diff(steps, prepend=0))


def test_few_steps_have_checkpoints_in_order():
    for steps in range(1, 30):
        checked, intervals = _checkpoints(steps)
        assert checked.shape == intervals.shape == (steps + 1,)
        assert not checked[0] and intervals.min() >= 1


def test_targets_go_through_the_classes():
    """A class that only one target leads to is found."""
    images = jnp.full((1, 4, 4, 1), 0.5)
    # The last of the classes, least likely at first, is the one that can win.
    slopes = jnp.array([0.0, 0.0, 0.0, 0.0, 30.0])
    offsets = jnp.array([3.0, 2.5, 2.4, 2.3, 0.0])

    def logits_fn(x):
        brightness = x.mean((1, 2, 3), keepdims=True)[:, 0, 0]
        return offsets[None] + slopes[None] * (brightness - 0.5)

    def fooled(targets):
        found = apgd(
            jax.random.key(0),
            logits_fn,
            images,
            jnp.array([0]),
            epsilon=0.2,
            loss="targeted_dlr",
            targets=targets,
            steps=20,
        )
        return float(margin(logits_fn(found), jnp.array([0]))[0]) > 0

    assert fooled(4) and not fooled(3)
