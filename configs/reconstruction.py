"""Every key of a reconstruction config, with its default.

Other configs start from `defaults()` and change what is theirs. Any key can be changed
on the command line, as in `--config.training.epochs=20`.
"""

import ml_collections

from configs import sections


def defaults() -> ml_collections.ConfigDict:
    """A deterministic autoencoder of CelebA at 64x64."""
    config = sections.study("reconstruction")
    model = config.model = ml_collections.ConfigDict()
    model.code = 64  # Length of a code, the bottleneck.
    model.widths = (128, 256, 512, 1024)  # Filters of the encoder's layers.
    model.upsampling = "nearest"  # Or "transposed", which draws checkerboards.

    # Further keys are arguments of the loss, such as `window`.
    loss = config.loss = ml_collections.ConfigDict()
    loss.name = "mse"  # A name from `ssimjax.losses`.

    regulariser = config.regulariser = ml_collections.ConfigDict()
    regulariser.name = "none"  # "kl": a VAE; "mmd": an MMD-AE (WAE-MMD).
    regulariser.weight = 0.0  # Of the penalty, against the loss.

    config.optimizer = sections.adam()

    config.training = sections.training()
    config.training.batch_size = 100
    return config
