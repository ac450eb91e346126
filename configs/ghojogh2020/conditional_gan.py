"""Section 5: conditional GANs, told the digit, by their objective.

    python -m experiments.train --config=configs/ghojogh2020/conditional_gan.py:gan \
        --workdir=runs/conditional_gan

Argument: as in `gan`.
"""

import ml_collections

from configs import sections
from configs.ghojogh2020 import gan


def get_config(objective: str = "gan") -> ml_collections.ConfigDict:
    """The config; `objective` is one of `gan.OBJECTIVES`."""
    sections.check_argument(objective, gan.OBJECTIVES)
    config = gan.get_config(objective)
    config.model.conditional = True
    return config
