"""Every key of a super-resolution config, with its default.

Other configs start from `defaults()` and change what is theirs. Any key can be changed
on the command line, as in `--config.training.epochs=20`.
"""

import ml_collections

from configs import sections


def defaults() -> ml_collections.ConfigDict:
    """SRCNN, trained at x4 on photographs that come with scikit-image."""
    config = sections.study("super_resolution")

    data = config.data
    data.source = "photographs"
    data.color = True
    data.size = 68  # See `resolution.patch`.
    data.test_count = 100

    resolution = config.resolution = ml_collections.ConfigDict()
    resolution.factor = 4  # By which sides are made smaller.
    # Side of the squares that the loss sees. Up to 4 * factor pixels from its border,
    # an image made smaller and enlarged again depends on what lies beyond it, so that
    # `data.size` has to be larger: 33 + 2 * 16, and 3 for every phase of the 4x4 grid.
    resolution.patch = 33
    resolution.turn = True  # Whether they are turned and mirrored at random.

    model = config.model = ml_collections.ConfigDict()
    model.widths = (64, 32)  # Filters of the first two layers.
    model.sizes = (9, 5, 5)  # Sides of the filters of all three.
    # "published": N(0, 0.001); "he": He's deviation, and N(0, 0.001) in the last layer.
    model.initial = "he"
    model.output = "residual"  # What is added to the input; or "image", as published.

    # Further keys are arguments of the loss, such as `window`.
    loss = config.loss = ml_collections.ConfigDict()
    loss.name = "mse"  # A name from `ssimjax.losses`.

    optimizer = config.optimizer = ml_collections.ConfigDict()
    # Of Adam. At 3e-3, the ReLUs of three networks of six died within 125 steps, and
    # left the enlarged image as it was; at 1e-3 nine of nine lived.
    optimizer.rate = 1e-3
    # On the rate of the last layer, as in SRCNN. With 1, the first steps of Adam move
    # its tiny weights all together, and the ReLUs before it died at 1e-3 and 3e-3.
    optimizer.last_rate_factor = 0.1
    optimizer.schedule = "cosine"  # Down to 0 at the last step; or "constant".
    optimizer.b1 = 0.9  # Decay of the mean gradient.

    config.training = sections.training()
    config.training.epochs = 10.0
    config.training.batch_size = 16
    config.training.eval_batch_size = 20
    return config
