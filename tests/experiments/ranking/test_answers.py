import base64
import json

import numpy as np
import pytest

from experiments.ranking.answers import agreement_of_raters, read
from experiments.ranking.page import build
from tests.experiments.ranking.small import answers_of, pictures, study_of, write

BEST_TO_WORST = ("sharp", "noisy", "blurred")
REVERSED = BEST_TO_WORST[::-1]


def test_orders_become_places_of_named_models(tmp_path):
    anna = answers_of([BEST_TO_WORST, REVERSED], rater="r1", name="Anna")
    ben = answers_of([BEST_TO_WORST] * 4, rater="r2")
    ben["trials"][0]["moves"] = 0
    found = read([write(tmp_path / "a.json", anna), write(tmp_path / "b.json", ben)])
    columns = [found.models.index(name) for name in BEST_TO_WORST]
    expected = [[1, 2, 3], [3, 2, 1]] + 4 * [[1, 2, 3]]
    np.testing.assert_array_equal(found.rankings[:, columns], expected)
    assert found.raters.tolist() == ["Anna"] * 2 + ["r2"] * 4
    order = [trial["image"] for trial in study_of(build(pictures()))["trials"]]
    assert found.images.tolist() == order[:2] + order
    assert found.description == "squares" and found.asked == 4
    assert found.untouched == 1
    firsts = [t["order"][0] == t["shown"][0] for a in (anna, ben) for t in a["trials"]]
    assert found.shown_first == sum(firsts)
    np.testing.assert_array_equal(found.seconds, [2.0] * 6)

    among = agreement_of_raters(found)
    assert among is not None and among["trials"] == 2
    assert among["first"] == 0.5 and among["pairs"] == 0.5


def test_one_rater_agrees_with_nobody(tmp_path):
    path = write(tmp_path / "a.json", answers_of([BEST_TO_WORST] * 2))
    assert agreement_of_raters(read([path])) is None


def test_namesakes_are_told_apart(tmp_path):
    files = [
        write(
            tmp_path / f"{rater}.json",
            answers_of([REVERSED], rater=rater, name="Anna"),
        )
        for rater in ("r1", "r2")
    ]
    assert read(files).raters.tolist() == ["Anna (r1)", "Anna (r2)"]


def test_answers_to_another_page_are_refused(tmp_path):
    one = write(tmp_path / "a.json", answers_of([REVERSED]))
    strange = answers_of([REVERSED], rater="r2", description="circles")
    other = write(tmp_path / "b.json", strange)
    message = f"of one study, got study .* in .*a.json and {strange['study']} in .*b.js"
    with pytest.raises(ValueError, match=message):
        read([one, other])


def broken(change):
    answers = answers_of([REVERSED, BEST_TO_WORST])
    change(answers)
    return answers


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.update(format="other"), "format ranking-answers/1"),
        (lambda a: a.pop("sealed"), "must have the keys sealed"),
        (lambda a: a["trials"][1].pop("order"), "must have the keys order"),
        (lambda a: a.update(trials={}), "trials of .* must be list, got {}"),
        (lambda a: a["trials"].append(7), "every trial of .* must be an object, got 7"),
        (
            lambda a: a["trials"][0].update(milliseconds="1 s"),
            "milliseconds of every trial of .* must be a number, got '1 s'",
        ),
        (lambda a: a["trials"][1]["order"].pop(), "order and shown must hold each of"),
        (lambda a: a.update(trials=[]), "at least one ranking"),
        (lambda a: a.update(sealed="?"), "names in .* cannot be read"),
        (
            lambda a: a.update(sealed=base64.b64encode(b"\xff").decode()),
            "names in .* cannot be read",
        ),
    ],
)
def test_broken_files_are_refused(tmp_path, change, message):
    path = write(tmp_path / "broken.json", broken(change))
    with pytest.raises(ValueError, match=message):
        read([path])


def test_files_that_are_no_answers(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("not json")
    with pytest.raises(ValueError, match=r"a\.json is not JSON"):
        read([path])
    path.write_text(json.dumps([1]))
    with pytest.raises(ValueError, match="must be exported by the page"):
        read([path])
    with pytest.raises(FileNotFoundError):
        read([tmp_path / "missing.json"])
    write(path, answers_of([REVERSED]))
    copy = write(tmp_path / "copy.json", answers_of([REVERSED]))
    with pytest.raises(ValueError, match="same rater, r1; name the newest alone"):
        read([path, copy])
    with pytest.raises(ValueError, match="must be different files"):
        read([path, path])
