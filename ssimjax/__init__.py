"""Structural similarity in JAX."""

from ssimjax import attacks as attacks
from ssimjax import corruptions as corruptions
from ssimjax import losses as losses
from ssimjax import nn as nn
from ssimjax import ops as ops
from ssimjax.nn import SSIMConv as SSIMConv
from ssimjax.ops import cmmd as cmmd
from ssimjax.ops import conventions as conventions
from ssimjax.ops import cw_ssim as cw_ssim
from ssimjax.ops import imq_kernel as imq_kernel
from ssimjax.ops import iw_ssim as iw_ssim
from ssimjax.ops import lw_ssim as lw_ssim
from ssimjax.ops import mmd as mmd
from ssimjax.ops import ms_ssim as ms_ssim
from ssimjax.ops import ms_ssim_map as ms_ssim_map
from ssimjax.ops import psnr as psnr
from ssimjax.ops import rbf_kernel as rbf_kernel
from ssimjax.ops import ssim as ssim
from ssimjax.ops import ssim_components as ssim_components
from ssimjax.ops import ssim_conv as ssim_conv
from ssimjax.ops import ssim_distance as ssim_distance
from ssimjax.ops import ssim_distance_matrix as ssim_distance_matrix
from ssimjax.ops import ssim_kernel as ssim_kernel
from ssimjax.ops import ssim_map as ssim_map
from ssimjax.synthesis import maximally_differentiating as maximally_differentiating
