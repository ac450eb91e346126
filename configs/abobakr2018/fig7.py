"""Fig. 7 and 8: the SSIM network of Table 1, with and without a ReLU after the layer.

    python -m experiments.train --config=configs/abobakr2018/fig7.py:without_relu \
        --workdir=runs/fig7-without-relu

Arguments: `with_relu`, `without_relu`. Published, in per cent on validation after up to
500 epochs: 77.82 with, 76.04 without. Measured after 40 epochs on a JPEG copy of
CIFAR-10, three seeds: 74.2 with, 73.8 without; 25 to 33 minutes a network and seed on
one or two CPU cores.
"""

import ml_collections

from configs import sections
from configs.abobakr2018 import table1


def get_config(variant: str = "with_relu") -> ml_collections.ConfigDict:
    """The config; `variant` is "with_relu" or "without_relu"."""
    sections.check_argument(variant, ("with_relu", "without_relu"))
    config = table1.get_config("ssim")
    config.model.relu_after = variant == "with_relu"
    return config
