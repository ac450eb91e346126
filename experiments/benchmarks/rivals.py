"""SSIM and MS-SSIM of every library behind one door: what a user would pick instead.

A function per library takes the metric, the task and two NumPy batches `[n, h, w, c]`
in [0, 1], and returns what is timed: so many calls, and the wait for their results.
It raises `UnsupportedError` where a library cannot do it. Imports are local, since each
library runs in a process of its own.
"""

import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

from experiments.benchmarks.timing import repeated
from ssimjax.ops import MS_SSIM_WEIGHTS

TASKS = ("value", "gradient", "both gradients")
Run = Callable[[int], Any]


class UnsupportedError(Exception):
    """Raised where a library cannot compute what is asked."""


class Metric(NamedTuple):
    """What is computed of every image, with the settings of Wang et al. 2004.

    Attributes:
      scales: 1 for SSIM, the number of scales for MS-SSIM.
    """

    scales: int = 1

    @property
    def weights(self) -> tuple[float, ...]:
        """Exponents of the scales, of sum 1."""
        chosen = MS_SSIM_WEIGHTS[: self.scales]
        return tuple(weight / sum(chosen) for weight in chosen)


def ssimjax(metric: Metric, task: str, x: np.ndarray, y: np.ndarray) -> Run:
    """This library."""
    from ssimjax import ops

    if metric.scales == 1:
        return _jax(lambda x, y: ops.ssim(x, y, data_range=1.0), task, x, y)
    return _jax(
        lambda x, y: ops.ms_ssim(x, y, data_range=1.0, weights=metric.weights),
        task,
        x,
        y,
    )


def dm_pix(metric: Metric, task: str, x: np.ndarray, y: np.ndarray) -> Run:
    """The other JAX library."""
    _only_ssim(metric)
    dm_pix: Any = importlib.import_module("dm_pix")
    return _jax(lambda x, y: dm_pix.ssim(x, y, max_val=1.0), task, x, y)


def pytorch_msssim(metric: Metric, task: str, x: np.ndarray, y: np.ndarray) -> Run:
    """The usual PyTorch package."""
    library: Any = importlib.import_module("pytorch_msssim")
    if metric.scales == 1:
        return _torch(lambda x, y: library.ssim(x, y, data_range=1.0), task, x, y)
    if min(x.shape[1:3]) <= 160:
        raise UnsupportedError("needs sides above 160 pixels, whatever the scales")
    return _torch(
        lambda x, y: library.ms_ssim(x, y, data_range=1.0, weights=metric.weights),
        task,
        x,
        y,
    )


def piq(metric: Metric, task: str, x: np.ndarray, y: np.ndarray) -> Run:
    """Without its downsampling, which would make it another metric."""
    torch: Any = importlib.import_module("torch")
    if "piq" not in sys.modules and importlib.util.find_spec("torchvision") is None:
        # Its other metrics import it; a build that fits any torch is not to be had.
        for name in ("", ".models", ".models.inception", ".transforms", ".ops"):
            sys.modules[f"torchvision{name}"] = mock.MagicMock()
    library: Any = importlib.import_module("piq")
    if metric.scales == 1:
        return _torch(lambda x, y: library.ssim(x, y, downsample=False), task, x, y)
    weights = torch.tensor(metric.weights, device=_torch_device())
    return _torch(
        lambda x, y: library.multi_scale_ssim(x, y, scale_weights=weights), task, x, y
    )


def torchmetrics(metric: Metric, task: str, x: np.ndarray, y: np.ndarray) -> Run:
    """Its functional form."""
    library: Any = importlib.import_module("torchmetrics.functional.image")
    if metric.scales == 1:
        function = library.structural_similarity_index_measure
        return _torch(lambda x, y: function(x, y, data_range=1.0), task, x, y)
    function = library.multiscale_structural_similarity_index_measure
    return _torch(
        lambda x, y: function(x, y, data_range=1.0, betas=metric.weights), task, x, y
    )


def kornia(metric: Metric, task: str, x: np.ndarray, y: np.ndarray) -> Run:
    """With borders left out."""
    _only_ssim(metric)
    library: Any = importlib.import_module("kornia.metrics")
    return _torch(
        lambda x, y: library.ssim(x, y, 11, padding="valid").mean(), task, x, y
    )


def fused_ssim(metric: Metric, task: str, x: np.ndarray, y: np.ndarray) -> Run:
    """CUDA only, with a gradient in the first image only."""
    _only_ssim(metric)
    if task == "both gradients":
        raise UnsupportedError("has no gradient in the second image")
    library: Any = importlib.import_module("fused_ssim")
    return _torch(lambda x, y: library.fused_ssim(x, y, padding="valid"), task, x, y)


def scikit_image(metric: Metric, task: str, x: np.ndarray, y: np.ndarray) -> Run:
    """One image after the other; its gradient is in the second image."""
    _only_ssim(metric)
    if task == "both gradients":
        raise UnsupportedError("has one gradient")
    library: Any = importlib.import_module("skimage.metrics")

    def call() -> Any:
        return [
            library.structural_similarity(
                a,
                b,
                data_range=1.0,
                channel_axis=-1,
                gaussian_weights=True,
                use_sample_covariance=False,
                gradient=task != "value",
            )
            for a, b in zip(x, y)
        ]

    return lambda calls: repeated(call, calls)


def tensorflow(metric: Metric, task: str, x: np.ndarray, y: np.ndarray) -> Run:
    """As one graph."""
    tf: Any = importlib.import_module("tensorflow")
    a, b = tf.constant(x), tf.constant(y)

    def mean(a: Any, b: Any) -> Any:
        if metric.scales == 1:
            return tf.reduce_mean(tf.image.ssim(a, b, 1.0))
        return tf.reduce_mean(
            tf.image.ssim_multiscale(a, b, 1.0, power_factors=metric.weights)
        )

    @tf.function
    def program(a: Any, b: Any) -> Any:
        if task == "value":
            return mean(a, b)
        variables = [a] if task == "gradient" else [a, b]
        with tf.GradientTape() as tape:
            tape.watch(variables)
            value = mean(a, b)
        return value, tape.gradient(value, variables)

    def run(calls: int) -> Any:
        parts = tf.nest.flatten(repeated(lambda: program(a, b), calls))
        return [part.numpy() for part in parts]

    return run


OURS = "ssimjax"
ON_CPU_ALONE = "scikit-image"
# Library and the packages whose versions a table names.
_LIBRARIES: dict[str, tuple[Callable[..., Run], str]] = {
    OURS: (ssimjax, "jax"),
    "dm-pix": (dm_pix, "dm-pix"),
    "pytorch-msssim": (pytorch_msssim, "pytorch-msssim"),
    "piq": (piq, "piq"),
    "torchmetrics": (torchmetrics, "torchmetrics"),
    "kornia": (kornia, "kornia"),
    "fused-ssim": (fused_ssim, "fused-ssim"),
    ON_CPU_ALONE: (scikit_image, "scikit-image"),
    "TensorFlow": (tensorflow, "tensorflow-cpu"),
}


def installed() -> dict[str, str]:
    """Versions of the libraries that are installed, by name."""
    found = {}
    for name, (_, package) in _LIBRARIES.items():
        try:
            found[name] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def build(library: str, metric: Metric, task: str, shape: Sequence[int]) -> Run:
    """What is timed of one library, on random images of a shape `[n, h, w, c]`."""
    rng = np.random.default_rng(0)
    x, y = rng.random((2, *shape), dtype=np.float32)
    return _LIBRARIES[library][0](metric, task, x, y)


def _only_ssim(metric: Metric) -> None:
    if metric.scales != 1:
        raise UnsupportedError("has no MS-SSIM")


def _jax(function: Callable[..., Any], task: str, x: np.ndarray, y: np.ndarray) -> Run:
    import jax

    def mean(x: Any, y: Any) -> Any:
        return function(x, y).mean()

    programs = {
        "value": mean,
        "gradient": jax.value_and_grad(mean),
        "both gradients": jax.value_and_grad(mean, (0, 1)),
    }
    inputs = jax.device_put((x, y))
    compiled = jax.jit(programs[task]).lower(*inputs).compile()
    return lambda calls: jax.block_until_ready(
        repeated(lambda: compiled(*inputs), calls)
    )


def _torch_device() -> str:
    torch: Any = importlib.import_module("torch")
    return "cuda" if torch.cuda.is_available() else "cpu"


def _torch(
    function: Callable[..., Any], task: str, x: np.ndarray, y: np.ndarray
) -> Run:
    torch: Any = importlib.import_module("torch")
    device = _torch_device()
    a, b = (
        torch.from_numpy(image).permute(0, 3, 1, 2).contiguous().to(device)
        for image in (x, y)
    )
    variables = {"value": [], "gradient": [a], "both gradients": [a, b]}[task]
    for variable in variables:
        variable.requires_grad_()

    def call() -> Any:
        with torch.set_grad_enabled(bool(variables)):
            value = function(a, b)
        return value, torch.autograd.grad(value, variables) if variables else ()

    def run(calls: int) -> Any:
        results = repeated(call, calls)
        if device == "cuda":
            torch.cuda.synchronize()
        return results

    return run
