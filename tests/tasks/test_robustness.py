import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.figure import Figure

from ssimjax import figures
from ssimjax.tasks import (
    attack_accuracy,
    corruption_accuracy,
    examine,
    filter_statistics,
    gradient_shares,
    pruning_accuracy,
    train,
)
from tests.small import small_config, stripes_dataset

EPSILONS = (0.0, 0.02, 0.1, 0.5)
ATTACKS = {
    "noise": {},
    "fgsm": {},
    "pgd": {"steps": 5, "restarts": 1},
    "square": {"queries": 20},
    "transfer": {"steps": 5},
}


@pytest.fixture(scope="module")
def runs():
    """Two networks, of two seeds each."""
    return {
        name: train(
            small_config(name, **{"training.epochs": 8.0, "seeds": 2}),
            data=stripes_dataset(),
        )
        for name in ("ssim", "conv")
    }


def accuracies(rows, attack):
    return np.array([row["top1_each"] for row in rows if row["attack"] == attack])


def test_attacks_agree_where_they_must(runs):
    rows = attack_accuracy(
        runs["ssim"],
        epsilons=EPSILONS,
        attacks=ATTACKS,
        splits=("test",),
        surrogate=runs["conv"],
    )
    assert len(rows) == len(EPSILONS) * (len(ATTACKS) + 1)
    clean = runs["ssim"].summary["test"]["top1_each"]
    worst = accuracies(rows, "worst case")
    for name in ATTACKS:
        np.testing.assert_array_equal(accuracies(rows, name)[0], clean)
        assert (worst <= accuracies(rows, name)).all()
    assert accuracies(rows, "pgd")[-1].max() < 0.6
    assert accuracies(rows, "pgd").mean() <= accuracies(rows, "noise").mean()
    again = attack_accuracy(
        runs["ssim"],
        epsilons=EPSILONS[1:2],
        attacks={"square": ATTACKS["square"]},
        splits=("test",),
    )
    np.testing.assert_array_equal(
        accuracies(again, "square")[0], accuracies(rows, "square")[1]
    )


def test_what_an_attack_needs(runs):
    with pytest.raises(ValueError, match="surrogate must be a trained network"):
        attack_accuracy(runs["ssim"], epsilons=(0.1,), attacks={"transfer": {}})
    with pytest.raises(ValueError, match="name must be one of .* got 'deepfool'"):
        attack_accuracy(runs["ssim"], epsilons=(0.1,), attacks={"deepfool": {}})
    data = runs["conv"].dataset._replace(classes=("across", "down", "neither"))
    other = runs["conv"]._replace(dataset=data)
    with pytest.raises(ValueError, match=r"2 \(across, down\), got one of 3 \(acr"):
        attack_accuracy(
            runs["ssim"], epsilons=(0.1,), attacks={"transfer": {}}, surrogate=other
        )


def test_devices_that_cannot_share_a_batch_of_the_config_take_a_larger_one(runs):
    given = {"epsilons": (0.0, 0.1), "splits": ("test",), "attacks": {"fgsm": {}}}
    config = runs["conv"].config.copy_and_resolve_references()
    config.training.eval_batch_size = 37
    other = runs["conv"]._replace(config=config)
    assert attack_accuracy(other, **given) == attack_accuracy(runs["conv"], **given)


def test_mistakes_are_found_before_the_first_attack(runs, monkeypatch):
    monkeypatch.setattr("ssimjax.tasks.robustness.in_all_batches", pytest.fail)
    for attack, options, message in (
        ("apgd_dlr", {}, "'dlr' needs 3 or more classes, got 2"),
        ("pgd", {"top_k": 5}, "top_k must be at least 1 and below the 2 classes"),
    ):
        with pytest.raises(ValueError, match=message):
            attack_accuracy(
                runs["conv"], epsilons=(0.1,), attacks={"noise": {}, attack: options}
            )


def test_seeds_of_a_surrogate_matter_to_transfer_alone(runs):
    config = runs["conv"].config.copy_and_resolve_references()
    config.seeds = 3
    state = jax.tree.map(lambda x: jnp.concatenate([x, x[:1]]), runs["conv"].state)
    three = runs["conv"]._replace(config=config, state=state)
    given = {"epsilons": (0.0,), "splits": ("test",), "surrogate": three}
    assert attack_accuracy(runs["ssim"], attacks={"fgsm": {}}, **given)
    with pytest.raises(ValueError, match="as many as the attacked network, 2, got 3"):
        attack_accuracy(runs["ssim"], attacks={"transfer": {}}, **given)


def test_euclidean_attacks_have_a_table_of_their_own(runs):
    options = {"steps": 2, "restarts": 1}
    two = {"pgd_l2": options, "pgd": {"norm": "l2"} | options}
    rows = attack_accuracy(
        runs["conv"], epsilons=(0.5,), attacks=two, splits=("test",), examples=20
    )
    assert [(r["attack"], r["norm"]) for r in rows] == [
        (name, "l2") for name in ("pgd_l2", "pgd", "worst case")
    ]
    assert "Verdict" in examine(runs["conv"], rows, attacks=two, examples=20)[-1]
    with pytest.raises(ValueError, match="of one norm.* got fgsm linf, pgd_l2 l2"):
        attack_accuracy(
            runs["conv"], epsilons=(0.1,), attacks={"fgsm": {}, "pgd_l2": options}
        )


def test_every_network_is_in_the_picture(tmp_path):
    row = {"attack": "fgsm", "split": "test", "norm": "linf", "top1": 0.5}
    names = [f"network {i}" for i in range(9)]
    seen = []

    class Noticing(Figure):
        def savefig(self, *arguments, **options):
            legend = self.axes[0].get_legend()
            seen.extend(text.get_text() for text in legend.get_texts())
            super().savefig(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("matplotlib.figure.Figure", Noticing)
        figures.accuracy_against_epsilon(
            {name: [row | {"epsilon": e} for e in (0.0, 0.1)] for name in names},
            tmp_path / "a.png",
            chance=0.1,
        )
    assert [name for name in names if any(name in s for s in seen)] == names


def test_corruptions_begin_with_clean_images(runs):
    rows = corruption_accuracy(runs["conv"], names=("gaussian_noise", "jpeg"))
    assert [(r["corruption"], r["severity"]) for r in rows] == [
        (name, severity) for name in ("gaussian_noise", "jpeg") for severity in range(6)
    ]
    for row in rows[::6]:
        assert row["top1"] == runs["conv"].summary["test"]["top1"]
        assert row["examples"] == 80
    broken = jax.tree.map(lambda x: jnp.nan * x, runs["conv"].state)
    with pytest.raises(FloatingPointError, match="not finite under jpeg"):
        corruption_accuracy(runs["conv"]._replace(state=broken), names=("jpeg",))
    with pytest.raises(ValueError, match="name must be one of"):
        corruption_accuracy(runs["conv"], names=("fog",))


def test_shares_of_gradients(runs):
    shares = gradient_shares(runs["ssim"], examples=20)
    assert shares["nonfinite"] == 0 and shares["zero_images"] < 0.5
    still = jax.tree.map(jnp.zeros_like, runs["conv"].state)
    shares = gradient_shares(runs["conv"]._replace(state=still), examples=20)
    assert shares["zero"] == shares["zero_images"] == 1.0


@pytest.mark.parametrize("name", ["ssim", "conv"])
@pytest.mark.usefixtures("own_errors")
def test_pruning_goes_from_all_filters_to_none(name, runs):
    run = runs[name]
    rows = pruning_accuracy(run, shares=(0.0, 0.5, 1.0))
    assert [(r["order"], r["removed"]) for r in rows] == [
        (order, share)
        for order in ("smallest norm", "random")
        for share in (0.0, 0.5, 1.0)
    ]
    for row in rows[::3]:
        assert row["top1"] == run.summary["test"]["top1"]
    # Without features every image gets the same guess.
    assert all(row["top1"] == 0.5 for row in rows[2::3])
    with pytest.raises(ValueError, match=r"shares must be numbers in \[0, 1\], got"):
        pruning_accuracy(run, shares=(1.5,))
    with pytest.raises(ValueError, match="orders must be of .*'largest'"):
        pruning_accuracy(run, shares=(0.5,), orders=("largest",))
    broken = run._replace(state=jax.tree.map(lambda x: jnp.nan * x, run.state))
    with pytest.raises(FloatingPointError, match="not finite without 0 of the filter"):
        pruning_accuracy(broken, shares=(0.0,))


def test_filters_by_hand(runs):
    for run in runs.values():
        found = filter_statistics(run)
        state = run.states()[1]
        layer = run.task.model(state).features
        filters = layer.filters if hasattr(layer, "filters") else layer.kernel
        one = np.asarray(filters[...])[..., 2].ravel().astype(np.float64)
        np.testing.assert_allclose(found["norm"][1, 2], np.sqrt((one**2).sum()))
        np.testing.assert_allclose(found["variance"][1, 2], one.var(ddof=1))
