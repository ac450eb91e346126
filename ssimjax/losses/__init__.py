"""What a model is trained on: one number >= 0 per image, 0 at perfection.

Every loss is called `loss(prediction, target, *, data_range, mask, ...)`; the caller
takes the mean. `by_name` makes one from a config. A loss is added by writing one
function, decorated with `@loss`, in a file of this folder.
"""

from ssimjax.losses.mixtures import mixture as mixture
from ssimjax.losses.multiscale import ms_ssim as ms_ssim
from ssimjax.losses.multiscale import ms_ssim_per_pixel as ms_ssim_per_pixel
from ssimjax.losses.pixelwise import bce as bce
from ssimjax.losses.pixelwise import mae as mae
from ssimjax.losses.pixelwise import mse as mse
from ssimjax.losses.registry import by_name as by_name
from ssimjax.losses.registry import loss as loss
from ssimjax.losses.registry import window_of as window_of
from ssimjax.losses.structural import lw_ssim as lw_ssim
from ssimjax.losses.structural import ssim as ssim
from ssimjax.losses.structural import ssim_distance as ssim_distance
