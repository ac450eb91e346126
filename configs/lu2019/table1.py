"""Table 1: an autoencoder, a VAE or an MMD-AE of CelebA, on one of three losses.

    python -m experiments.train --config=configs/lu2019/table1.py:mmd_ae-lw_ssim \
        --workdir=runs/mmd_ae-lw_ssim

Argument: MODEL-LOSS, of `ae`, `vae`, `mmd_ae` and `mse`, `ssim`, `lw_ssim`. CelebA by
TFDS, centre crop of 140 of 178 pixels resized to 64. The paper gives no architecture:
these are the networks of Wasserstein autoencoders for CelebA, which it refers to.
Published and measured numbers: experiments/lu2019.md.
"""

import ml_collections

from configs import reconstruction

MODELS = {"ae": "none", "vae": "kl", "mmd_ae": "mmd"}
LOSSES = ("mse", "ssim", "lw_ssim")
# Of the penalty, against losses that are means over pixels: those with the nearest
# samples in `python -m experiments.reproduce lu2019 balance`, alike for every loss.
WEIGHTS = {"none": 0.0, "kl": 1e-3, "mmd": 1.0}


def get_config(cell: str = "mmd_ae-lw_ssim") -> ml_collections.ConfigDict:
    """The config; `cell` is MODEL-LOSS."""
    model, _, loss = cell.partition("-")
    if model not in MODELS or loss not in LOSSES:
        raise ValueError(
            f"the config's argument must be MODEL-LOSS of {', '.join(MODELS)} and "
            f"{', '.join(LOSSES)}, got {cell!r}"
        )
    config = reconstruction.defaults()
    config.data.name = "celeb_a"
    config.data.label = None
    config.data.side = 64
    config.data.crop = 140 / 178
    config.loss.name = loss
    config.regulariser.name = MODELS[model]
    config.regulariser.weight = WEIGHTS[MODELS[model]]
    config.optimizer.schedule = "cosine"
    config.optimizer.b1 = 0.5
    config.training.epochs = 55.0
    return config
