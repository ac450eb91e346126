"""Section 5: least squares GANs, with squares or SSIM distances of scores.

    python -m experiments.train --config=configs/ghojogh2020/lsgan.py:lsgan_ssim \
        --workdir=runs/lsgan-ssim

Argument: `lsgan`; `lsgan_ssim`, the SSIM distance of maps of scores from 1 and 0, with
the usual stabilisers, beyond which the distance from 0 hardly grows; or
`lsgan_ssim_scaled`, with k1 = k2 = 1, the scale of scores. Any of them after `celeb_a-`
for faces.
"""

import ml_collections

from configs import adversarial
from configs.ghojogh2020 import gan, images

OBJECTIVES = ("lsgan", "lsgan_ssim", "lsgan_ssim_scaled")


def get_config(objective: str = "lsgan_ssim_scaled") -> ml_collections.ConfigDict:
    """The config; `objective` is one of `OBJECTIVES`, or celeb_a- and one of them."""
    config = adversarial.defaults()
    objective, faces = images.choose(config, objective, OBJECTIVES)
    gan.choose_networks(config, faces=faces)
    config.objective.name = objective.removesuffix("_scaled")
    config.discriminator.per_patch = objective != "lsgan"
    if objective == "lsgan_ssim_scaled":
        config.objective.k1 = config.objective.k2 = 1.0
    return config
