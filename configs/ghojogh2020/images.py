"""The two data sets of all models here: digits, and faces."""

import ml_collections


def choose(
    config: ml_collections.ConfigDict, argument: str, choices: tuple[str, ...]
) -> tuple[str, bool]:
    """Sets the data from a config file's argument, CHOICE or celeb_a-CHOICE.

    Args:
      config: changed in place; MNIST, 28x28, or CelebA, 64x64: the central square of
        140 of 178 pixels.
      argument: of the config file.
      choices: what CHOICE may be.

    Returns:
      The choice, and whether the images are faces.

    Raises:
      ValueError: if the argument is none of them.
    """
    faces = argument.startswith("celeb_a-")
    choice = argument.removeprefix("celeb_a-")
    if choice not in choices:
        raise ValueError(
            f"the config's argument must be one of {', '.join(choices)}, with celeb_a- "
            f"before it for faces, got {argument!r}"
        )
    config.data.name = "celeb_a" if faces else "mnist"
    if faces:
        config.data.label = None
        config.data.side = 64
        config.data.crop = 140 / 178
    return choice, faces
