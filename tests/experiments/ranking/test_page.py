import base64
import io
import re

import numpy as np
import PIL.Image
import pytest

from experiments.ranking.page import balanced_orders, build
from tests.experiments.ranking.small import (
    INDICES,
    MODELS,
    names_of,
    pictures,
    study_of,
)


def decoded(uri):
    head, data = uri.split(",")
    assert head == "data:image/png;base64"
    return np.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(data))))


@pytest.mark.parametrize("channels", [1, 3])
def test_page_holds_the_pictures_it_was_given(channels):
    shown = pictures(channels=channels)
    study = study_of(build(shown))
    names = names_of(study)
    assert sorted(names.values()) == sorted(MODELS)
    assert sorted(trial["image"] for trial in study["trials"]) == list(INDICES)
    for trial in study["trials"]:
        i = INDICES.index(trial["image"])
        every = {"original": trial["original"]}
        every |= {names[copy["id"]]: copy["source"] for copy in trial["copies"]}
        assert len(every) == 4
        for name, uri in every.items():
            images = shown.reconstructions.get(name, shown.originals)
            expected = np.round(255 * images[i]).squeeze()
            np.testing.assert_array_equal(decoded(uri), expected)


def test_page_loads_nothing_and_tells_no_name():
    html = build(pictures())
    without_data = re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]+", "", html)
    for way_out in ("http:", "https:", "//", "@import", "url(", "fetch(", "XMLHttp"):
        # A comment of the script begins with two slashes and a space.
        assert not re.search(rf"{re.escape(way_out)}(?! |-)", without_data), way_out
    assert not re.search(r"""\b(src|href)=["'](?!data:)""", without_data)
    assert "<link" not in html and "default-src 'none'" in html
    assert "@@" not in html
    for name in (*MODELS, "squares"):
        assert name not in html


def test_no_name_ends_the_data_early():
    shown = pictures(description="</script><b>")
    study = study_of(build(shown))
    assert len(study["trials"]) == 4


def test_the_seed_decides_the_orders_and_the_id():
    first, again, other = (study_of(build(pictures(), seed=s)) for s in (0, 0, 1))
    assert first == again
    assert first["id"] != other["id"] and first["trials"] != other["trials"]


def test_every_model_stands_everywhere_equally_often():
    orders = balanced_orders(np.random.default_rng(3), list("abcd"), 40)
    for place in range(4):
        counts = {m: sum(order[place] == m for order in orders) for m in "abcd"}
        assert set(counts.values()) == {10}
    assert len({tuple(order) for order in orders}) > 8  # Not the same rotations again.
    assert len(balanced_orders(np.random.default_rng(3), list("abcd"), 6)) == 6


def test_mistakes():
    shown = pictures()
    one = {"sharp": shown.reconstructions["sharp"]}
    with pytest.raises(ValueError, match="two or more models, got .'sharp'."):
        build(shown._replace(reconstructions=one))
    small = one | {"small": np.zeros((4, 8, 8, 1))}
    with pytest.raises(ValueError, match=r"got \(4, 8, 8, 1\) for small"):
        build(shown._replace(reconstructions=small))
    bright = one | {"bright": shown.originals + 1}
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\].*for bright"):
        build(shown._replace(reconstructions=bright))
    with pytest.raises(ValueError, match="one per original, 4, got 1"):
        build(shown._replace(indices=[3]))
