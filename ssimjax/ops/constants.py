"""The constants of formulas, which may be any finite number > 0."""

import math


def check_constants(**constants: float) -> None:
    """Raises a ValueError that names the first constant that is not finite and > 0."""
    for name, value in constants.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name} must be > 0 and finite, got {value}")


def check_exponents(exponents: tuple[float, float, float]) -> None:
    """Raises a ValueError unless α, β and γ are three finite numbers > 0."""
    if len(exponents) != 3 or not all(0 < value < math.inf for value in exponents):
        raise ValueError(f"exponents must be three finite numbers > 0, got {exponents}")
