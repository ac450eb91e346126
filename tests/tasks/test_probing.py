import numpy as np
import pytest

from ssimjax.tasks import probe


def known(count=150, noise=0.05):
    """Codes that hold a class and an angle, and nothing else but noise."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 3
    angles = rng.uniform(-40, 90, count)
    codes = np.stack([labels == 1, labels == 2, angles / 100], 1)
    return codes + noise * rng.normal(size=codes.shape), labels, angles


def test_what_codes_hold_is_found_and_nothing_else():
    codes, labels, angles = known()
    blind = np.random.default_rng(1).uniform(-40, 90, len(labels))
    row = probe(codes, labels, targets={"angle": angles, "blind": blind}, splits=3)
    assert row["error"] < 0.05 and len(row["error_each"]) == 3
    assert row["angle mse"] < 0.1 * angles.var()
    assert row["blind mse"] > 0.8 * blind.var()
    shuffled = np.random.default_rng(2).permutation(labels)
    assert probe(codes, shuffled, splits=3)["error"] > 0.4
    assert probe(codes, labels, splits=3)["error_each"] == row["error_each"]


def test_bad_arguments():
    codes, labels, angles = known(30)
    with pytest.raises(ValueError, match="equally many, got 30, 29"):
        probe(codes, labels[:-1])
    with pytest.raises(ValueError, match="equally many, got 30, 30 and .*'a': 3"):
        probe(codes, labels, targets={"a": angles[:3]})
    with pytest.raises(ValueError, match="splits must be >= 2, got 1"):
        probe(codes, labels, splits=1)
    with pytest.raises(ValueError, match="seed must be >= 0, got -1"):
        probe(codes, labels, seed=-1)
    with pytest.raises(ValueError, match="labels must be of two or more classes, got"):
        probe(codes, np.zeros_like(labels))


def test_other_examples_are_tested_where_they_are_given():
    codes, labels, angles = known()
    wrong = codes[::2], 1 - labels[::2] % 2
    row = probe(codes, labels, tested=(codes[1::2], labels[1::2]), splits=2)
    assert row["error"] < 0.05
    assert probe(codes, labels, tested=wrong, splits=2)["error"] > 0.3
    with pytest.raises(ValueError, match="targets must be none with tested, got"):
        probe(codes, labels, targets={"angle": angles}, tested=wrong)
