"""Robust accuracy beside foolbox and the authors' AutoAttack, on one trained network.

`make peers` installs both and runs this; plain pytest deselects it.
"""

import importlib
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssimjax.attacks import apgd, fgsm, is_fooled, pgd, square
from tests.attacks.test_worst_case import trained

pytestmark = pytest.mark.peers
KEY = jax.random.key(0)


def import_peer(name):
    """A library, or a skip where it is absent; what its import warns of is its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, reason=f"no {name}: run `make peers`")


def accuracy(found):
    logits_fn, _, labels = trained(0)
    return float(1 - is_fooled(logits_fn(found), labels).mean())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "epsilon"),
    [("fgsm", e / 255) for e in (1, 2, 4, 8)]
    + [("linf", e / 255) for e in (1, 2, 4)]
    + [("l2", e) for e in (0.1, 0.25, 0.5)],
)
def test_foolbox_leaves_as_many(name, epsilon):
    foolbox = import_peer("foolbox")
    logits_fn, images, labels = trained(0)
    model = foolbox.JAXModel(logits_fn, bounds=(0, 1))
    # From the image, so that no luck of a start comes in.
    steps = {"steps": 50, "rel_stepsize": 2.5 / 50, "random_start": False}
    theirs = {
        "fgsm": foolbox.attacks.LinfFastGradientAttack(random_start=False),
        "linf": foolbox.attacks.LinfPGD(**steps),
        "l2": foolbox.attacks.L2PGD(**steps),
    }[name]
    with jax.numpy_rank_promotion("allow"):
        target = accuracy(theirs(model, images, labels, epsilons=epsilon)[1])
    if name == "fgsm":
        value = accuracy(fgsm(logits_fn, images, labels, epsilon=epsilon))
    else:
        options = {"norm": name, "random_start": False}
        value = accuracy(
            pgd(KEY, logits_fn, images, labels, epsilon=epsilon, **options)
        )
    assert 0.005 < target < 0.74
    # Half a point is one of 200 images.
    assert abs(value - target) <= 0.0051


def torch_copy(torch):
    """The network weight for weight."""
    params = trained(0)[0].args[0]
    weights = [[torch.tensor(np.array(a)) for a in layer] for layer in params]

    def forward(x):
        x = x - 0.5
        for kernel, bias in weights[:-1]:
            x = torch.nn.functional.pad(x, (0, 1, 0, 1))
            kernel = kernel.permute(3, 2, 0, 1)
            x = torch.nn.functional.conv2d(x, kernel, bias, stride=2).relu()
        kernel, bias = weights[-1]
        return x.permute(0, 2, 3, 1).reshape(len(x), -1) @ kernel + bias

    return forward


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("epsilon", [1 / 255, 2 / 255, 4 / 255])
@pytest.mark.parametrize("name", ["ce", "dlr", "targeted_dlr", "square"])
def test_autoattack_leaves_as_many(name, epsilon):
    torch = import_peer("torch")
    import_peer("pyautoattack")
    base = importlib.import_module("pyautoattack.autopgd_base")
    logits_fn, images, labels = trained(0)
    forward = torch_copy(torch)
    x = torch.tensor(np.array(images)).permute(0, 3, 1, 2)
    y = torch.tensor(np.array(labels)).long()
    np.testing.assert_allclose(forward(x).numpy(), logits_fn(images), atol=1e-4)
    options = {"eps": epsilon, "seed": 0, "device": "cpu"}
    if name == "square":
        module = importlib.import_module("pyautoattack.square")

        class Inclusive(module.SquareAttack):
            """Theirs, whose squares otherwise never reach the last row or column."""

            def random_int(self, low=0, high=1, shape=(1,)):
                return super().random_int(low, high + 1, shape)

        theirs = Inclusive(forward, n_queries=1000, **options)
        value = square(KEY, logits_fn, images, labels, epsilon=epsilon, queries=1000)
    else:
        if name == "targeted_dlr":
            theirs = base.APGDAttack_targeted(forward, n_target_classes=9, **options)
        else:
            theirs = base.APGDAttack(forward, loss=name, **options)
        value = apgd(KEY, logits_fn, images, labels, epsilon=epsilon, loss=name)
    right = forward(x).argmax(1) == y
    found = x.clone()
    found[right] = theirs.perturb(x[right], y[right])
    target = float((forward(found).argmax(1) == y).float().mean())
    assert 0.1 < target < 0.74
    assert abs(accuracy(value) - target) <= 0.0101
    assert jnp.abs(value - images).max() <= epsilon + 1e-6
