import doctest
import math

import numpy as np
import pytest
from scipy import stats

from experiments.ranking import analysis, page
from experiments.ranking.analysis import (
    agreement,
    analyse,
    chance,
    holm,
    places,
    wilson,
)


def rankings(*orders):
    """Places of a, b and c from orders such as "bca"."""
    return np.array([[1.0 + order.index(m) for m in "abc"] for order in orders])


def test_first_places_and_means_by_hand():
    found = analyse(rankings("abc", "acb", "abc", "bac"), "abc")
    rows = {row["model"]: row for row in found["models"]}
    assert [row["model"] for row in found["models"]] == ["a", "b", "c"]
    assert [rows[m]["first"] for m in "abc"] == [3, 1, 0]
    assert [rows[m]["share"] for m in "abc"] == [0.75, 0.25, 0.0]
    assert [rows[m]["mean_place"] for m in "abc"] == [1.25, 2.0, 2.75]
    assert found["trials"] == 4 and found["shared"] == 0
    # 12 / (n k (k + 1)) Σ R² - 3 n (k + 1), with rank sums 5, 8 and 11.
    assert found["friedman"]["statistic"] == pytest.approx(12 / 48 * 210 - 48)
    assert found["friedman"]["p"] == pytest.approx(math.exp(-4.5 / 2))
    pairs = {(p["model"], p["other"]): p for p in found["pairs"]}
    assert [(p["wins"], p["losses"]) for p in found["pairs"]] == [
        (3, 1),
        (4, 0),
        (3, 1),
    ]
    assert pairs["a", "c"]["p"] == pytest.approx(2 / 16)
    assert pairs["a", "c"]["p_holm"] == pytest.approx(6 / 16)
    assert pairs["a", "b"]["p"] == pytest.approx(10 / 16)
    assert pairs["a", "b"]["p_holm"] == 1.0


def test_published_share_has_its_interval():
    # 709 of 1000 first places (Snell et al. 2017), Wilson's formula written out.
    z = stats.norm.ppf(0.975)
    share, n = 0.709, 1000
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    assert wilson(709, 1000) == pytest.approx((middle - half, middle + half))
    assert wilson(709, 1000) == pytest.approx((0.6801, 0.7363), abs=5e-5)
    orders = ["abc"] * 709 + ["bca"] * 146 + ["cab"] * 145
    found = analyse(rankings(*orders), "abc")
    best = found["models"][0]
    assert (best["model"], best["first"], best["share"]) == ("a", 709, 0.709)
    assert (best["low"], best["high"]) == wilson(709, 1000)
    assert found["chance"]["test"] == "exact multinomial"
    assert 0 < found["chance"]["p"] < 1e-100


@pytest.mark.parametrize("counts", [[9, 1], [5, 5], [0, 7], [13, 8]])
def test_exact_test_of_two_is_the_binomial_test(counts):
    expected = stats.binomtest(counts[0], sum(counts)).pvalue
    assert chance(counts)["p"] == pytest.approx(expected)


def test_exact_test_of_three_by_hand():
    # 27 sequences: all alike 3 of them, two and one 18, one each 6.
    assert chance([3, 0, 0])["p"] == pytest.approx(3 / 27)
    assert chance([1, 2, 0])["p"] == pytest.approx(21 / 27)
    assert chance([1, 1, 1])["p"] == pytest.approx(1.0)


def test_many_outcomes_are_tested_by_chi_square():
    found = chance([700, 650, 750, 800])
    assert found["test"] == "chi-square"
    # 725 expected of each.
    statistic = (25**2 + 75**2 + 25**2 + 75**2) / 725
    assert found["p"] == pytest.approx(stats.chi2.sf(statistic, 3))


def test_shared_places_count_for_nobody():
    values = np.array([[0.1, 0.1, 0.5], [0.2, 0.3, 0.3], [0.4, 0.4, 0.4]])
    found = places(values)
    np.testing.assert_array_equal(found, [[1.5, 1.5, 3], [1, 2.5, 2.5], [2, 2, 2]])
    result = analyse(found, "abc")
    assert result["shared"] == 2
    rows = {row["model"]: row for row in result["models"]}
    assert rows["a"]["first"] == 1 and rows["a"]["share"] == 1.0
    pair = next(p for p in result["pairs"] if {p["model"], p["other"]} == {"b", "c"})
    assert (pair["wins"], pair["losses"], pair["ties"]) == (1, 0, 2)


def test_nothing_but_ties():
    result = analyse(np.full((5, 3), 2.0), "abc")
    assert result["shared"] == 5
    assert result["models"][0]["share"] is None and result["models"][0]["low"] is None
    assert result["chance"]["p"] == pytest.approx(1.0)
    assert result["friedman"] == {"statistic": 0.0, "p": 1.0}
    assert {pair["p"] for pair in result["pairs"]} == {1.0}


def test_two_models_have_no_friedman_test():
    assert analyse(np.array([[1.0, 2.0]]), "ab")["friedman"] is None


def test_agreement_by_hand():
    some = rankings("abc", "abc", "cab")
    others = rankings("acb", "cba", "cab")
    found = agreement(some, others)
    assert found["first"] == pytest.approx(2 / 3)
    assert (found["low"], found["high"]) == wilson(2, 3)
    # Of three pairs each: two, none and three in the same order.
    assert found["pairs"] == pytest.approx(5 / 9)
    tied = np.array([[1.5, 1.5, 3.0]])
    found = agreement(tied, rankings("bac"))
    assert found["decided"] == 0 and found["first"] is None
    assert found["pairs"] == 1.0


def test_holm_keeps_the_order_and_never_falls():
    corrected = holm([0.01, 0.04, 0.03, 0.005])
    assert corrected == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_mistakes():
    with pytest.raises(ValueError, match="values must be finite, got .*nan"):
        places(np.array([[0.0, np.nan]]))
    with pytest.raises(ValueError, match=r"must be \[trials, 3\].*got shape \(1, 2\)"):
        analyse(np.array([[1.0, 2.0]]), "abc")
    with pytest.raises(ValueError, match="at least one trial"):
        analyse(np.zeros((0, 3)), "abc")
    with pytest.raises(ValueError, match=r"one shape, got \(1, 3\) and \(2, 3\)"):
        agreement(rankings("abc"), rankings("abc", "abc"))


@pytest.mark.parametrize("module", [analysis, page])
def test_examples_in_docstrings(module):
    failed, attempted = doctest.testmod(module)
    assert attempted > 0 and failed == 0
