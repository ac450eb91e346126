"""The Inception network whose features the names FID and KID belong to.

It is TensorFlow's graph of 2015-12-05, in the form of its PyTorch port,
`pt_inception-2015-12-05`, whose state dict is read. It differs from the published
Inception-v3, and from torchvision's: means of a pool leave out the border, the last
block has a maximum where others have a mean, and there are 1008 classes.
"""

import dataclasses
import importlib
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from ssimjax.nn.convolution import convolve

_SIDE = 299
_FEATURES = 2048
_EPSILON = 1e-3
# Named in an error, of all that are missing or of another shape.
_LISTED = 3
_CONVERT = (
    "import numpy, torch; numpy.savez('weights.npz', "
    "**torch.load('weights.pth', map_location='cpu', weights_only=True))"
)

InceptionWeights = dict[str, tuple[Array, Array]]


# Each a _Conv, a _Join or a function of maps. The type names none: doctests import a
# module twice, and beartype then takes the classes of one for those of the other.
_Steps = Sequence[Any]


@dataclasses.dataclass(frozen=True)
class _Conv:
    """Convolution, normalisation, ReLU; a name of the port, filters, height, width."""

    name: str
    filters: int
    height: int = 1
    width: int = 1
    stride: int = 1
    padding: str = "SAME"


@dataclasses.dataclass(frozen=True)
class _Join:
    """Branches of the same maps, whose channels follow one another; a name's prefix."""

    name: str
    branches: Sequence[_Steps]


def _mean(x: Array) -> Array:
    return nnx.avg_pool(x, (3, 3), padding="SAME", count_include_pad=False)


def _max(x: Array) -> Array:
    return nnx.max_pool(x, (3, 3), padding="SAME")


def _halve(x: Array) -> Array:
    return nnx.max_pool(x, (3, 3), strides=(2, 2))


def _valid(name: str, filters: int, *, stride: int = 2) -> _Conv:
    return _Conv(name, filters, 3, 3, stride, "VALID")


def _block_a(name: str, pooled: int) -> _Join:
    dbl = [_Conv(f".branch3x3dbl_{i}", 96, 3, 3) for i in (2, 3)]
    return _Join(
        name,
        [
            [_Conv(".branch1x1", 64)],
            [_Conv(".branch5x5_1", 48), _Conv(".branch5x5_2", 64, 5, 5)],
            [_Conv(".branch3x3dbl_1", 64), *dbl],
            [_mean, _Conv(".branch_pool", pooled)],
        ],
    )


def _block_b(name: str) -> _Join:
    dbl = [_Conv(".branch3x3dbl_1", 64), _Conv(".branch3x3dbl_2", 96, 3, 3)]
    return _Join(
        name,
        [
            [_valid(".branch3x3", 384)],
            [*dbl, _valid(".branch3x3dbl_3", 96)],
            [_halve],
        ],
    )


def _block_c(name: str, inner: int) -> _Join:
    return _Join(
        name,
        [
            [_Conv(".branch1x1", 192)],
            [
                _Conv(".branch7x7_1", inner),
                _Conv(".branch7x7_2", inner, 1, 7),
                _Conv(".branch7x7_3", 192, 7, 1),
            ],
            [
                _Conv(".branch7x7dbl_1", inner),
                _Conv(".branch7x7dbl_2", inner, 7, 1),
                _Conv(".branch7x7dbl_3", inner, 1, 7),
                _Conv(".branch7x7dbl_4", inner, 7, 1),
                _Conv(".branch7x7dbl_5", 192, 1, 7),
            ],
            [_mean, _Conv(".branch_pool", 192)],
        ],
    )


def _block_d(name: str) -> _Join:
    return _Join(
        name,
        [
            [_Conv(".branch3x3_1", 192), _valid(".branch3x3_2", 320)],
            [
                _Conv(".branch7x7x3_1", 192),
                _Conv(".branch7x7x3_2", 192, 1, 7),
                _Conv(".branch7x7x3_3", 192, 7, 1),
                _valid(".branch7x7x3_4", 192),
            ],
            [_halve],
        ],
    )


def _block_e(name: str, pool: Callable[[Array], Array]) -> _Join:
    def fork(name: str) -> _Join:
        row, column = _Conv("a", 384, 1, 3), _Conv("b", 384, 3, 1)
        return _Join(name, [[row], [column]])

    dbl = [_Conv(".branch3x3dbl_1", 448), _Conv(".branch3x3dbl_2", 384, 3, 3)]
    return _Join(
        name,
        [
            [_Conv(".branch1x1", 320)],
            [_Conv(".branch3x3_1", 384), fork(".branch3x3_2")],
            [*dbl, fork(".branch3x3dbl_3")],
            [pool, _Conv(".branch_pool", 192)],
        ],
    )


_NETWORK: _Steps = [
    _valid("Conv2d_1a_3x3", 32),
    _valid("Conv2d_2a_3x3", 32, stride=1),
    _Conv("Conv2d_2b_3x3", 64, 3, 3),
    _halve,
    _Conv("Conv2d_3b_1x1", 80),
    _valid("Conv2d_4a_3x3", 192, stride=1),
    _halve,
    _block_a("Mixed_5b", 32),
    _block_a("Mixed_5c", 64),
    _block_a("Mixed_5d", 64),
    _block_b("Mixed_6a"),
    _block_c("Mixed_6b", 128),
    _block_c("Mixed_6c", 160),
    _block_c("Mixed_6d", 160),
    _block_c("Mixed_6e", 192),
    _block_d("Mixed_7a"),
    _block_e("Mixed_7b", _mean),
    _block_e("Mixed_7c", _max),
]


def _convolutions(
    steps: _Steps, channels: int, *, prefix: str = ""
) -> tuple[dict[str, tuple[int, int, int, int]], int]:
    """Kernel shapes of all convolutions as the port has them, and channels at the end.

    A shape is filters, channels, height, width.
    """
    found = {}
    for step in steps:
        if isinstance(step, _Conv):
            shape = (step.filters, channels, step.height, step.width)
            found[prefix + step.name] = shape
            channels = step.filters
        elif isinstance(step, _Join):
            ends = [
                _convolutions(branch, channels, prefix=prefix + step.name)
                for branch in step.branches
            ]
            for inner, _ in ends:
                found |= inner
            channels = sum(end for _, end in ends)
    return found, channels


_KERNELS = _convolutions(_NETWORK, 3)[0]
INCEPTION_SHAPES: Mapping[str, tuple[int, ...]] = {
    **{f"{name}.conv.weight": shape for name, shape in _KERNELS.items()},
    **{
        f"{name}.bn.{part}": shape[:1]
        for name, shape in _KERNELS.items()
        for part in ("weight", "bias", "running_mean", "running_var")
    },
    # No feature depends on these two. They are asked for because the weights of
    # torchvision's network, whose distances are not FID, are alike in all others.
    "fc.weight": (1008, _FEATURES),
    "fc.bias": (1008,),
}


def inception_features(
    weights: InceptionWeights, images: Float[Array, "n h w 3"]
) -> Float[Array, "n 2048"]:
    """Pooled features of the Inception network that FID and KID are defined by.

    Images become 299x299, bilinear between centres of pixels and without a filter
    against aliasing, as in the usual PyTorch implementations of FID; then x → 2x - 1.
    TensorFlow's own resizing is shifted by part of a pixel: where images of another
    size are resized by it, distances are not those from here.

    Args:
      weights: as `load_inception` reads them, by name of a convolution: kernel
        `[height, width, channels, filters]` and bias, normalisation included.
      images: colour images in [0, 1].

    Returns:
      Means over the last 8x8 maps, >= 0, float32.

    Raises:
      TypeError: if images are not floating-point.
      ValueError: if images are not `[n, h, w, 3]`.

    Example:
      >>> weights = {name: (jnp.zeros((h, w, c, f)), jnp.ones(f))
      ...            for name, (f, c, h, w) in _KERNELS.items()}
      >>> jax.eval_shape(inception_features, weights, jnp.ones((4, 8, 8, 3))).shape
      (4, 2048)

    References:
      Szegedy et al. 2016, Rethinking the Inception architecture for computer vision,
      Section 6. Heusel et al. 2017, GANs trained by a two time-scale update rule.
    """
    if images.ndim != 4 or images.shape[-1] != 3:
        raise ValueError(f"images must be [n, h, w, 3], got {images.shape}")
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise TypeError(f"images must be floats in [0, 1], got {images.dtype}")
    return _features(weights, images)


def load_inception(
    path: str | os.PathLike[str],
) -> Callable[[Float[Array, "n h w 3"]], Float[Array, "n 2048"]]:
    """The features of FID and KID, from the weights in a file of the user's.

    The Fréchet distance of these features is FID, their kernel distance is KID. In
    normalisation ε is 1e-3:

        kernel' = kernel · γ / √(σ² + ε),  bias' = β - μ · γ / √(σ² + ε)

    Args:
      path: state dict of the PyTorch port, `pt_inception-2015-12-05-6726825d.pth` (as
        the usual implementations fetch it), or its arrays by name in a `.npz` file.
        PyTorch must be installed for `.pth`.

    Returns:
      `inception_features` with these weights: a function of images in [0, 1], and a
      pytree.

    Raises:
      FileNotFoundError: if there is no such file.
      ImportError: if the file is a `.pth` and PyTorch is not installed.
      ValueError: if the file ends otherwise, or arrays are missing or of other shapes
        than in `INCEPTION_SHAPES`.

    References:
      Heusel et al. 2017, GANs trained by a two time-scale update rule, Eq. 6.
      Binkowski et al. 2018, Demystifying MMD GANs, Section 4.
    """
    path = pathlib.Path(path)
    if path.suffix not in (".npz", ".pth"):
        raise ValueError(f"path must end in .npz or .pth, got {str(path)!r}")
    if not path.is_file():
        raise FileNotFoundError(f"path must be an existing file, got {str(path)!r}")
    arrays = _read_npz(path) if path.suffix == ".npz" else _read_pth(path)
    _check(arrays, path)
    weights = {name: _folded(arrays, name) for name in _KERNELS}
    return jax.tree_util.Partial(inception_features, weights)


@jax.jit
def _features(weights: InceptionWeights, images: Array) -> Array:
    size = (len(images), _SIDE, _SIDE, 3)
    images = images.astype(jnp.float32)
    x = jax.image.resize(images, size, "bilinear", antialias=False)
    return _run(_NETWORK, weights, 2 * x - 1).mean((1, 2))


def _run(
    steps: _Steps, weights: InceptionWeights, x: Array, *, prefix: str = ""
) -> Array:
    for step in steps:
        if isinstance(step, _Conv):
            kernel, bias = weights[prefix + step.name]
            strides = (step.stride, step.stride)
            precision = jax.lax.Precision.HIGHEST
            x = convolve(x, kernel, strides, step.padding, precision=precision)
            x = nnx.relu(x + bias[None, None, None])
        elif isinstance(step, _Join):
            inner = prefix + step.name
            ends = [_run(branch, weights, x, prefix=inner) for branch in step.branches]
            x = jnp.concatenate(ends, -1)
        else:
            x = step(x)
    return x


def _read_npz(path: pathlib.Path) -> Mapping[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in INCEPTION_SHAPES if name in file}


def _read_pth(path: pathlib.Path) -> Mapping[str, np.ndarray]:
    try:
        # By name, as nothing here depends on PyTorch.
        torch: Any = importlib.import_module("torch")
    except ImportError as error:
        raise ImportError(
            f"path must end in .npz where PyTorch is not installed, got {str(path)!r}; "
            f'to convert it where it is: python -c "{_CONVERT}"'
        ) from error
    state = torch.load(path, map_location="cpu", weights_only=True)
    return {name: state[name].numpy() for name in INCEPTION_SHAPES if name in state}


def _check(arrays: Mapping[str, np.ndarray], path: pathlib.Path) -> None:
    problems = [
        f"{name} {shape} is missing"
        if name not in arrays
        else f"{name} must be {shape}, got {arrays[name].shape}"
        for name, shape in INCEPTION_SHAPES.items()
        if name not in arrays or arrays[name].shape != shape
    ]
    if problems:
        more = len(problems) - _LISTED
        raise ValueError(
            "path must be of a state dict of pt_inception-2015-12-05, got "
            f"{str(path)!r}: {'; '.join(problems[:_LISTED])}"
            + (f"; and {more} more" if more > 0 else "")
        )


def _folded(arrays: Mapping[str, np.ndarray], name: str) -> tuple[Array, Array]:
    """Kernel and bias of a convolution and the normalisation after it."""
    kernel, gamma, beta, mean, variance = (
        arrays[f"{name}.{part}"].astype(np.float64)
        for part in (
            "conv.weight",
            "bn.weight",
            "bn.bias",
            "bn.running_mean",
            "bn.running_var",
        )
    )
    scale = gamma / np.sqrt(variance + _EPSILON)
    return (
        jnp.asarray(kernel.transpose(2, 3, 1, 0) * scale, jnp.float32),
        jnp.asarray(beta - mean * scale, jnp.float32),
    )
