"""Other libraries' conventions, as keyword arguments of `ms_ssim`.

`ms_ssim(x, y, data_range=255.0, **conventions.ms_ssim.piq)` equals that library's
value in exact arithmetic, for the defaults of its own function and a given data range.
"""

from types import MappingProxyType
from typing import Any

Convention = MappingProxyType[str, Any]

# `msssim.m` of Wang et al. 2003, whose powers of negative means are complex.
matlab: Convention = MappingProxyType({"negatives": "raw"})

# `tf.image.ssim_multiscale`.
tensorflow: Convention = MappingProxyType({})

# `pytorch_msssim.ms_ssim`.
pytorch_msssim: Convention = MappingProxyType({"odd_sizes": "zero"})

# `piq.multi_scale_ssim`, which refuses pixels outside [0, data_range].
piq: Convention = MappingProxyType({"odd_sizes": "replicate", "check_range": True})

# `torchmetrics`' multiscale_structural_similarity_index_measure, given a data range:
# the contrast terms of whole windows, the last scale with a border.
torchmetrics: Convention = MappingProxyType(
    {"last_padding": "reflect", "odd_sizes": "drop", "channels": "joint"}
)
