import numpy as np
import pytest

from configs import quickstart
from configs.abobakr2018 import fig6, fig7, table1, table2
from ssimjax.data import Arrays, Dataset
from ssimjax.tasks import train

PAPER = [table1, fig6, table2]
CONFIGS = [
    (quickstart, "ssim"),
    (quickstart, "conv"),
    *((paper, name) for paper in PAPER for name in ("ssim", "ssim_literal", "conv")),
    (fig7, "with_relu"),
    (fig7, "without_relu"),
]


@pytest.mark.parametrize(("module", "network"), CONFIGS)
def test_every_config_runs_two_steps(module, network):
    config = module.get_config(network)
    channels = 3 if config.data.source == "tfds" else 1
    images = np.random.default_rng(0).integers(0, 256, (64, 32, 32, channels), np.uint8)
    arrays = Arrays(images, np.arange(64) % 10)
    data = Dataset(arrays, arrays, tuple("abcdefghij"), "noise")
    config.training.epochs = 2 * config.training.batch_size / 64
    run = train(config, data=data)
    assert run.summary["steps"] == 2
    assert np.isfinite(run.summary["test"]["loss"])


@pytest.mark.parametrize("module", [quickstart, *PAPER])
def test_unknown_network(module):
    with pytest.raises(ValueError, match="argument must be .*conv.* got 'dense'"):
        module.get_config("dense")
