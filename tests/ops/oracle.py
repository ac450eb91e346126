"""The SSIM layer the slow way: every patch extracted, statistics in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np


@functools.partial(jax.vmap, in_axes=(0, None))
@functools.partial(jax.vmap, in_axes=(None, 1))
def _eq8(patch, kernel, c1=1e-4, c2=9e-4):
    elements = patch.size
    mx, my = patch.mean(), kernel.mean()
    vx = ((patch - mx) ** 2).sum() / (elements - 1)
    vy = ((kernel - my) ** 2).sum() / (elements - 1)
    cov = ((patch - mx) * (kernel - my)).sum() / (elements - 1)
    numerator = (2 * mx * my + c1) * (2 * cov + c2)
    return numerator / ((mx**2 + my**2 + c1) * (vx + vy + c2))


def extract_patches(x, kernel, strides, pads):
    """All patches, `[b, out_h, out_w, kh, kw, c_in]`, by slicing one at a time."""
    x = np.pad(np.asarray(x, np.float64), ((0, 0), *pads, (0, 0)))
    rows = range(0, x.shape[1] - kernel[0] + 1, strides[0])
    columns = range(0, x.shape[2] - kernel[1] + 1, strides[1])
    patches = [
        [x[:, r : r + kernel[0], c : c + kernel[1]] for c in columns] for r in rows
    ]
    return np.array(patches).transpose(2, 0, 1, 3, 4, 5)


def ssim_conv_oracle(x, filters, *, strides, pads):
    """SSIM (Eq. 8) of every patch with every filter, in float64."""
    kh, kw, _, c_out = filters.shape
    patches = extract_patches(x, (kh, kw), strides, pads)
    with jax.enable_x64(True):
        flat = jnp.asarray(patches.reshape(-1, patches[0, 0, 0].size))
        kernels = jnp.asarray(np.asarray(filters, np.float64).reshape(-1, c_out))
        values = np.asarray(_eq8(flat, kernels))
    return values.reshape(*patches.shape[:3], c_out)
