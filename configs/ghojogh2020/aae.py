"""Section 5: adversarial autoencoders by their reconstruction loss.

    python -m experiments.train --config=configs/ghojogh2020/aae.py:ssim_distance \
        --workdir=runs/aae-ssim_distance

Argument: as in `vae`. A discriminator of codes takes the place of the KL divergence.
"""

import ml_collections

from configs import reconstruction
from configs.ghojogh2020 import images, vae


def get_config(loss: str = "ssim_distance") -> ml_collections.ConfigDict:
    """The config; `loss` is one of `vae.LOSSES`, or celeb_a- and one of them."""
    config = reconstruction.defaults()
    config.task = "adversarial_autoencoder"
    config.loss.name, faces = images.choose(config, loss, vae.LOSSES)
    vae.choose_autoencoder(config, faces=faces)
    config.regulariser.name = "adversarial"
    config.regulariser.weight = 0.01  # Of the game, against the loss.
    config.optimizer.b1 = 0.5
    discriminator = config.discriminator = ml_collections.ConfigDict()
    discriminator.widths = (256, 256)  # Units of its layers.
    discriminator.rate_factor = 1.0  # On its rate.
    return config
