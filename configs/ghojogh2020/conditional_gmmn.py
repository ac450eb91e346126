"""Section 3: conditional moment matching networks, told the digit, by their kernel.

    python -m experiments.train --config=configs/ghojogh2020/conditional_gmmn.py:ssim \
        --workdir=runs/conditional_gmmn-ssim

Argument: `rbf`, `imq` or `ssim`, as in `gmmn`; CMMD needs kernels that are positive
semi-definite. Labels have the kernel that is 1 for equal ones.
"""

import ml_collections

from configs import moment_matching, sections
from configs.ghojogh2020 import gmmn

KERNELS = ("rbf", "imq", "ssim")


def get_config(kernel: str = "ssim") -> ml_collections.ConfigDict:
    """The config; `kernel` is one of `KERNELS`."""
    sections.check_argument(kernel, KERNELS)
    config = moment_matching.defaults()
    config.model.conditional = True
    gmmn.choose_kernel(config, kernel)
    return config
