import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssimjax import losses
from ssimjax.ops import uniform_window
from ssimjax.tasks import objectives

WINDOW = {"uniform": {"size": 3}}


def made(name, **options):
    options = {"weight": 1.0, "window": WINDOW} | options
    return objectives.by_name(name, **options)


def maps(seed=0):
    real, fake = jax.random.normal(jax.random.key(seed), (2, 6, 5, 5, 1))
    return real, fake


def pictures(seed=1):
    real, fake = jax.random.uniform(jax.random.key(seed), (2, 6, 8, 8, 1))
    return real, fake


def log_sigmoid(scores):
    return np.log(1 / (1 + np.exp(-np.float64(scores))))


def test_games_without_ssim_are_their_formulas():
    real, fake = maps()
    x, y = pictures()
    both = -log_sigmoid(real).mean() - log_sigmoid(-fake).mean()
    for name, generator in {
        "gan": -log_sigmoid(fake).mean(),
        "gan_minimax": log_sigmoid(-fake).mean(),
    }.items():
        game = made(name)
        np.testing.assert_allclose(game.discriminator(real, fake), both, rtol=1e-6)
        np.testing.assert_allclose(
            game.generator(real, fake, x, y), generator, rtol=1e-6
        )
    game = made("lsgan")
    np.testing.assert_allclose(
        game.discriminator(real, fake),
        (np.mean((real - 1) ** 2) + np.mean(fake**2)) / 2,
        rtol=1e-6,
    )
    np.testing.assert_allclose(
        game.generator(real, fake, x, y), np.mean((fake - 1) ** 2) / 2, rtol=1e-6
    )


def test_the_printed_second_term_does_not_depend_on_the_discriminator():
    real, fake = maps()
    x, y = pictures()
    game = made("gan_ssim_printed", window={"uniform": {"size": 7}})
    np.testing.assert_array_equal(jax.grad(game.discriminator, 1)(real, fake), 0)
    distance = losses.ssim_distance(y, x, data_range=1.0).mean()
    np.testing.assert_allclose(game.generator(real, fake, x, y), distance, rtol=1e-6)


def test_patches_are_a_zero_sum_game_but_for_the_likelihood():
    real, fake = maps()
    x, y = pictures()
    game = made("gan_ssim_patches")
    likelihood = jax.nn.softplus(-real).mean()
    total = game.discriminator(real, fake) + game.generator(real, fake, x, y)
    np.testing.assert_allclose(total, likelihood, rtol=1e-5)
    # Where it says yes to real images and no to samples, both have room to move.
    gradient = jax.grad(game.generator, 1)(real + 2, fake - 2, x, y)
    assert jnp.abs(gradient).max() > 1e-4


def test_energy_distance_is_added_to_the_usual_game():
    real, fake = maps()
    x, y = pictures()
    plain = made("gan").generator(real, fake, x, y)
    game = made("gan_ssim_energy", weight=0.5)

    def distances(a, b):
        return np.array(
            [
                [
                    np.sqrt(
                        np.mean(
                            [
                                losses.ssim_distance(
                                    p[i : i + 4, j : j + 4],
                                    q[i : i + 4, j : j + 4],
                                    data_range=1.0,
                                    window=uniform_window(4),
                                )
                                for i in (0, 4)
                                for j in (0, 4)
                            ]
                        )
                    )
                    for q in b
                ]
                for p in a
            ]
        )

    apart = ~np.eye(6, dtype=bool)
    energy = 2 * distances(x, y).mean()
    energy -= distances(x, x)[apart].mean() + distances(y, y)[apart].mean()
    np.testing.assert_allclose(
        game.generator(real, fake, x, y), plain + 0.5 * energy, rtol=2e-5
    )


def test_least_squares_of_ssim_compare_maps_with_constants():
    real, fake = maps()
    x, y = pictures()
    game = made("lsgan_ssim", k1=1.0, k2=1.0)
    perfect = jnp.ones_like(real)
    np.testing.assert_allclose(
        game.discriminator(perfect, jnp.zeros_like(real)), 0, atol=1e-6
    )
    np.testing.assert_allclose(game.generator(real, perfect, x, y), 0, atol=1e-6)
    assert game.generator(real, fake, x, y) > 0.1
    # With the usual constants a sample's score of 1 is as far from 0 as one of 2.
    usual = made("lsgan_ssim")
    slopes = [
        jnp.abs(jax.grad(g.discriminator, 1)(perfect, perfect)).max()
        for g in (usual, game)
    ]
    assert slopes[0] < slopes[1] / 50


@pytest.mark.parametrize("form", ["centred", "uncentred"])
def test_least_squares_of_ssim_degenerate_for_single_scores(form):
    scores = jnp.array([-1.0, 0.5, 3.0]).reshape(3, 1, 1, 1)
    window = {"uniform": {"size": 1}}
    game = made("lsgan_ssim", form=form, window=window, sample_covariance=False)
    x, y = pictures()
    value, gradient = jax.value_and_grad(game.generator, 1)(scores, scores, x, y)
    if form == "centred":  # All scores are the same.
        assert value == 0
        np.testing.assert_array_equal(gradient, 0)
    else:  # Luminance alone is left.
        luminance = (2 * scores + 1e-4) / (scores**2 + 1 + 1e-4)
        np.testing.assert_allclose(value, (1 - luminance).mean() / 2, rtol=1e-5)


@pytest.mark.parametrize("name", sorted(objectives.OBJECTIVES))
def test_gradients_are_finite_where_samples_are_real_images(name):
    x, _ = pictures()
    real, _ = maps()
    game = made(name)
    found = jax.grad(
        lambda fake, y: (
            game.discriminator(real, fake) + game.generator(real, fake, x, y)
        ),
        (0, 1),
    )(real, x)
    assert all(jnp.isfinite(gradient).all() for gradient in found)


def test_bad_options():
    with pytest.raises(ValueError, match="objective.name must be one of .* got 'wgan'"):
        made("wgan")
    with pytest.raises(ValueError, match="objective.weight must be >= 0, got -1"):
        made("gan", weight=-1.0)
    with pytest.raises(ValueError, match="no argument 'k3'"):
        made("gan", k3=1.0)
