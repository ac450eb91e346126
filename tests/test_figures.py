"""What pictures would leave out without a word."""

import matplotlib.axes
import numpy as np

from ssimjax.figures import charts


def test_histograms_show_every_value(tmp_path, monkeypatch):
    counts = []
    usual = matplotlib.axes.Axes.hist

    def counting(*arguments, **options):
        found = usual(*arguments, **options)
        counts.append(found[0].sum())
        return found

    monkeypatch.setattr(matplotlib.axes.Axes, "hist", counting)
    norms = {"living": np.array([0.3, 0.7, 2.1]), "dead": np.array([0.0, 1e-12, 1.0])}
    charts.histograms({"norm": norms}, tmp_path / "norms.png")
    assert counts == [3, 3]
    assert (tmp_path / "norms.png").stat().st_size > 0
