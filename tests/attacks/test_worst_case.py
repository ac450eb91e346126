"""Attacks on a network that is trained here, in seconds, on photographs."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ssimjax.attacks import by_name, is_fooled, transfer, worst_case
from ssimjax.data import photograph_patches

KEY = jax.random.key(0)
EPSILONS = (0.0, 1 / 255, 4 / 255, 8 / 255, 32 / 255)
ATTACKS = {
    "noise": {},
    "fgsm": {},
    "pgd": {"steps": 20, "restarts": 2},
    "pgd_margin": {"steps": 20, "restarts": 2},
    "apgd_ce": {"steps": 20},
    "apgd_dlr": {"steps": 20},
    "apgd_t": {"steps": 20, "targets": 4},
    "square": {"queries": 300},
}
WHITE_BOX = ("pgd", "pgd_margin", "apgd_ce", "apgd_dlr", "apgd_t")


def forward(params, images):
    x = images - 0.5
    for kernel, bias in params[:-1]:
        x = jax.lax.conv_general_dilated(
            x, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        x = jax.nn.relu(x + bias[None, None, None])
    kernel, bias = params[-1]
    return x.reshape(len(x), -1) @ kernel + bias[None]


@functools.cache
def trained(seed):
    """A network, and the test images and labels."""
    data = photograph_patches(size=24, train_count=3000, test_count=200)
    images = jnp.asarray(data.train.images, jnp.float32) / 255
    shapes = ((3, 3, 1, 16), (3, 3, 16, 32), (6 * 6 * 32, 10))
    keys = jax.random.split(jax.random.key(seed), len(shapes))
    params = [
        (
            jax.random.normal(key, shape) * (2 / np.prod(shape[:-1])) ** 0.5,
            jnp.zeros(shape[-1]),
        )
        for key, shape in zip(keys, shapes)
    ]
    optimizer = optax.adam(3e-3)

    @jax.jit
    def step(carry, chosen):
        params, state = carry

        def loss(params):
            logits = forward(params, images[chosen])
            labels = jnp.asarray(data.train.labels)[chosen]
            return optax.softmax_cross_entropy_with_integer_labels(
                logits, labels
            ).mean()

        updates, state = optimizer.update(jax.grad(loss)(params), state, params)
        return optax.apply_updates(params, updates), state

    carry = params, optimizer.init(params)
    rng = np.random.default_rng(seed)
    for _ in range(500):
        carry = step(carry, rng.integers(0, len(images), 64))
    test = jnp.asarray(data.test.images, jnp.float32) / 255
    return functools.partial(forward, carry[0]), test, jnp.asarray(data.test.labels)


@functools.cache
def right_under(name):
    """Which test examples withstand, `[epsilons, examples]`."""
    logits_fn, images, labels = trained(0)
    if name == "transfer":
        other = trained(1)[0]

        def attack(key, logits_fn, *arguments, **options):
            return transfer(key, other, *arguments, steps=20, **options)
    else:
        attack = (
            by_name(name, slots=100, **ATTACKS[name])
            if ATTACKS[name]
            else (by_name(name))
        )
    run = jax.jit(
        lambda epsilon: (
            ~is_fooled(
                logits_fn(attack(KEY, logits_fn, images, labels, epsilon=epsilon)),
                labels,
            )
        )
    )
    return np.stack([run(jnp.float32(epsilon)) for epsilon in EPSILONS])


@pytest.mark.parametrize("name", [*ATTACKS, "transfer"])
def test_no_attack_at_0_and_more_with_more_room(name):
    logits_fn, images, labels = trained(0)
    right = right_under(name)
    np.testing.assert_array_equal(right[0], logits_fn(images).argmax(1) == labels)
    assert right[0].mean() > 0.7
    accuracy = right.mean(1)
    slack = 0.05 if name == "noise" else 0.01
    assert (np.diff(accuracy) <= slack).all(), accuracy


@pytest.mark.parametrize("name", WHITE_BOX)
def test_iterative_beats_single_step_beats_noise(name):
    strong, single, noise = (right_under(n).mean(1) for n in (name, "fgsm", "noise"))
    assert (strong <= single + 0.01).all() and (single <= noise + 0.01).all()
    # At 8/255, nearly nothing is left of a network that was trained as usual.
    assert strong[3] < 0.05 and strong[4] < 0.01
    assert noise[3] - strong[3] > 0.5


@pytest.mark.parametrize("name", ["square", "transfer"])
def test_white_box_beats_black_box_beats_noise(name):
    best = np.min([right_under(n).mean(1) for n in WHITE_BOX], 0)
    black, noise = right_under(name).mean(1), right_under("noise").mean(1)
    assert (best <= black + 0.01).all()
    assert (black <= noise + 0.01).all() and black[3] < noise[3] - 0.1


@pytest.mark.parametrize(
    "chosen", [("fgsm", "apgd_ce", "square"), ("apgd_ce", "fgsm", "noise")]
)
def test_worst_case_is_worse_than_each_and_keeps_what_withstands(chosen):
    logits_fn, images, labels = trained(0)
    attacks = {n: by_name(n, **ATTACKS[n]) for n in chosen}
    epsilon = 2 / 255
    found = jax.jit(
        lambda: worst_case(
            KEY, logits_fn, images, labels, attacks=attacks, epsilon=epsilon
        )
    )()
    fooled = is_fooled(logits_fn(found), labels)
    assert jnp.abs(found - images).max() <= epsilon + 1e-6
    np.testing.assert_array_equal(found[~fooled], images[~fooled])
    assert 0.2 < fooled.mean() < 1
    for attack in attacks.values():
        alone = attack(KEY, logits_fn, images, labels, epsilon=epsilon)
        assert fooled.sum() >= is_fooled(logits_fn(alone), labels).sum() - 2


def test_worst_case_needs_an_attack_and_a_sound_network():
    logits_fn, images, labels = trained(0)
    with pytest.raises(ValueError, match="attacks must name at least one"):
        worst_case(KEY, logits_fn, images, labels, attacks={}, epsilon=0.1)
    with pytest.raises(ValueError, match="labels must be from 0 to 9, got .* to 10"):
        worst_case(
            KEY,
            logits_fn,
            images[:2],
            jnp.array([0, 10]),
            attacks={"noise": by_name("noise")},
            epsilon=0.1,
        )
    broken = {"fgsm": by_name("fgsm"), "pgd": by_name("pgd", steps=2, restarts=1)}
    with pytest.raises(FloatingPointError, match="logits are not finite"):
        worst_case(
            KEY,
            lambda x: jnp.where(x.max() > 0.99, jnp.nan, logits_fn(x)),
            images.at[0].set(0.995),
            labels,
            attacks=broken,
            epsilon=0.1,
        )


@pytest.mark.parametrize("chosen", [("noise", "fgsm"), ("noise", "pgd")])
@pytest.mark.parametrize("where", ["at the image", "where an attack goes"])
def test_worst_case_knows_a_broken_network_from_a_fooled_one(chosen, where):
    images = jnp.stack([jnp.full((4, 4, 1), value) for value in (0.3, 0.5, 0.7)])
    labels = jnp.array([0, 0, 1])

    def logits_fn(x):
        mean = x.mean((1, 2, 3))
        logits = jnp.stack([0.4 - mean, mean - 0.4], -1)
        moved = (x != images[1:2]).any((1, 2, 3)) == (where != "at the image")
        near = jnp.abs(x - images[1:2]).max((1, 2, 3)) < 0.11
        return jnp.where((near & moved)[:, None], jnp.nan, logits)

    options = {"noise": {}, "fgsm": {}, "pgd": {"steps": 2, "restarts": 1}}
    attack = functools.partial(
        worst_case,
        KEY,
        logits_fn,
        labels=labels,
        attacks={name: by_name(name, **options[name]) for name in chosen},
        epsilon=0.05,
    )
    with pytest.raises(FloatingPointError, match=r"1 of 3 images.*images\[1\]"):
        attack(images)
    found = jax.jit(attack)(images)
    assert jnp.isnan(found[1]).all() and jnp.isfinite(found[::2]).all()


def test_worst_case_of_a_sound_network_makes_no_nan():
    logits_fn, images, labels = trained(0)
    attacks = {"fgsm": by_name("fgsm")}
    with jax.debug_nans(True):
        found = worst_case(
            KEY, logits_fn, images[:4], labels[:4], attacks=attacks, epsilon=0.1
        )
    assert jnp.isfinite(found).all()


def test_worst_case_needs_names(own_errors):
    logits_fn, images, labels = trained(0)
    with pytest.raises(TypeError, match=r"attacks must be a Mapping.* \['noise'\]"):
        worst_case(
            KEY, logits_fn, images[:2], labels[:2], attacks=["noise"], epsilon=0.1
        )
