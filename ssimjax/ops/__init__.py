"""Pure functions of arrays: moments, similarities, SSIM and the SSIM layer."""

from ssimjax.ops.layer import ssim_conv as ssim_conv
from ssimjax.ops.moments import Moments as Moments
from ssimjax.ops.moments import image_moments as image_moments
from ssimjax.ops.moments import patch_moments as patch_moments
from ssimjax.ops.similarity import contrast as contrast
from ssimjax.ops.similarity import contrast_structure as contrast_structure
from ssimjax.ops.similarity import (
    contrast_structure_dissimilarity as contrast_structure_dissimilarity,
)
from ssimjax.ops.similarity import dissimilarity as dissimilarity
from ssimjax.ops.similarity import luminance as luminance
from ssimjax.ops.similarity import luminance_dissimilarity as luminance_dissimilarity
from ssimjax.ops.similarity import similarity as similarity
from ssimjax.ops.similarity import structure as structure
from ssimjax.ops.ssim import ssim as ssim
from ssimjax.ops.ssim import ssim_map as ssim_map
from ssimjax.ops.windows import Window as Window
from ssimjax.ops.windows import gaussian_window as gaussian_window
from ssimjax.ops.windows import local_mean as local_mean
from ssimjax.ops.windows import uniform_window as uniform_window
