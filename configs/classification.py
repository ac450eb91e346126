"""Every key of a classification config, with its default.

Other configs start from `defaults()` and change what is theirs. Any key can be changed
on the command line, as in `--config.training.epochs=20`.
"""

import ml_collections
from ml_collections import config_dict

from configs import sections

EPSILONS = (0, 1, 2, 4, 8, 16, 32, 64)


def defaults() -> ml_collections.ConfigDict:
    """The published settings of Abobakr et al. 2018, Section 3.1."""
    config = sections.study("classification")

    config.data.name = "cifar10"

    model = config.model = ml_collections.ConfigDict()
    model.name = "quick"  # "quick" (Fig. 4) or "shallow" (Fig. 6).
    model.feature_layer = "ssim"  # "ssim" or "conv": the last feature layer.
    model.widths = (32, 32, 64)  # Filters of the three feature layers.
    model.hidden = 64  # Units of the first dense layer.
    model.relu_after = True  # ReLU after the last feature layer (Fig. 7).
    model.pixel_mean = 0.5  # Pixels in [0, 1] become (pixel - mean) / std.
    model.pixel_std = 0.25
    model.c1 = 1e-4  # SSIM: stabiliser of the luminance term.
    model.c2 = 9e-4  # SSIM: stabiliser of the contrast and structure terms.
    model.exponents = (1.0, 1.0, 1.0)  # SSIM: of luminance, contrast, structure.
    model.patches = "across_channels"  # SSIM: or "per_channel".
    model.structure_form = "standard"  # SSIM: or "printed" (Eq. 6 as it stands).
    model.norm_before = False  # Batch normalisation before the last feature layer.
    model.output_gain = 1.0  # SSIM: constant factor on the layer's output.

    augmentation = config.augmentation = ml_collections.ConfigDict()
    augmentation.flip = True  # Mirror at random.
    augmentation.crop = 0  # Shift at random by up to so many pixels.
    # Side of a random rectangle once resized; test images are resized to it whole.
    augmentation.resized_crop = config_dict.placeholder(int)

    optimizer = config.optimizer = ml_collections.ConfigDict()
    optimizer.rate = 0.01  # Of SGD.
    optimizer.schedule = "constant"  # Or "cosine", down to 0 at the last step.
    optimizer.momentum = 0.9
    optimizer.weight_decay = 1e-4
    optimizer.filter_rate_factor = 1.0  # SSIM: factor on the rate of its filters.

    config.training = sections.training()
    config.training.epochs = 500.0
    config.training.batch_size = 32

    attack = config.attack = ml_collections.ConfigDict()
    attack.epsilons = tuple(step / 255 for step in EPSILONS)  # Pixels in [0, 1].
    return config


def choose_network(config: ml_collections.ConfigDict, network: str) -> None:
    """Sets the last feature layer from a config file's argument.

    Args:
      config: changed in place.
      network: "conv"; "ssim", whose output and whose filters' rate are scaled up
        so that the layer learns; or "ssim_literal", the layer as the paper prints it.

    Raises:
      ValueError: if it is none of them.
    """
    sections.check_argument(network, ("ssim", "ssim_literal", "conv"))
    config.model.feature_layer = network.removesuffix("_literal")
    if network == "ssim":
        # Without the gain the next layer hears nothing; without the faster rate the
        # filters stay where they were drawn ("the slow start" in
        # experiments/abobakr2018.md).
        config.model.output_gain = 30.0
        config.optimizer.filter_rate_factor = 100.0
