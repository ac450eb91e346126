"""The autoencoders whose codes `code_gmmn` matches.

    python -m experiments.train --config=configs/ghojogh2020/autoencoder.py:mse \
        --workdir=runs/autoencoder-mse

Argument: `bce`, `mse` or `ssim_distance`, as in `vae`.
"""

import ml_collections

from configs import reconstruction
from configs.ghojogh2020 import images, vae


def get_config(loss: str = "ssim_distance") -> ml_collections.ConfigDict:
    """The config; `loss` is one of `vae.LOSSES`, or celeb_a- and one of them."""
    config = reconstruction.defaults()
    config.loss.name, faces = images.choose(config, loss, vae.LOSSES)
    vae.choose_autoencoder(config, faces=faces)
    return config
