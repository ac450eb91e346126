"""A study that is small enough to see through, and answers to it."""

import base64
import json

import numpy as np

from experiments.ranking.page import build
from experiments.ranking.pictures import Pictures

MODELS = ("sharp", "blurred", "noisy")
INDICES = (2, 5, 11, 20)


def pictures(description="squares", channels=1):
    rng = np.random.default_rng(0)
    originals = rng.uniform(0.2, 0.8, (4, 16, 16, channels))
    noise = rng.uniform(-1, 1, originals.shape)
    return Pictures(
        originals,
        {
            "sharp": originals + 0.01 * noise,
            "blurred": np.broadcast_to(
                originals.mean((1, 2), keepdims=True), noise.shape
            ),
            "noisy": originals + 0.2 * noise,
        },
        INDICES,
        description,
    )


def study_of(html):
    """The data of a page."""
    text = html.split('<script type="application/json" id="study">')[1]
    return json.loads(text.split("</script>")[0])


def names_of(study):
    """Names of the models by their letters."""
    return json.loads(base64.b64decode(study["sealed"]))["names"]


def answers_of(orders, *, rater="r1", name="", description="squares"):
    """An exported file in which the trials have these orders, by the models' names."""
    study = study_of(build(pictures(description)))
    letters = {name: id for id, name in names_of(study).items()}
    trials = [
        {
            "image": trial["image"],
            "shown": [copy["id"] for copy in trial["copies"]],
            "order": [letters[model] for model in order],
            "moves": 1,
            "milliseconds": 2000,
        }
        for trial, order in zip(study["trials"], orders)
    ]
    return {
        "format": "ranking-answers/1",
        "study": study["id"],
        "rater": rater,
        "name": name,
        "sealed": study["sealed"],
        "trials_in_study": len(study["trials"]),
        "trials": trials,
    }


def write(path, answers):
    path.write_text(json.dumps(answers))
    return path
