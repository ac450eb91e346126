"""Section 4: variational autoencoders by their reconstruction loss.

    python -m experiments.train --config=configs/ghojogh2020/vae.py:ssim_distance \
        --workdir=runs/vae-ssim_distance

Argument: `bce`, `mse`, or `ssim_distance`, the squared SSIM distance of Eq. 2; any of
them after `celeb_a-` for faces. What is minimised is the loss plus w KL; the paper's
Eq. 4 has the wrong sign. The loss is a mean over pixels or windows, w in proportion.
"""

import ml_collections

from configs import reconstruction
from configs.ghojogh2020 import images

LOSSES = ("bce", "mse", "ssim_distance")
# Of KL. A sum over 784 pixels against KL, as in the first VAE, is 1 / 784; of faces,
# 1 / (64 · 64 · 3).
WEIGHTS = {"bce": 1 / 784, "mse": 1e-3, "ssim_distance": 1e-3}


def get_config(loss: str = "ssim_distance") -> ml_collections.ConfigDict:
    """The config; `loss` is one of `LOSSES`, or celeb_a- and one of them."""
    config = reconstruction.defaults()
    loss, faces = images.choose(config, loss, LOSSES)
    choose_autoencoder(config, faces=faces)
    config.loss.name = loss
    config.regulariser.name = "kl"
    config.regulariser.weight = WEIGHTS[loss]
    if faces and loss == "bce":
        config.regulariser.weight = 1 / (64 * 64 * 3)
    return config


def choose_autoencoder(
    config: ml_collections.ConfigDict, *, faces: bool = False
) -> None:
    """Sets the sizes of an autoencoder of digits or faces.

    Args:
      config: changed in place.
      faces: whether images are 64x64 in colour.
    """
    config.model.code = 64 if faces else 16
    config.model.widths = (32, 64, 128, 256) if faces else (32, 64)
    config.training.epochs = 20.0
