"""Ten photographs, ten classes: an SSIM network or a convolutional one in a minute.

python -m experiments.train --config=configs/quickstart.py --workdir=runs/quickstart
python -m experiments.train --config=configs/quickstart.py:conv --workdir=runs/conv
"""

import ml_collections

from configs import classification


def get_config(network: str = "ssim") -> ml_collections.ConfigDict:
    """The config; `network` is "ssim", "ssim_literal" or "conv"."""
    config = classification.defaults()
    classification.choose_network(config, network)
    config.data.source = "photographs"
    config.training.epochs = 12.0
    return config
