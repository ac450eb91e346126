"""Table 2: SRCNN 9-5-5 at x4, trained on MSE, MAE or MS-SSIM.

    python -m experiments.train \
        --config=configs/snell2017/super_resolution.py:ms_ssim \
        --config.data.source=patches --config.data.data_dir=DATA \
        --config.data.train_split=T91 --config.data.test_split=Set5 \
        --workdir=runs/sr-ms-ssim
    python -m experiments.super_resolve --workdir=runs/sr-ms-ssim \
        --evaluate=DATA/Set5,DATA/Set14,DATA/BSDS200

where DATA holds the folders of image files. Without the keys of `data`, it trains on
photographs that come with scikit-image. Arguments as in `stl10`. Published on Set5, in
dB: 28.44 (bicubic), 30.52 (MSE), 29.57 (MAE), 30.35 (MS-SSIM), by networks that draw
the image itself, from filters of N(0, 0.001), after 5 million patches of ImageNet; for
those, --config.model.output=image --config.model.initial=published. Measured after
1,000 steps of 16, three seeds, as the config stands: 28.42, 29.56, 29.49, 29.59; two
CPU cores.
"""

import ml_collections

from configs import super_resolution
from configs.snell2017 import stl10


def get_config(loss: str = "ms_ssim") -> ml_collections.ConfigDict:
    """The config; `loss` is one of `stl10.LOSSES`."""
    config = super_resolution.defaults()
    stl10.choose_loss(config, loss)
    return config
