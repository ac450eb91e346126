"""The classifier of digits whose features and guesses samples are judged by.

python -m experiments.train --config=configs/ghojogh2020/classifier.py \
        --workdir=runs/digit-classifier
"""

import ml_collections

from configs import classification


def get_config() -> ml_collections.ConfigDict:
    """A convolutional network of MNIST."""
    config = classification.defaults()
    classification.choose_network(config, "conv")
    config.data.name = "mnist"
    config.augmentation.flip = False
    config.training.epochs = 2.0
    return config
