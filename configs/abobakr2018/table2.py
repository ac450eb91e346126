"""Table 2 and Fig. 10: both networks of Table 1 on ImageNet images of ten classes.

    python -m experiments.train --config=configs/abobakr2018/table2.py:ssim \
        --workdir=runs/table2-ssim

Arguments as in `table1`. The paper has 12,000 training and 3,000 validation images of
CIFAR-10's classes, "randomly resized and cropped" to 32x32, normalised and flipped.
Here, Imagenette's ten classes, which are others (9,469 and 3,925 images), at 96x96, of
which training sees a random rectangle (8 to 100 % of the area) resized to 32x32, and
validation the whole. Published, in per cent on train / validation after up
to 500 epochs: 73.35 / 70.0 (ssim), 57.51 / 60.40 (conv). Measured after 40 epochs,
three seeds: 71.3 / 66.5 (ssim), 76.2 / 68.9 (conv); two CPU cores that had more to do,
four minutes a network and seed.
"""

import ml_collections

from configs import classification


def get_config(network: str = "ssim") -> ml_collections.ConfigDict:
    """The config; `network` is "ssim", "ssim_literal" or "conv"."""
    config = classification.defaults()
    classification.choose_network(config, network)
    config.data.name = "imagenette/160px-v2"
    config.data.test_split = "validation"
    config.data.side = 96
    config.augmentation.resized_crop = 32
    return config
