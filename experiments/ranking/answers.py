"""Answers that people exported from the page of a study."""

import base64
import binascii
import itertools
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from etils import epath

from experiments.ranking.analysis import agreement

_FORMAT = "ranking-answers/1"
_KINDS = {
    "study": str,
    "rater": str,
    "name": str,
    "sealed": str,
    "trials_in_study": int,
    "trials": list,
}
_TRIAL_KINDS = {
    "image": int,
    "shown": list,
    "order": list,
    "moves": int,
    "milliseconds": (int, float),
}


class Answers(NamedTuple):
    """Rankings by people, one row per rater and picture.

    Attributes:
      study: the id of the page.
      models: names of what was ranked.
      description: of the data set.
      raters: `[trials]`, a name or a random id; a name that two raters share is
        followed by the id.
      images: `[trials]`, which test image.
      rankings: `[trials, models]`, places from 1, the best.
      untouched: how many trials were confirmed as they had been shown, without a move.
      shown_first: how often the copy that was shown at the first place stayed or came
        back there. Chance, and a page without a bias, give 1 / models of the trials.
      seconds: `[trials]`, time that the picture was in sight.
      asked: how many pictures the study has.
    """

    study: str
    models: tuple[str, ...]
    description: str
    raters: np.ndarray
    images: np.ndarray
    rankings: np.ndarray
    untouched: int
    shown_first: int
    seconds: np.ndarray
    asked: int


def read(paths: Sequence[epath.PathLike]) -> Answers:
    """Reads exported answers of one study.

    Args:
      paths: the JSON files, one per rater.

    Returns:
      All rankings together.

    Raises:
      FileNotFoundError: if a file is not there.
      ValueError: if a file holds no answers, is of another study than the first, or of
        a rater whose answers are in another file, or no picture is ranked.
    """
    files = {str(path): _checked(epath.Path(path)) for path in paths}
    if len(files) < len(paths):
        raise ValueError(
            f"answers must be different files, got {list(map(str, paths))}"
        )
    (first, one), *_ = files.items()
    seen: dict[str, str] = {}
    for path, answers in files.items():
        for key in ("study", "sealed"):
            if answers[key] != one[key]:
                raise ValueError(
                    f"answers must be of one study, got study {one['study']} in "
                    f"{first} and {answers['study']} in {path}"
                )
        if answers["rater"] in seen:
            raise ValueError(
                f"{seen[answers['rater']]} and {path} are answers of the same rater, "
                f"{answers['rater']}; name the newest alone"
            )
        seen[answers["rater"]] = path
    key = _unsealed(first, one["sealed"])
    ids = sorted(key["names"], key=key["names"].__getitem__)
    rows = []
    for path, answers in files.items():
        rater = _name(answers, list(files.values()))
        for trial in answers["trials"]:
            if not sorted(trial["order"]) == sorted(trial["shown"]) == sorted(ids):
                raise ValueError(
                    f"order and shown must hold each of {sorted(ids)} once, got "
                    f"{trial['order']} and {trial['shown']} in {path}"
                )
            rows.append((rater, trial))
    if not rows:
        raise ValueError(f"answers must hold at least one ranking, got none in {first}")
    trials = [trial for _, trial in rows]
    return Answers(
        study=one["study"],
        models=tuple(key["names"][id] for id in ids),
        description=key["data"],
        raters=np.array([rater for rater, _ in rows]),
        images=np.array([trial["image"] for trial in trials]),
        rankings=np.array(
            [[1.0 + trial["order"].index(id) for id in ids] for trial in trials]
        ),
        untouched=sum(trial["moves"] == 0 for trial in trials),
        shown_first=sum(trial["order"][0] == trial["shown"][0] for trial in trials),
        seconds=np.array([trial["milliseconds"] / 1000 for trial in trials]),
        asked=one["trials_in_study"],
    )


def agreement_of_raters(answers: Answers) -> dict[str, Any] | None:
    """How far people agree among themselves, the most that a metric can hope for.

    Args:
      answers: of several raters.

    Returns:
      As `analysis.agreement`, over all pairs of raters and the pictures that both
      ranked; None if there is no such picture. With more than two raters the pairs
      overlap, and the interval is too narrow.
    """
    some, others = [], []
    for image in np.unique(answers.images):
        for i, j in itertools.combinations(np.flatnonzero(answers.images == image), 2):
            some.append(answers.rankings[i])
            others.append(answers.rankings[j])
    return agreement(np.array(some), np.array(others)) if some else None


def _checked(path: epath.Path) -> dict[str, Any]:
    try:
        answers = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(answers, dict) or answers.get("format") != _FORMAT:
        raise ValueError(f"{path} must be exported by the page, with format {_FORMAT}")
    _check_kinds(path, answers, _KINDS)
    for trial in answers["trials"]:
        _check_kinds(f"every trial of {path}", trial, _TRIAL_KINDS)
    return answers


def _check_kinds(what: epath.Path | str, found: Any, kinds: dict[str, Any]) -> None:
    if not isinstance(found, dict):
        raise ValueError(f"{what} must be an object, got {found!r}")
    if missing := kinds.keys() - found.keys():
        raise ValueError(f"{what} must have the keys {', '.join(sorted(missing))}")
    for name, kind in kinds.items():
        if not isinstance(found[name], kind):
            wanted = "a number" if isinstance(kind, tuple) else kind.__name__
            raise ValueError(f"{name} of {what} must be {wanted}, got {found[name]!r}")


def _unsealed(path: str, sealed: str) -> dict[str, Any]:
    try:
        return json.loads(base64.b64decode(sealed, validate=True))
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"the names in {path} cannot be read: {error}") from error


def _name(answers: dict[str, Any], every: list[dict[str, Any]]) -> str:
    if not answers["name"]:
        return answers["rater"]
    namesakes = sum(other["name"] == answers["name"] for other in every)
    return (
        answers["name"] if namesakes == 1 else f"{answers['name']} ({answers['rater']})"
    )
