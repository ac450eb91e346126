import re

import pytest

from ssimjax.tasks import diagnose

HEALTHY = {"zero": 0.0, "zero_images": 0.0, "nonfinite": 0.0, "norm": 1.0}
CURVES = {
    "fgsm": [0.8, 0.5, 0.3, 0.2],
    "pgd": [0.8, 0.3, 0.0, 0.0],
    "square": [0.8, 0.6, 0.1, 0.0],
    "transfer": [0.8, 0.7, 0.5, 0.3],
}
EPSILONS = (0.0, 4 / 255, 8 / 255, 64 / 255)


def rows(curves):
    return [
        {"attack": name, "norm": "linf", "epsilon": epsilon, "top1": value}
        for name, curve in curves.items()
        for epsilon, value in zip(EPSILONS, curve)
    ]


def test_what_fgsm_hides_is_said_and_is_no_sign_of_masking():
    found = diagnose(rows(CURVES), gradients=HEALTHY, chance=0.1)
    assert found == [
        "pgd breaks what FGSM does not: at ε = 8/255 FGSM leaves 30.0 % and pgd 0.0 %.",
        "Verdict: no sign of masked gradients.",
    ]


@pytest.mark.parametrize(
    ("curves", "scaled", "gradients", "message"),
    [
        ({"square": [0.8, 0.2, 0, 0]}, {}, {}, "square does not use .* leaves 20.0 %"),
        ({"noise": [0.8, 0.2, 0, 0]}, {}, {}, "noise knows nothing of the network"),
        ({"fgsm": [0.8, 0.2, 0, 0]}, {}, {}, "fgsm takes a single step and finds more"),
        ({"transfer": [0.8, 0.1, 0, 0]}, {}, {}, "transfer does not use the network's"),
        ({}, {"pgd": [0.8, 0.1, 0, 0]}, {}, "Smaller logits help pgd: at ε = 4/255"),
        ({"pgd": [0.8, 0.1, 0.3, 0]}, {}, {}, "pgd finds less with more room"),
        ({"pgd": [0.8, 0.7, 0.6, 0.5]}, {}, {}, "At ε = 64/255.* 50.0 % are still"),
        ({}, {}, {"nonfinite": 0.01}, "1.0 % of the input gradients are not finite"),
        ({}, {}, {"zero_images": 0.2}, "gradient of 20.0 % of the images is 0"),
    ],
)
def test_each_sign_is_found(curves, scaled, gradients, message):
    found = diagnose(
        rows(CURVES | curves),
        gradients=HEALTHY | gradients,
        scaled=rows(scaled),
        chance=0.1,
    )
    assert any(re.search(message, sentence) for sentence in found), found
    assert found[-1] == "Verdict: gradients are masked."


def test_nothing_is_claimed_without_an_iterative_attack():
    found = diagnose(rows({"fgsm": CURVES["fgsm"]}), gradients=HEALTHY, chance=0.1)
    assert found == ["No iterative attack was run, so that nothing is known."]
