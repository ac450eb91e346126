"""Section 5: generative adversarial networks by their objective.

    python -m experiments.train --config=configs/ghojogh2020/gan.py:gan_ssim_patches \
        --workdir=runs/gan-ssim

Argument: `gan`, non-saturating; `gan_minimax`, Eq. 5; and three readings of the SSIM
distance in its second term: `gan_ssim_printed`, of images paired at random;
`gan_ssim_patches`, of the discriminator's maps; `gan_ssim_energy`, of both sets of
images, beside the usual game. Any of them after `celeb_a-` for faces. `ssimjax.tasks
.objectives` has the formulas. Settings of Radford et al. 2016, smaller networks.
"""

import ml_collections

from configs import adversarial
from configs.ghojogh2020 import images

OBJECTIVES = (
    "gan",
    "gan_minimax",
    "gan_ssim_printed",
    "gan_ssim_patches",
    "gan_ssim_energy",
)


def get_config(objective: str = "gan") -> ml_collections.ConfigDict:
    """The config; `objective` is one of `OBJECTIVES`, or celeb_a- and one of them."""
    config = adversarial.defaults()
    objective, faces = images.choose(config, objective, OBJECTIVES)
    config.objective.name = objective
    choose_networks(config, faces=faces)
    if objective == "gan_ssim_printed":
        # A distance of images, not of maps.
        config.objective.window = {"uniform": {"size": 7}}
    elif objective == "gan_ssim_patches":
        config.discriminator.per_patch = True
    elif objective == "gan_ssim_energy":
        config.objective.weight = 1.0
    return config


def choose_networks(config: ml_collections.ConfigDict, *, faces: bool) -> None:
    """Sets the sizes of both networks, those of the discriminator by the generator's.

    Args:
      config: changed in place.
      faces: whether images are 64x64 in colour.
    """
    config.model.widths = (32, 64, 128, 256) if faces else (32, 64)
    config.discriminator.widths = config.model.get_oneway_ref("widths")
