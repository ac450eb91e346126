"""Section 5: conditional GANs, told the digit, by their objective.

    python -m experiments.train --config=configs/ghojogh2020/conditional_gan.py:gan \
        --workdir=runs/conditional_gan

Argument: as in `gan`.
"""

import ml_collections

from configs.ghojogh2020 import gan


def get_config(objective: str = "gan") -> ml_collections.ConfigDict:
    """The config; `objective` is one of `gan.OBJECTIVES`."""
    if objective not in gan.OBJECTIVES:
        raise ValueError(
            f"the config's argument must be one of {', '.join(gan.OBJECTIVES)}, got "
            f"{objective!r}"
        )
    config = gan.get_config(objective)
    config.model.conditional = True
    return config
