"""One self-contained web page on which people rank reconstructions."""

import base64
import hashlib
import io
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import PIL.Image

from experiments.ranking.pictures import Pictures

_HERE = pathlib.Path(__file__).parent
# No vowels, so that no word comes about, and no digits, which invite counting.
_LETTERS = list("bcdfghjklmnpqrstvwxz")


def build(pictures: Pictures, *, seed: int = 0) -> str:
    """Writes the page of a study.

    The rater is blind: models are random letters in the page, and their names are
    encoded. Pictures come in random order. Among the copies of successive pictures,
    every model stands at every place equally often, up to the last incomplete round, so
    that a liking for a place favours no model.

    Args:
      pictures: what is ranked.
      seed: of the letters and the orders.

    Returns:
      HTML that needs no other file.

    Raises:
      ValueError: if there are fewer than two models, shapes differ, there is no image,
        or images are neither gray nor in colour or leave [0, 1].
    """
    _check(pictures)
    rng = np.random.default_rng(seed)
    letters = _ids(rng, len(pictures.reconstructions))
    ids = dict(zip(pictures.reconstructions, letters))
    originals = _bytes(pictures.originals)
    copies = {ids[n]: _bytes(x) for n, x in pictures.reconstructions.items()}
    orders = balanced_orders(rng, list(copies), len(originals))
    trials = [
        {
            "image": int(pictures.indices[i]),
            "original": _png(originals[i]),
            "copies": [{"id": id, "source": _png(copies[id][i])} for id in order],
        }
        for i, order in zip(rng.permutation(len(originals)), orders)
    ]
    key = {"names": {id: n for n, id in ids.items()}, "data": pictures.description}
    study = {
        "height": originals.shape[1],
        "width": originals.shape[2],
        "sealed": base64.b64encode(json.dumps(key).encode()).decode(),
        "trials": trials,
    }
    digest = hashlib.sha256(json.dumps(study, sort_keys=True).encode())
    study = {"id": digest.hexdigest()[:12]} | study
    parts = {
        "STYLE": (_HERE / "page.css").read_text(),
        "SCRIPT": (_HERE / "page.js").read_text(),
        # No text of it may end the element that holds it.
        "STUDY": json.dumps(study).replace("<", "\\u003c"),
    }
    html = (_HERE / "page.html").read_text()
    for name, text in parts.items():
        html = html.replace(f"@@{name}@@", text.strip())
    return html


def balanced_orders(
    rng: np.random.Generator, items: Sequence[str], count: int
) -> list[list[str]]:
    """Random orders in which every item stands at every place equally often.

    Args:
      rng: source of randomness.
      items: what is ordered.
      count: how many orders.

    Returns:
      The orders: of each random one all rotations, shuffled, until there are enough.

    Example:
      >>> orders = balanced_orders(np.random.default_rng(0), ["a", "b", "c"], 6)
      >>> sorted(order[0] for order in orders)
      ['a', 'a', 'b', 'b', 'c', 'c']
    """
    orders: list[list[str]] = []
    while len(orders) < count:
        one = [items[i] for i in rng.permutation(len(items))]
        rotations = [one[i:] + one[:i] for i in range(len(one))]
        orders.extend(rotations[i] for i in rng.permutation(len(one)))
    return orders[:count]


def _check(pictures: Pictures) -> None:
    if len(pictures.reconstructions) < 2:
        raise ValueError(
            "reconstructions must be of two or more models, got "
            f"{list(pictures.reconstructions)}"
        )
    shape = pictures.originals.shape
    if len(shape) != 4 or not shape[0] or shape[-1] not in (1, 3):
        raise ValueError(
            f"originals must be [n, h, w, 1 or 3] with n >= 1, got shape {shape}"
        )
    if len(pictures.indices) != shape[0]:
        raise ValueError(
            f"indices must be one per original, {shape[0]}, got {len(pictures.indices)}"
        )
    every: dict[str, Any] = {"originals": pictures.originals}
    for name, images in (every | dict(pictures.reconstructions)).items():
        if images.shape != shape:
            raise ValueError(
                f"reconstructions must have the shape of the originals, {shape}, got "
                f"{images.shape} for {name}"
            )
        # Stated so that NaN fails, too.
        if not (images.min() >= 0 and images.max() <= 1):
            raise ValueError(
                f"images must lie in [0, 1], got values from {images.min()} to "
                f"{images.max()} for {name}"
            )


def _ids(rng: np.random.Generator, count: int) -> list[str]:
    found: dict[str, None] = {}
    while len(found) < count:
        found["".join(rng.choice(_LETTERS, 4))] = None
    return list(found)


def _bytes(images: np.ndarray) -> np.ndarray:
    return np.round(255 * np.asarray(images, np.float64)).astype(np.uint8)


def _png(image: np.ndarray) -> str:
    """A data URI."""
    file = io.BytesIO()
    pixels = image[..., 0] if image.shape[-1] == 1 else image
    PIL.Image.fromarray(pixels).save(file, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
