"""Table 2: SRCNN 9-5-5 at x4, trained on MSE, MAE or MS-SSIM.

    python -m experiments.train \
        --config=configs/snell2017/super_resolution.py:ms_ssim \
        --config.data.source=patches --config.data.data_dir=DATA \
        --config.data.train_split=T91 --config.data.test_split=Set5 \
        --workdir=runs/super-resolution-ms-ssim
"""

import ml_collections

from configs import super_resolution

LOSSES = {"mse": "mse", "mae": "mae", "ms_ssim": "ms_ssim_per_pixel"}


def get_config(loss: str = "mse") -> ml_collections.ConfigDict:
    """The config; `loss` is "mse", "mae" or "ms_ssim"."""
    if loss not in LOSSES:
        raise ValueError(
            f"the config's argument must be one of {', '.join(LOSSES)}, got {loss!r}"
        )
    config = super_resolution.defaults()
    config.loss.name = LOSSES[loss]
    return config
