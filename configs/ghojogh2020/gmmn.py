"""Section 3: generative moment matching networks of images, by their kernel.

    python -m experiments.train --config=configs/ghojogh2020/gmmn.py:ssim \
        --workdir=runs/gmmn-ssim

Argument: `rbf`, as published for MNIST (z uniform on [-1, 1]^10, layers of 64, 256, 256
and 1024 units, the root of MMD², batches of 1000); `imq`; `energy`; `ssim`, Σ exp(-γ
D²) of the SSIM distance of disjoint blocks; `ssim_energy`, that distance itself. Any of
them after `celeb_a-` for faces. The paper has no numbers; measured ones are in
experiments/ghojogh2020.md.
"""

import ml_collections

from configs import moment_matching
from configs.ghojogh2020 import images

KERNELS = ("rbf", "imq", "energy", "ssim", "ssim_energy")


def get_config(kernel: str = "ssim") -> ml_collections.ConfigDict:
    """The config; `kernel` is one of `KERNELS`, or celeb_a- and one of them."""
    config = moment_matching.defaults()
    kernel, faces = images.choose(config, kernel, KERNELS)
    if faces:
        config.model.name = "convolutional"
        config.model.latent = 64
        config.model.widths = (32, 64, 128, 256)
        config.training.batch_size = 500
    choose_kernel(config, kernel, faces=faces)
    return config


def choose_kernel(
    config: ml_collections.ConfigDict, kernel: str, *, faces: bool = False
) -> None:
    """Sets the kernel of images of MNIST or CelebA.

    Args:
      config: changed in place.
      kernel: one of `KERNELS`.
      faces: whether images are 64x64 in colour.
    """
    config.kernel.name = kernel.removesuffix("_energy")
    if kernel == "rbf":
        # Two digits are 10 apart, two faces 40.
        scale = 4.0 if faces else 1.0
        bandwidths = (2.0, 5.0, 10.0, 20.0, 40.0, 80.0)
        config.kernel.bandwidths = tuple(scale * width for width in bandwidths)
    elif kernel == "imq":
        # C = 2 d σ² s is then the mean squared distance times s.
        config.kernel.sigma = 0.25
    elif config.kernel.name == "ssim":
        side = 8 if faces else 7  # Blocks that tile the image.
        config.kernel.window = {"uniform": {"size": side}}
        config.kernel.stride = side
        config.kernel.form = "energy" if kernel == "ssim_energy" else "exponential"
