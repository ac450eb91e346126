"""Properties that pgd, apgd and square share."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from ssimjax.attacks import (
    apgd,
    by_name,
    is_fooled,
    margin,
    pgd,
    square,
    transfer,
    worst_case,
)

KEY = jax.random.key(0)
WEIGHTS = jax.random.normal(jax.random.key(1), (4, 4, 3, 5))
IMAGES = jax.random.uniform(jax.random.key(2), (16, 4, 4, 3))
ATTACKS = {
    "pgd": functools.partial(pgd, steps=10),
    "pgd, l2, restarts": functools.partial(pgd, steps=20, norm="l2", restarts=3),
    "pgd from the image": functools.partial(pgd, steps=5, random_start=False),
    "pgd, margin": functools.partial(pgd, steps=10, loss="margin", restarts=2),
    "apgd": functools.partial(apgd, steps=20),
    "apgd, l2": functools.partial(apgd, steps=20, norm="l2", loss="dlr"),
    "apgd, targeted": functools.partial(apgd, steps=10, loss="targeted_dlr"),
    "square": functools.partial(square, queries=100),
}
FEW = ("pgd, l2, restarts", "apgd, targeted", "square")


def linear(images):
    return jnp.einsum("bhwc,hwck->bk", images - 0.5, WEIGHTS)


LABELS = linear(IMAGES).argmax(1)


@functools.cache
def program(name, slots, options):
    attack = functools.partial(ATTACKS[name], slots=slots, **dict(options))
    return jax.jit(
        lambda key, images, labels, epsilon: attack(
            key, linear, images, labels, epsilon=epsilon
        )
    )


def run(name, images, labels, *, epsilon, key=KEY, slots=None, **options):
    """Compiled once for all tests that need the same."""
    compiled = program(name, slots, tuple(options.items()))
    return compiled(key, images, labels, jnp.float32(epsilon))


def radius(name, changes):
    if "l2" in name:
        return jnp.sqrt((changes**2).sum((1, 2, 3)))
    return jnp.abs(changes).max((1, 2, 3))


@pytest.mark.parametrize("name", ATTACKS)
def test_stays_in_the_ball_and_in_the_range(name):
    images = jnp.clip(IMAGES, 0.1, 0.9)
    found = run(name, images, LABELS, epsilon=0.05, clip_range=(0.1, 0.9))
    assert found.min() >= 0.1 and found.max() <= 0.9
    assert 0.02 < radius(name, found - images).max() <= 0.05 + 1e-6


@pytest.mark.parametrize("name", ATTACKS)
def test_a_ball_of_radius_0_is_the_image(name):
    found = run(name, IMAGES, LABELS, epsilon=0.0)
    np.testing.assert_allclose(found, IMAGES, atol=1e-7)


@pytest.mark.parametrize("name", ATTACKS)
def test_what_is_wrong_already_is_left_alone(name):
    labels = LABELS.at[::2].set((LABELS[::2] + 1) % 5)
    found = run(name, IMAGES, labels, epsilon=0.3)
    np.testing.assert_array_equal(found[::2], IMAGES[::2])
    assert (found[1::2] != IMAGES[1::2]).any((1, 2, 3)).all()


@pytest.mark.parametrize("name", ATTACKS)
def test_an_image_does_not_depend_on_the_others_nor_on_the_slots(name):
    whole = run(name, IMAGES, LABELS, epsilon=0.03)
    queued = run(name, IMAGES, LABELS, epsilon=0.03, slots=5)
    np.testing.assert_allclose(queued, whole, atol=1e-5)
    alone = run(name, IMAGES[:3], LABELS[:3], epsilon=0.03, slots=5)
    np.testing.assert_allclose(alone, whole[:3], atol=1e-5)


@pytest.mark.parametrize("name", ATTACKS)
def test_compiled_it_is_the_same_and_the_key_decides(name):
    compiled = run(name, IMAGES, LABELS, epsilon=0.03)
    eager = ATTACKS[name](KEY, linear, IMAGES, LABELS, epsilon=0.03)
    np.testing.assert_allclose(compiled, eager, atol=1e-5)
    other = run(name, IMAGES, LABELS, epsilon=0.03, key=jax.random.key(9))
    random = name != "pgd from the image"
    assert bool((other != compiled).any()) is random


@pytest.mark.parametrize("name", ["pgd", "pgd, l2, restarts", "apgd", "apgd, l2"])
def test_reaches_the_worst_point_for_a_linear_network(name):
    """Of two classes, the margin grows by ε ‖w‖ at most: ‖·‖₁ for L∞, ‖·‖₂ for L2."""

    def two(images):
        return jnp.stack([linear(images)[:, 0], jnp.zeros(len(images))], -1)

    attack = ATTACKS[name]
    if name == "apgd, l2":  # dlr needs three classes.
        attack = functools.partial(attack, loss="ce")
    if name == "pgd, l2, restarts":  # Halves the angle to the best direction.
        attack = functools.partial(attack, step_size=0.02)
    labels = two(IMAGES).argmax(1)
    found = attack(
        KEY, two, IMAGES, labels, epsilon=0.02, early_stop=False, clip_range=(-1.0, 2.0)
    )
    weights = WEIGHTS[..., 0]
    length = jnp.linalg.norm(weights.ravel(), ord=2 if "l2" in name else 1)
    target = margin(two(IMAGES), labels) + 0.02 * length
    np.testing.assert_allclose(margin(two(found), labels), target, rtol=1e-4, atol=1e-4)


def test_square_comes_near_the_worst_point_for_a_linear_network():
    images, labels = IMAGES[:4], LABELS[:4]

    def two(images):
        own, other = linear(images)[:, 0], jnp.zeros(len(images))
        return jnp.stack([own, other], -1)

    labels = two(images).argmax(1)
    found = square(
        KEY,
        two,
        images,
        labels,
        epsilon=0.02,
        queries=1000,
        early_stop=False,
        clip_range=(-1.0, 2.0),
    )
    most = 0.02 * jnp.abs(WEIGHTS[..., 0]).sum()
    gained = margin(two(found), labels) - margin(two(images), labels)
    assert (gained > 0.95 * most).all() and (gained <= 1.0001 * most).all()


@pytest.mark.parametrize("name", FEW)
def test_steps_do_not_hide_what_was_found(name):
    """Where the margin of the result is negative, no point seen was misclassified."""
    epsilon = 0.1 if "l2" in name else 0.02
    found = run(name, IMAGES, LABELS, epsilon=epsilon)
    more = run(name, IMAGES, LABELS, epsilon=epsilon, early_stop=False)
    first, second = (is_fooled(linear(x), LABELS) for x in (found, more))
    assert first.any() and not first.all()
    np.testing.assert_array_equal(first, second)
    assert (margin(linear(more), LABELS) >= margin(linear(IMAGES), LABELS)).all()


@pytest.mark.parametrize("name", FEW)
def test_top_k_succeeds_when_no_guess_is_right(name):
    epsilon = 0.3 if "l2" in name else 0.06
    first, second = (
        is_fooled(
            linear(run(name, IMAGES, LABELS, epsilon=epsilon, top_k=k)),
            LABELS,
            top_k=k,
        )
        for k in (1, 2)
    )
    assert second.any() and second.sum() < first.sum()
    np.testing.assert_array_equal(first & second, second)


@pytest.mark.parametrize("name", FEW)
def test_a_broken_network_is_not_robust(name):
    def broken(images):  # Not at the third image, but on the way from it.
        logits = linear(images)
        far = jnp.abs(images - IMAGES[2:3]).max((1, 2, 3))
        near = (far > 0) & (far <= 0.0201)
        return jnp.where(near[:, None], jnp.nan, logits)

    attack = functools.partial(ATTACKS[name], KEY, broken, epsilon=0.02)
    with pytest.raises(FloatingPointError, match=r"1 of 16 images.*images\[2\]"):
        attack(IMAGES, LABELS)
    found = jax.jit(attack)(IMAGES, LABELS)
    assert jnp.isnan(found[2]).all() and jnp.isfinite(jnp.delete(found, 2, 0)).all()


@pytest.mark.parametrize("name", ["pgd", "apgd"])
def test_a_gradient_that_is_nan_moves_nothing(name):
    @jax.custom_jvp
    def masked(x):
        return x

    masked.defjvp(lambda x, t: (x[0], t[0] * jnp.where(x[0] > 0.5, jnp.nan, 1)))
    found = ATTACKS[name](KEY, lambda x: linear(masked(x)), IMAGES, LABELS, epsilon=0.1)
    assert jnp.isfinite(found).all()
    assert is_fooled(linear(found), LABELS).mean() > 0.3


def test_square_needs_no_gradient_and_pgd_does():
    def steps(images):
        return jnp.round(2 * linear(images))

    labels = steps(IMAGES).argmax(1)

    def share(found):
        return is_fooled(steps(found), labels).mean()

    by_gradient = pgd(KEY, steps, IMAGES, labels, epsilon=0.1, random_start=False)
    assert share(by_gradient) == 0
    assert share(square(KEY, steps, IMAGES, labels, epsilon=0.1, queries=300)) > 0.5


@pytest.mark.parametrize("name", FEW)
def test_shared_images_are_attacked_without_moving(name):
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    sharding = NamedSharding(mesh, P("data"))
    images, labels = jax.device_put((IMAGES, LABELS), sharding)
    attack = jax.jit(functools.partial(ATTACKS[name], KEY, linear, epsilon=0.03))
    compiled = attack.lower(images, labels).compile()
    text = compiled.as_text()
    assert "all-gather" not in text and "all-to-all" not in text
    found = compiled(images, labels)
    assert found.sharding.is_equivalent_to(sharding, found.ndim)
    np.testing.assert_allclose(found, attack(IMAGES, LABELS), atol=1e-5)


def test_no_images_are_no_work():
    chain = functools.partial(worst_case, attacks={"pgd": ATTACKS["pgd"]})
    for attack in (*ATTACKS.values(), by_name("fgsm"), by_name("noise"), chain):
        found = attack(KEY, linear, IMAGES[:0], LABELS[:0], epsilon=0.1)
        assert found.shape == (0, 4, 4, 3)


def test_transfer_goes_on_after_the_first_success():
    found = transfer(KEY, linear, IMAGES, LABELS, epsilon=0.1)
    stopped = pgd(KEY, linear, IMAGES, LABELS, epsilon=0.1, loss="margin")
    gain = margin(linear(found), LABELS) - margin(linear(stopped), LABELS)
    assert (gain > 0.1).all()


@pytest.mark.usefixtures("own_errors")
@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("pgd", {"epsilon": -0.1}, "epsilon must be >= 0, got -0.1"),
        ("pgd", {"norm": "l1"}, r"norm must be one of \('linf', 'l2'\), got 'l1'"),
        ("pgd", {"steps": 0}, "steps must be >= 1, got 0"),
        ("pgd", {"restarts": 0}, "restarts must be >= 1, got 0"),
        ("pgd", {"restarts": 2, "random_start": False}, "restarts must be 1 without"),
        ("pgd", {"loss": "mse"}, r"loss must be one of \('ce', .*\), got 'mse'"),
        ("pgd", {"top_k": 5}, "top_k must be at least 1 and below the 5 classes"),
        ("pgd", {"slots": 0}, "slots must be >= 1 or None, got 0"),
        ("pgd", {"clip_range": (1.0, 0.0)}, "clip_range must be"),
        ("apgd_ce", {"loss": "f6"}, "loss must be one of"),
        ("apgd_t", {"targets": 0}, "targets must be >= 1, got 0"),
        ("square", {"queries": 0}, "queries must be >= 1, got 0"),
        ("square", {"share": 0.0}, r"share must be in \(0, 1\], got 0.0"),
        ("pgd", {"labels": LABELS + 1}, "labels must be from 0 to 4, got values from"),
        ("square", {"labels": LABELS - 5}, "labels must be from 0 to 4, got values"),
        ("pgd", {"labels": LABELS[:3]}, r"labels must be \[16\], .* got \(3,\)"),
    ],
)
def test_bad_arguments(name, options, message):
    options = {"epsilon": 0.1} | options
    labels, epsilon = options.pop("labels", LABELS), options.pop("epsilon")
    with pytest.raises(ValueError, match=message):
        by_name(name, **options)(KEY, linear, IMAGES, labels, epsilon=epsilon)


def test_unknown_attack():
    with pytest.raises(ValueError, match="name must be one of .*'apgd_t'.*got 'cw'"):
        by_name("cw")
