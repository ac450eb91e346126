"""Pure functions of arrays: moments, the SSIM family, its kernels, the SSIM layer."""

from ssimjax.ops import conventions as conventions
from ssimjax.ops.complex_wavelet import SteerablePyramid as SteerablePyramid
from ssimjax.ops.complex_wavelet import cw_ssim as cw_ssim
from ssimjax.ops.complex_wavelet import steerable_pyramid as steerable_pyramid
from ssimjax.ops.discrepancy import Grams as Grams
from ssimjax.ops.discrepancy import cmmd as cmmd
from ssimjax.ops.discrepancy import gram_cmmd as gram_cmmd
from ssimjax.ops.discrepancy import gram_mmd as gram_mmd
from ssimjax.ops.discrepancy import grams as grams
from ssimjax.ops.discrepancy import mmd as mmd
from ssimjax.ops.distance import ssim_distance as ssim_distance
from ssimjax.ops.distance import ssim_distance_map as ssim_distance_map
from ssimjax.ops.features import frechet_distance as frechet_distance
from ssimjax.ops.features import kernel_distance as kernel_distance
from ssimjax.ops.features import polynomial_kernel as polynomial_kernel
from ssimjax.ops.images import to_luma as to_luma
from ssimjax.ops.information_weighted import iw_ssim as iw_ssim
from ssimjax.ops.kernels import centred as centred
from ssimjax.ops.kernels import imq_kernel as imq_kernel
from ssimjax.ops.kernels import rbf_kernel as rbf_kernel
from ssimjax.ops.kernels import ssim_distance_matrix as ssim_distance_matrix
from ssimjax.ops.kernels import ssim_kernel as ssim_kernel
from ssimjax.ops.layer import ssim_conv as ssim_conv
from ssimjax.ops.level_weighted import LW_SSIM_WINDOWS as LW_SSIM_WINDOWS
from ssimjax.ops.level_weighted import lw_ssim as lw_ssim
from ssimjax.ops.moments import Moments as Moments
from ssimjax.ops.moments import image_moments as image_moments
from ssimjax.ops.multiscale import MS_SSIM_WEIGHTS as MS_SSIM_WEIGHTS
from ssimjax.ops.multiscale import ms_ssim as ms_ssim
from ssimjax.ops.multiscale import ms_ssim_map as ms_ssim_map
from ssimjax.ops.patches import patch_moments as patch_moments
from ssimjax.ops.psnr import psnr as psnr
from ssimjax.ops.similarity import additive_similarity as additive_similarity
from ssimjax.ops.similarity import centred_squared_distance as centred_squared_distance
from ssimjax.ops.similarity import contrast as contrast
from ssimjax.ops.similarity import contrast_structure as contrast_structure
from ssimjax.ops.similarity import (
    contrast_structure_dissimilarity as contrast_structure_dissimilarity,
)
from ssimjax.ops.similarity import dissimilarity as dissimilarity
from ssimjax.ops.similarity import luminance as luminance
from ssimjax.ops.similarity import luminance_dissimilarity as luminance_dissimilarity
from ssimjax.ops.similarity import similarity as similarity
from ssimjax.ops.similarity import squared_distance as squared_distance
from ssimjax.ops.similarity import structure as structure
from ssimjax.ops.ssim import Components as Components
from ssimjax.ops.ssim import ssim as ssim
from ssimjax.ops.ssim import ssim_components as ssim_components
from ssimjax.ops.ssim import ssim_map as ssim_map
from ssimjax.ops.windows import Window as Window
from ssimjax.ops.windows import gaussian_window as gaussian_window
from ssimjax.ops.windows import local_mean as local_mean
from ssimjax.ops.windows import pad_to_same as pad_to_same
from ssimjax.ops.windows import uniform_window as uniform_window
