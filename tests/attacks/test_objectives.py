import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssimjax.attacks import (
    cross_entropy,
    dlr,
    gradient_health,
    is_fooled,
    margin,
    targeted_dlr,
)

LOGITS = jax.random.normal(jax.random.key(0), (50, 7))
LABELS = jax.random.randint(jax.random.key(1), (50,), 0, 7)
TARGETS = (LABELS + 2) % 7


def test_by_hand():
    for logits, label, target, *values in zip(
        np.asarray(LOGITS, np.float64),
        np.asarray(LABELS),
        np.asarray(TARGETS),
        cross_entropy(LOGITS, LABELS),
        margin(LOGITS, LABELS, top_k=3),
        dlr(LOGITS, LABELS),
        targeted_dlr(LOGITS, LABELS, TARGETS),
    ):
        first, _, third, fourth = np.sort(logits)[::-1][:4]
        best_other = np.delete(logits, label).max()
        third_other = np.sort(np.delete(logits, label))[::-1][2]
        own = logits[label]
        np.testing.assert_allclose(
            values,
            [
                np.log(np.exp(logits).sum()) - own,
                third_other - own,
                -(own - best_other) / (first - third),
                -(own - logits[target]) / (first - (third + fourth) / 2),
            ],
            rtol=2e-5,
            atol=1e-6,
        )


@pytest.mark.parametrize("top_k", [1, 2, 5])
def test_fooled_is_what_the_guesses_miss(top_k):
    logits = jnp.round(LOGITS) + 0.0  # With ties, and without -0.0.
    guesses = jax.lax.top_k(logits, top_k)[1]
    hit = (guesses == LABELS[:, None]).any(1)
    fooled = is_fooled(logits, LABELS, top_k=top_k)
    np.testing.assert_array_equal(fooled, ~hit)
    strict = margin(logits, LABELS, top_k=top_k)
    assert fooled[strict > 0].all() and not fooled[strict < 0].any()


def test_ratios_do_not_see_the_scale():
    for scale in (0.1, 1000.0):
        np.testing.assert_allclose(
            dlr(scale * LOGITS, LABELS), dlr(LOGITS, LABELS), rtol=1e-4, atol=1e-6
        )
        np.testing.assert_allclose(
            targeted_dlr(scale * LOGITS, LABELS, TARGETS),
            targeted_dlr(LOGITS, LABELS, TARGETS),
            rtol=1e-4,
            atol=1e-6,
        )


def test_equal_logits_have_finite_losses_and_gradients():
    same, labels = jnp.ones((2, 5)), jnp.array([0, 3])
    for loss in (dlr, lambda z, y: targeted_dlr(z, y, (y + 1) % 5)):
        assert (loss(same, labels) == 0).all()
        assert jnp.isfinite(jax.grad(lambda z, f=loss: f(z, labels).sum())(same)).all()


def test_too_few_classes():
    with pytest.raises(ValueError, match="'dlr' needs 3 or more classes, got 2"):
        dlr(LOGITS[:, :2], LABELS % 2)
    with pytest.raises(ValueError, match="'targeted_dlr' needs 4 or more"):
        targeted_dlr(LOGITS[:, :3], LABELS % 3, LABELS % 3)


def test_labels_are_classes():
    with pytest.raises(ValueError, match="labels must be from 0 to 6, got .* 1 to 7"):
        is_fooled(LOGITS, jnp.arange(50) % 7 + 1)
    with pytest.raises(ValueError, match="labels must be from 0 to 6, got .* -1 to"):
        is_fooled(LOGITS, LABELS.at[0].set(-1))
    assert not jax.jit(is_fooled)(LOGITS, LOGITS.argmax(1)).any()


def test_health_counts_what_an_attack_cannot_use():
    factors = np.ones((4, 4, 4, 1), np.float32)
    factors[0] = factors[:, 0] = 0  # The first image, and one row of all others.
    factors[1, 1, 1] = np.inf

    @jax.custom_jvp
    def masked(x):
        return x

    masked.defjvp(lambda x, t: (x[0], t[0] * factors))
    weights = jax.random.normal(jax.random.key(2), (4, 4, 1, 7))

    def logits_fn(x):
        return jnp.einsum("bhwc,hwck->bk", masked(x), weights)

    images, labels = jnp.full((4, 4, 4, 1), 0.5), jnp.arange(4)
    health = gradient_health(logits_fn, images, labels)
    assert float(health.zero_images) == 0.25
    assert float(health.zero) == (16 + 3 * 4) / 64
    assert float(health.nonfinite) == 1 / 64
    assert 0.1 < float(health.norm) < 10
    # Small gradients are gradients, though their squares are 0 in float32.
    small = gradient_health(lambda x: 1e-24 * logits_fn(x), images, labels)
    assert float(small.zero) == float(health.zero)
    np.testing.assert_allclose(small.norm, 1e-24 * health.norm, rtol=0.5)


def test_health_of_no_images():
    with pytest.raises(ValueError, match="images must hold at least one, got none"):
        gradient_health(
            lambda x: x.sum((1, 2)), jnp.zeros((0, 4, 4, 3)), jnp.zeros(0, int)
        )
