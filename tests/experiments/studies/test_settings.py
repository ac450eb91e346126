import math
import statistics

import numpy as np

from experiments.studies.settings import difference, gap_and_interval


def test_welch_interval_by_hand():
    first, second = [77.0, 78.0, 82.0], [70.0, 71.0, 75.0]
    gap, low, high = gap_and_interval(first, second)
    # Equal variances of three each: four degrees of freedom, whose 97.5 % is 2.776.
    error = math.sqrt(2 * statistics.variance(first) / 3)
    np.testing.assert_allclose(
        (gap, low, high), 7 + 2.7764 * error * np.array([0, -1, 1]), rtol=1e-4
    )


def test_seeds_that_do_not_differ_bound_nothing():
    assert gap_and_interval([77.5, 77.5], [75.0, 75.0]) == (2.5, -math.inf, math.inf)
    text = difference(("a", "b"), [77.5, 77.5], [75.0, 75.0], unit="points")
    assert "+2.5 points (95 % interval -inf to +inf" in text
