"""Every key of a config of an adversarial pair of networks, with its default.

Other configs start from `defaults()` and change what is theirs. Any key can be changed
on the command line, as in `--config.training.epochs=20`.
"""

import ml_collections

from configs import sections


def defaults() -> ml_collections.ConfigDict:
    """A convolutional GAN of MNIST, in the settings of Radford et al. 2016."""
    config = sections.study("adversarial")
    model = config.model = ml_collections.ConfigDict()
    model.name = "convolutional"  # The generator; or "dense".
    model.latent = 100  # Length of a latent vector.
    model.prior = "uniform"  # Of its elements, on [-1, 1]; or "normal", N(0, 1).
    model.conditional = False  # Whether both networks are told the class.
    model.widths = (64, 128)  # Filters, from the image on; dense: units, to the image.
    model.upsampling = "nearest"  # Or "transposed", which draws checkerboards.

    discriminator = config.discriminator = ml_collections.ConfigDict()
    discriminator.widths = (64, 128)  # Filters of its layers.
    discriminator.normalisation = "batch"  # Or "spectral", "none".
    discriminator.per_patch = False  # A map of scores instead of one.

    objective = config.objective = ml_collections.ConfigDict()
    # gan, gan_minimax, gan_ssim_printed, gan_ssim_patches, gan_ssim_energy, lsgan,
    # lsgan_ssim. Further keys are arguments of the SSIM distance of scores or of pairs
    # of images; gan_ssim_energy takes that of blocks of 4x4 pixels.
    objective.name = "gan"
    objective.weight = 0.0  # gan_ssim_energy: of the energy distance.
    objective.form = "uncentred"  # SSIM distance: Eq. 2, or "centred", Eq. 1.
    objective.window = {"uniform": {"size": 3}}  # SSIM distance: its window.
    objective.k1 = 0.01  # SSIM distance: stabiliser of luminance.
    objective.k2 = 0.03  # SSIM distance: stabiliser of contrast and structure.

    adversarial = config.adversarial = ml_collections.ConfigDict()
    adversarial.critic_steps = 1  # Of the discriminator for one of the generator.
    adversarial.decay = 0.99  # Of the average of the generator's parameters.

    optimizer = config.optimizer = sections.adam()
    optimizer.rate = 2e-4  # Of both networks.
    optimizer.discriminator_factor = 1.0  # On the rate of the discriminator.
    optimizer.b1 = 0.5

    config.training = sections.training()
    config.training.batch_size = 64
    config.training.epochs = 25.0
    return config
