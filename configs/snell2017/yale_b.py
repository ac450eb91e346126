"""Table 1: autoencoders of Extended Yale B, 48x48, whose codes are probed by SVMs.

    python -m experiments.train --config=configs/snell2017/yale_b.py:ms_ssim \
        --workdir=runs/yale_b-ms_ssim --config.data.data_dir=FOLDER
    python -m experiments.probe --workdir=runs/yale_b-ms_ssim

Argument: as in configs/snell2017/stl10.py. TFDS has no such data set: the folder holds
one prepared under the name of `data.name`, with the features `image` (48x48 gray),
`subject`, `azimuth` and `elevation` in degrees. Autoencoders see all images, and no
label; the probes hold images out. Published class errors: 5.60 % (MSE), 5.60 % (MAE),
3.53 % (MS-SSIM). Measured with a quarter of the filters, 40 epochs, three seeds, two
CPU cores, some ten minutes each: 6.24, 5.88, 4.32 %; experiments/snell2017.md.
"""

import ml_collections

from configs import reconstruction
from configs.snell2017 import stl10


def get_config(loss: str = "ms_ssim") -> ml_collections.ConfigDict:
    """The config; `loss` is one of `stl10.LOSSES`."""
    config = reconstruction.defaults()
    config.data.name = "yaleb_cropped48"
    config.data.label = "subject"
    config.data.test_split = "train"
    config.model.code = 128
    config.model.widths = (32, 64, 128, 256)
    config.optimizer.schedule = "cosine"
    config.training.epochs = 100.0
    stl10.choose_loss(config, loss)
    return config
