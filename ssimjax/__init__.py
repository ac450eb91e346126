"""Structural similarity in JAX."""

from ssimjax import attacks as attacks
from ssimjax import nn as nn
from ssimjax import ops as ops
from ssimjax.nn import SSIMConv as SSIMConv
from ssimjax.ops import ssim as ssim
from ssimjax.ops import ssim_conv as ssim_conv
from ssimjax.ops import ssim_map as ssim_map
