"""Adversarial attacks: pure functions of a logits function."""

from ssimjax.attacks.apgd import apgd as apgd
from ssimjax.attacks.diagnostics import GradientHealth as GradientHealth
from ssimjax.attacks.diagnostics import gradient_health as gradient_health
from ssimjax.attacks.fgsm import fgsm as fgsm
from ssimjax.attacks.noise import random_noise as random_noise
from ssimjax.attacks.objectives import cross_entropy as cross_entropy
from ssimjax.attacks.objectives import dlr as dlr
from ssimjax.attacks.objectives import is_fooled as is_fooled
from ssimjax.attacks.objectives import margin as margin
from ssimjax.attacks.objectives import targeted_dlr as targeted_dlr
from ssimjax.attacks.pgd import pgd as pgd
from ssimjax.attacks.registry import by_name as by_name
from ssimjax.attacks.registry import norm_of as norm_of
from ssimjax.attacks.square import square as square
from ssimjax.attacks.transfer import transfer as transfer
from ssimjax.attacks.worst_case import worst_case as worst_case
