"""The command that measures several subjects."""

import json

import pytest

from experiments import benchmark
from experiments.benchmarks import layer, scaling
from experiments.benchmarks.timing import Report


def test_what_was_measured_outlives_what_fails(tmp_path, monkeypatch):
    def fails(*, repeats):
        raise MemoryError("too large")

    report = Report(
        "layers", [{"ms": 1.0}], [{"ms": "1.0"}], ["a note"], {"a": {"b": 1.0}}
    )
    monkeypatch.setattr(benchmark, "_SUBJECTS", {"layer": 1, "scaling": 1})
    monkeypatch.setattr(layer, "measure", lambda *, repeats: report)
    monkeypatch.setattr(scaling, "measure", fails)
    out = tmp_path / "new" / "found.json"
    monkeypatch.setattr(benchmark, "_OUT", Given(str(out)))
    monkeypatch.setattr(benchmark, "_REPEATS", Given(1))
    with pytest.raises(MemoryError):
        benchmark.main("all")
    found = json.loads(out.read_text())
    assert found == {
        "layer": {"title": "layers", "rows": [{"ms": 1.0}], "notes": ["a note"]}
    }
    assert out.with_suffix(".png").stat().st_size > 1000


class Given:
    """A flag of this value."""

    def __init__(self, value):
        self.value = value
