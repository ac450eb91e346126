from experiments.benchmarks import attacks
from ssimjax.tasks import load, train
from tests.small import small_config


def test_attacks_of_a_trained_classifier(tmp_path):
    train(small_config("conv"), tmp_path)
    report = attacks.measure(repeats=1, workdir=tmp_path)
    assert "40 images of 32x32x1" in report.title
    assert load(tmp_path).dataset.description in report.title
    assert [row["attack"] for row in report.rows] == ["FGSM", "PGD-50", "PGD-50, L2"]
    for row in report.rows:
        assert all(rate > 0 for rate in row["images_per_second"].values())
    fgsm, pgd, _ = (row["accuracy"]["ssimjax"] for row in report.rows)
    assert 0 <= pgd <= fgsm <= 1
