import contextlib

import pytest

from experiments.benchmarks import peers, rivals, workers
from experiments.benchmarks.limits import Limits


@pytest.fixture(scope="module")
def pair():
    names = [rivals.OURS, "scikit-image"]
    with contextlib.closing(workers.Workers(names)) as started:
        yield started


def test_costs_of_all_that_can_do_it(pair):
    shape = (1, 1024, 1024, 1)
    costs = pair.costs(rivals.Metric(), "gradient", shape, repeats=2)
    assert list(costs) == [rivals.OURS, "scikit-image"]
    image = 4 * 1024 * 1024
    for cost in costs.values():
        assert 0 < cost.seconds < cost.first
        # The gradient is as large as the image.
        assert cost.peak is None or image <= cost.peak < 100 * image
    row = peers._row("gradient", shape, 1, costs, Limits(1e10, 1e11))
    assert row["fastest"] == "scikit-image"
    assert row["ratio"] == costs["scikit-image"].seconds / costs[rivals.OURS].seconds
    assert row["of_copy_bandwidth"] == pytest.approx(
        12 * 1024 * 1024 / row["seconds"] / 1e10
    )
    # scikit-image has no MS-SSIM.
    metric = rivals.Metric(scales=3)
    assert sum(metric.weights) == pytest.approx(1)
    assert list(pair.costs(metric, "value", shape, repeats=1)) == [rivals.OURS]


def test_an_error_in_a_worker_is_an_error_here():
    with (
        contextlib.closing(workers.Worker(rivals.OURS)) as worker,
        pytest.raises(RuntimeError, match="smaller than the window"),
    ):
        worker("build", rivals.Metric(), "value", (1, 8, 8, 1))


def test_what_is_timed_is_the_same_number():
    shape = (1, 32, 32, 1)
    ours = rivals.build(rivals.OURS, rivals.Metric(), "value", shape)(1)
    theirs = rivals.build("scikit-image", rivals.Metric(), "value", shape)(1)
    assert float(theirs[0]) == pytest.approx(float(ours), abs=1e-6)
