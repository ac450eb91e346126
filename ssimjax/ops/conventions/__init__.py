"""Other libraries' conventions, as keyword arguments of `ssim` and its map.

`ssim(x, y, data_range=255.0, **conventions.skimage)` equals that library's value in
exact arithmetic, for the defaults of its own function and a given data range. The sets
for MS-SSIM are in `conventions.ms_ssim`. Where a set is empty, the library and the
defaults here agree.

A mapping is open to changes: `{**conventions.skimage, "window": uniform_window(9)}`.
"""

from types import MappingProxyType
from typing import Any

from ssimjax.ops.conventions import ms_ssim as ms_ssim
from ssimjax.ops.windows import uniform_window

Convention = MappingProxyType[str, Any]

# `ssim_index.m` of Wang et al. 2004: Gaussian 11, σ 1.5, valid, population statistics.
matlab: Convention = MappingProxyType({})

# `ssim.m` of the same authors, which first makes images of 384 pixels and more smaller.
matlab_downsample: Convention = MappingProxyType({"downsample": "matlab"})

# `tf.image.ssim`; also dm_pix.
tensorflow: Convention = MappingProxyType({})

# `skimage.metrics.structural_similarity`: its map is symmetric at the border, but the
# mean leaves out what the border has touched.
skimage: Convention = MappingProxyType(
    {"window": uniform_window(7), "sample_covariance": True}
)

# The same with `gaussian_weights=True`: the factor P / (P - 1) stays unless
# `use_sample_covariance=False` is given too.
skimage_gaussian: Convention = MappingProxyType({"sample_covariance": True})

# `pytorch_msssim.ssim`.
pytorch_msssim: Convention = MappingProxyType({})

# `piq.ssim`, which refuses pixels outside [0, data_range].
piq: Convention = MappingProxyType({"downsample": "average_pool", "check_range": True})

# `torchmetrics`' structural_similarity_index_measure, given a data range.
torchmetrics: Convention = MappingProxyType({"padding": "reflect"})

# `kornia.metrics.ssim` with a window of 11 and its default padding; its 1e-12 in the
# denominator is left out.
kornia: Convention = MappingProxyType({"padding": "reflect"})

# `fused_ssim` with its default padding.
fused_ssim: Convention = MappingProxyType({"padding": "zero"})
