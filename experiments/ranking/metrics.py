"""Rankings by full-reference metrics."""

from collections.abc import Sequence

import numpy as np

from experiments.ranking.analysis import places
from experiments.ranking.pictures import Pictures
from ssimjax import losses

# Pictures that are compared at once.
_BATCH = 256


def rank(pictures: Pictures, metric: str, models: Sequence[str]) -> np.ndarray:
    """Ranks the reconstructions of each picture by a metric.

    Args:
      pictures: originals and reconstructions.
      metric: name of a loss of `ssimjax.losses`; less is better.
      models: in which order the columns are.

    Returns:
      Places `[n, models]` from 1, the best; equal ones have the mean of theirs.

    Raises:
      ValueError: if there is no such metric, or it cannot compare such images.
    """
    compare = losses.by_name(metric, data_range=1.0)
    columns = []
    for model in models:
        found, parts = pictures.reconstructions[model], []
        for start in range(0, len(found), _BATCH):
            part = slice(start, start + _BATCH)
            try:
                parts.append(np.asarray(compare(found[part], pictures.originals[part])))
            except (TypeError, ValueError) as error:
                shape = "x".join(map(str, found.shape[1:]))
                raise ValueError(
                    f"metrics must compare images of {shape}, which {metric!r} cannot: "
                    f"{error}"
                ) from error
        columns.append(np.concatenate(parts))
    return places(np.stack(columns, 1))
