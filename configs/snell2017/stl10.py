"""Fig. 1 and 2: autoencoders of STL-10 in gray, 96x96, on one of five losses.

    python -m experiments.train --config=configs/snell2017/stl10.py:ms_ssim \
        --workdir=runs/stl10-ms_ssim

Argument: `mse`, `mae`, `ms_ssim` (all exponents 1, as in the paper), `ms_ssim_shifted`
or `ms_ssim_published` (exponents of Wang et al. 2003). With all exponents 1, the
product of five scales starts near 0, and so does its gradient; shifted, each factor is
(1 + s)/2, which has the same best image and starts at once.

MS-SSIM is taken at every pixel, over five scales, images continued symmetrically at
their borders: 96 pixels are fewer than five valid scales need, and the paper does not
say what it did. Neither does it print the network; this one has its bottleneck of 128
units.
"""

import ml_collections

from configs import reconstruction, sections

LOSSES = ("mse", "mae", "ms_ssim", "ms_ssim_shifted", "ms_ssim_published")


def get_config(loss: str = "ms_ssim") -> ml_collections.ConfigDict:
    """The config; `loss` is one of `LOSSES`."""
    config = reconstruction.defaults()
    config.data.name = "stl10"
    config.data.train_split = "unlabelled"
    config.data.side = 96
    config.data.gray = True
    config.model.code = 128
    config.model.widths = (32, 64, 128, 256)
    config.optimizer.schedule = "cosine"
    config.training.epochs = 50.0
    choose_loss(config, loss)
    return config


def choose_loss(config: ml_collections.ConfigDict, loss: str) -> None:
    """Sets the loss from a config file's argument.

    Args:
      config: changed in place.
      loss: one of `LOSSES`.

    Raises:
      ValueError: if it is none of them.
    """
    sections.check_argument(loss, LOSSES)
    config.loss.name = loss
    if loss.startswith("ms_ssim"):
        config.loss.name = "ms_ssim_per_pixel"
    if loss == "ms_ssim_shifted":
        config.loss.negatives = "shift"
    elif loss == "ms_ssim_published":
        config.loss.weights = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
        # Fractional powers of negative numbers are not real.
        config.loss.negatives = "relu"
