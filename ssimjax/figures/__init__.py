"""The pictures a run leaves behind. matplotlib is imported when one is drawn."""

from ssimjax.figures.charts import accuracy_against_epsilon as accuracy_against_epsilon
from ssimjax.figures.charts import (
    accuracy_against_severity as accuracy_against_severity,
)
from ssimjax.figures.charts import bars as bars
from ssimjax.figures.charts import histograms as histograms
from ssimjax.figures.charts import pruning as pruning
from ssimjax.figures.charts import score_curves as score_curves
from ssimjax.figures.charts import training_curves as training_curves
from ssimjax.figures.images import comparison as comparison
from ssimjax.figures.images import image_grid as image_grid
from ssimjax.figures.images import image_rows as image_rows
from ssimjax.figures.images import kernels as kernels
from ssimjax.figures.images import mad_images as mad_images
from ssimjax.figures.images import tiled as tiled
