"""Section 3: moment matching networks of the codes of an autoencoder.

    python -m experiments.train --config=configs/ghojogh2020/autoencoder.py:mse \
        --workdir=runs/autoencoder-mse
    python -m experiments.train --config=configs/ghojogh2020/code_gmmn.py:mse \
        --workdir=runs/code_gmmn-mse

Argument: the loss of the autoencoder, `bce`, `mse` or `ssim_distance`, expected in
`runs/autoencoder-LOSS`; `--config.matching.autoencoder` names another folder. Codes are
no images: their kernel is a mixture of Gaussians, and it is the autoencoder that SSIM
has a part in.
"""

import ml_collections

from configs import moment_matching, sections
from configs.ghojogh2020 import vae


def get_config(loss: str = "ssim_distance") -> ml_collections.ConfigDict:
    """The config; `loss` is one of `vae.LOSSES`."""
    sections.check_argument(loss, vae.LOSSES)
    config = moment_matching.defaults()
    config.matching.autoencoder = f"runs/autoencoder-{loss}"
    # Standardised codes of 16 units are about 5 apart.
    config.kernel.bandwidths = (1.0, 2.5, 5.0, 10.0, 20.0, 40.0)
    return config
