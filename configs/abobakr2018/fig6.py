"""Fig. 6: an SSIM layer that sees the image, against a convolution.

    python -m experiments.train --config=configs/abobakr2018/fig6.py:ssim \
        --workdir=runs/fig6-ssim

Arguments as in `table1`. The rate is 0.003: at the paper's 0.01 the convolutional
network diverged within 60 steps on photographs, in three of four runs (two seeds, two
initialisations), and the SSIM network in none. Published, in per cent on validation
after up to 500 epochs: 77.26 (ssim), 70.8 (conv). Measured after one epoch on a JPEG
copy of CIFAR-10, two seeds: 50.3 (ssim), 60.0 (conv).
"""

import ml_collections

from configs import classification


def get_config(network: str = "ssim") -> ml_collections.ConfigDict:
    """The config; `network` is "ssim", "ssim_literal" or "conv"."""
    config = classification.defaults()
    classification.choose_network(config, network)
    config.model.name = "shallow"
    config.model.widths = (32, 64)
    config.optimizer.rate = 0.003
    del config.model.hidden, config.model.norm_before
    return config
