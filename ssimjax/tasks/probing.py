"""What codes know: support vector machines that predict labels and numbers from them.

scikit-learn is imported when a probe is fitted.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ssimjax.training import Row, with_spread

PENALTIES = (1.0, 10.0, 100.0, 1000.0)


def probe(
    codes: np.ndarray,
    labels: np.ndarray,
    *,
    targets: Mapping[str, np.ndarray] | None = None,
    tested: tuple[np.ndarray, np.ndarray] | None = None,
    splits: int = 5,
    held_out: float = 0.2,
    penalties: Sequence[float] = PENALTIES,
    folds: int = 3,
    seed: int = 0,
) -> Row:
    """Test errors of support vector machines with Gaussian kernels on codes.

    Of each random split, C and whether codes are standardised are chosen by
    cross-validation inside its training part alone, on which the machine is then
    fitted. Numbers are standardised by the training part before they are regressed.

    Args:
      codes: `[n, d]`.
      labels: classes `[n]`, integers; each split holds all of them in equal shares.
      targets: numbers to regress, `[n]` each, by name.
      tested: codes and labels of other examples, on which machines are tested instead
        of what a split holds out. Needed where that would overlap with what they are
        fitted on, as patches of one photograph do.
      splits: random splits, >= 2.
      held_out: share of the examples that are tested, in (0, 1).
      penalties: values of C to choose from.
      folds: of cross-validation.
      seed: of the splits, >= 0.

    Returns:
      `error`, the share of wrong classes, and for each target `NAME mse`, in its unit
      squared: the mean over splits, with `_sd` and `_each`.

    Raises:
      ValueError: if lengths differ, there are fewer than two splits or classes, the
        seed is negative, there are targets but other examples to test, or as
        scikit-learn, for example where a class has fewer examples than folds.

    References:
      Snell et al. 2017, Learning to generate images with perceptual similarity metrics,
      Section 4 and Table 1.
    """
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.model_selection import GridSearchCV, StratifiedShuffleSplit
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC, SVR

    targets = dict(targets or {})
    lengths = {name: len(values) for name, values in targets.items()}
    if {len(codes), len(labels), *lengths.values()} != {len(codes)}:
        raise ValueError(
            "codes, labels and targets must be equally many, got "
            f"{len(codes)}, {len(labels)} and {lengths}"
        )
    if targets and tested is not None:
        raise ValueError(f"targets must be none with tested, got {sorted(targets)}")
    if splits < 2:
        raise ValueError(f"splits must be >= 2, got {splits}")
    if seed < 0:
        raise ValueError(f"seed must be >= 0, got {seed}")
    if (classes := len(np.unique(labels))) < 2:
        raise ValueError(f"labels must be of two or more classes, got {classes}")

    def fitted(machine: Any, prefix: str, x: np.ndarray, y: np.ndarray) -> Any:
        pipeline = Pipeline([("scale", StandardScaler()), ("machine", machine)])
        grid = {
            "scale": ["passthrough", StandardScaler()],
            f"machine__{prefix}C": list(penalties),
        }
        return GridSearchCV(pipeline, grid, cv=folds).fit(x, y)

    found: dict[str, list[float]] = {}
    dealer = StratifiedShuffleSplit(splits, test_size=held_out, random_state=seed)
    for train, test in dealer.split(codes, labels):
        model = fitted(SVC(), "", codes[train], labels[train])
        others = (codes[test], labels[test]) if tested is None else tested
        wrong = model.predict(others[0]) != others[1]
        found.setdefault("error", []).append(float(wrong.mean()))
        for name, values in targets.items():
            machine = TransformedTargetRegressor(SVR(), transformer=StandardScaler())
            model = fitted(machine, "regressor__", codes[train], values[train])
            squares = (model.predict(codes[test]) - values[test]) ** 2
            found.setdefault(f"{name} mse", []).append(float(squares.mean()))
    return with_spread({name: np.array(values) for name, values in found.items()})
