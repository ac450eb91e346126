"""Every key of a config of a moment matching network, with its default.

Other configs start from `defaults()` and change what is theirs. Any key can be changed
on the command line, as in `--config.training.epochs=20`.
"""

import ml_collections
from ml_collections import config_dict

from configs import sections


def defaults() -> ml_collections.ConfigDict:
    """A network of MNIST, in the settings of Li et al. 2015."""
    config = sections.study("moment_matching")
    model = config.model = ml_collections.ConfigDict()
    model.name = "dense"  # The generator; or "convolutional".
    model.latent = 10  # Length of a latent vector.
    model.prior = "uniform"  # Of its elements, on [-1, 1]; or "normal", N(0, 1).
    model.conditional = False  # Whether it is told the class, and matched by CMMD.
    model.widths = (64, 256, 256, 1024)  # Units, to the image; filters, from it on.
    model.upsampling = "nearest"  # Convolutional: or "transposed".

    # Further keys are arguments of the kernel, such as `gammas`.
    kernel = config.kernel = ml_collections.ConfigDict()
    kernel.name = "rbf"  # Or "imq", "energy", "ssim".

    matching = config.matching = ml_collections.ConfigDict()
    # Folder of a trained autoencoder, whose codes are matched instead of images.
    matching.autoencoder = config_dict.placeholder(str)
    matching.ridge = 0.1  # λ of CMMD.

    config.optimizer = sections.adam()

    config.training = sections.training()
    config.training.batch_size = 1000
    config.training.epochs = 100.0
    return config
