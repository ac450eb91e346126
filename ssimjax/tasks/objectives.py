"""What a discriminator and a generator minimise, by name.

Scores are maps `[b, h, w, 1]` of real numbers: of one pixel, or of one for each patch.
σ is the logistic function, ‖·‖_S the SSIM distance of `ssimjax.losses.ssim_distance`.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ssimjax import losses
from ssimjax.ops import mmd, ssim_kernel, uniform_window

Scores = Float[Array, "b map_h map_w 1"]
Images = Float[Array, "b h w c"]
_Distance = Callable[[Array, Array], Float[Array, " b"]]
# Blocks that tile images of 28, 32 and 64 pixels a side.
_SIDE = 4
_BLOCK = uniform_window(_SIDE)


@dataclasses.dataclass(frozen=True)
class Objective:
    """The two sides of a game.

    Attributes:
      discriminator: from scores of real images and of samples to what the
        discriminator minimises, a scalar.
      generator: from both scores, real images and samples to what the generator
        minimises. Images are paired with samples at random.
      needs_map: whether scores of one pixel would make it degenerate.
    """

    discriminator: Callable[[Scores, Scores], Float[Array, ""]]
    generator: Callable[[Scores, Scores, Images, Images], Float[Array, ""]]
    needs_map: bool = False


def _gan(distance: _Distance, weight: float) -> Objective:
    """-E log D(x) - E log(1 - D(G(z))); non-saturating: G minimises -E log D(G(z))."""
    del distance, weight
    return Objective(
        _cross_entropy, lambda real, fake, x, y: jax.nn.softplus(-fake).mean()
    )


def _gan_minimax(distance: _Distance, weight: float) -> Objective:
    """Ghojogh et al. 2020, Eq. 5 as it stands: G minimises E log(1 - D(G(z)))."""
    del distance, weight
    return Objective(
        _cross_entropy, lambda real, fake, x, y: -jax.nn.softplus(fake).mean()
    )


def _lsgan(distance: _Distance, weight: float) -> Objective:
    """½ E (D(x) - 1)² + ½ E D(G(z))²; G minimises ½ E (D(G(z)) - 1)²."""
    del distance, weight
    return Objective(
        lambda real, fake: ((real - 1) ** 2).mean() / 2 + (fake**2).mean() / 2,
        lambda real, fake, x, y: ((fake - 1) ** 2).mean() / 2,
    )


def _gan_ssim_printed(distance: _Distance, weight: float) -> Objective:
    """E log D(x) + ‖x - G(z)‖_S² on images, minimised by G and maximised by D.

    The second term does not depend on D, which therefore learns to say yes; and G's
    best answer to images that are paired with it at random is a single image.
    """
    del weight
    return Objective(
        lambda real, fake: jax.nn.softplus(-real).mean(),
        lambda real, fake, x, y: distance(y, x).mean(),
    )


def _gan_ssim_patches(distance: _Distance, weight: float) -> Objective:
    """E log D(x) + E ‖D(x) - D(G(z))‖_S², on maps of scores, which D can enlarge."""
    del weight

    def apart(real: Scores, fake: Scores) -> Array:
        return distance(jax.nn.sigmoid(fake), jax.nn.sigmoid(real)).mean()

    return Objective(
        lambda real, fake: jax.nn.softplus(-real).mean() - apart(real, fake),
        lambda real, fake, x, y: apart(real, fake),
        needs_map=True,
    )


def _gan_ssim_energy(distance: _Distance, weight: float) -> Objective:
    """The non-saturating game, and SSIM energy distance of the two sets of images.

        G:  -E log D(G(z)) + w (2 E‖x - G(z)‖_S - E‖x - x'‖_S - E‖G(z) - G(z')‖_S)

    Unlike the distance of random pairs, it is smallest for equal distributions.
    """
    del distance

    def generator(real: Scores, fake: Scores, x: Images, y: Images) -> Array:
        def kernel(a: Array, b: Array) -> Array:
            return ssim_kernel(
                a, b, data_range=1.0, form="energy", window=_BLOCK, stride=_SIDE
            )

        energy = 2 * mmd(x, y, kernel, estimator="unbiased")
        return jax.nn.softplus(-fake).mean() + weight * energy

    return Objective(_cross_entropy, generator)


def _lsgan_ssim(distance: _Distance, weight: float) -> Objective:
    """½ E ‖D(x) - 1‖_S² + ½ E ‖D(G(z))‖_S²; G minimises ½ E ‖D(G(z)) - 1‖_S².

    Of maps: the variance of a single score is 0, and so is its distance, centred, from
    any other. With the usual constants the distance from 0 hardly grows beyond scores
    of k1, so that its gradient vanishes; k1 = k2 = 1 are the scale of scores.
    """
    del weight

    def to(target: float, scores: Scores) -> Array:
        return distance(scores, jnp.full_like(scores, target)).mean() / 2

    return Objective(
        lambda real, fake: to(1.0, real) + to(0.0, fake),
        lambda real, fake, x, y: to(1.0, fake),
        needs_map=True,
    )


def _cross_entropy(real: Scores, fake: Scores) -> Float[Array, ""]:
    return jax.nn.softplus(-real).mean() + jax.nn.softplus(fake).mean()


OBJECTIVES: Mapping[str, Callable[[_Distance, float], Objective]] = {
    "gan": _gan,
    "gan_minimax": _gan_minimax,
    "gan_ssim_printed": _gan_ssim_printed,
    "gan_ssim_patches": _gan_ssim_patches,
    "gan_ssim_energy": _gan_ssim_energy,
    "lsgan": _lsgan,
    "lsgan_ssim": _lsgan_ssim,
}


def by_name(name: str, *, weight: float, **options: Any) -> Objective:
    """An objective.

    Args:
      name: "gan" (non-saturating), "gan_minimax", "lsgan"; with SSIM distance
        "gan_ssim_printed" (of images paired at random), "gan_ssim_patches" (of maps of
        scores), "gan_ssim_energy" (of sets of images, beside the game) or "lsgan_ssim"
        (of maps of scores from 1 or 0).
      weight: of the energy distance, >= 0.
      options: further arguments of `losses.ssim_distance`, for names with "ssim" but
        "gan_ssim_energy", whose distance is that of blocks of 4x4 pixels.

    Returns:
      The objective.

    Raises:
      ValueError: if there is no such name or option, or the weight is negative.

    References:
      Ghojogh, Karray, Crowley 2020, Theoretical insights into the use of SSIM,
      Section 5. Goodfellow et al. 2014, Generative adversarial nets. Mao et al. 2017,
      Least squares generative adversarial networks, Eq. 9.
    """
    if name not in OBJECTIVES:
        raise ValueError(
            f"objective.name must be one of {sorted(OBJECTIVES)}, got {name!r}"
        )
    if not weight >= 0:
        raise ValueError(f"objective.weight must be >= 0, got {weight}")
    distance = losses.by_name("ssim_distance", data_range=1.0, **options)
    return OBJECTIVES[name](distance, weight)
