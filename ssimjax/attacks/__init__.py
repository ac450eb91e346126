"""Adversarial attacks: pure functions of a logits function."""

from ssimjax.attacks.fgsm import fgsm as fgsm
