"""Table 1 and Fig. 5: an SSIM layer as the last feature layer, against a convolution.

    python -m experiments.train --config=configs/abobakr2018/table1.py:ssim \
        --workdir=runs/table1-ssim

Arguments: `conv`; `ssim`, with the layer's output and rate scaled so that it learns;
`ssim_literal`, as the paper prints it. Published, in per cent on train / validation
after up to 500 epochs: 84.9 / 73.8 (conv), 96.5 / 78.0 (ssim). Measured after 40 epochs
on a JPEG copy of CIFAR-10, three seeds: 88.3 / 75.4 (conv), 79.2 / 74.2 (ssim); a CPU
core, half an hour a network and seed.
"""

import ml_collections

from configs import classification


def get_config(network: str = "ssim") -> ml_collections.ConfigDict:
    """The config; `network` is "ssim", "ssim_literal" or "conv"."""
    config = classification.defaults()
    classification.choose_network(config, network)
    config.attack.epsilons = tuple(sorted((*config.attack.epsilons, 0.007)))
    return config
