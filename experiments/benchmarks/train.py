"""Training of the Fig. 4 networks: the loop, its step alone, and PyTorch's."""

import functools
import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from configs.abobakr2018 import table1
from experiments.benchmarks.timing import Report, turns
from ssimjax.data import Arrays, Dataset, gather, read_ahead
from ssimjax.tasks.classification import from_config
from ssimjax.training import Program, data_mesh

_STEPS, _SEEDS = 20, 5


def measure(*, repeats: int) -> Report:
    """Images per second of 20 steps at the published batch size, by turns.

    Args:
      repeats: how many times 20 steps the medians are of.

    Returns:
      A row per network: the loop from data in memory; the same step on one batch that
      stays on the device; five seeds as one program, in images of all seeds; and, where
      PyTorch is installed, its convolutional network.
    """
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (20_000, 32, 32, 3), dtype=np.uint8)
    arrays = Arrays(images, np.arange(20_000) % 10)
    dataset = Dataset(arrays, arrays, tuple("0123456789"), "noise")
    rivals: dict[str, Callable[[], Any]] = {}
    batch_size = 0
    for network in ("conv", "ssim"):
        config = table1.get_config(network)
        batch_size = config.training.batch_size
        task = from_config(config, dataset)
        rivals[f"{network}, loop"] = _Loop(task, arrays, batch_size)
        rivals[f"{network}, resident"] = _Loop(task, arrays, batch_size, resident=True)
        rivals[f"{network}, {_SEEDS} seeds"] = _Loop(
            task, arrays, batch_size, seeds=_SEEDS
        )
    if importlib.util.find_spec("torch") is not None:
        rivals["conv, PyTorch"] = _pytorch(arrays, batch_size)
    seconds = turns(rivals, repeats=repeats)
    rates = {
        name: _STEPS * batch_size * (_SEEDS if "seeds" in name else 1) / value
        for name, value in seconds.items()
    }
    rows = []
    for network in ("conv", "ssim"):
        row: dict[str, Any] = {"network": network}
        for name in ("loop", "resident", f"{_SEEDS} seeds", "PyTorch"):
            row[name] = rates.get(f"{network}, {name}")
        row["loop_over_resident"] = row["loop"] / row["resident"]
        row["seeds_over_runs"] = row[f"{_SEEDS} seeds"] / row["loop"]
        if "conv, PyTorch" in rates:
            row["loop_over_pytorch_conv"] = row["loop"] / rates["conv, PyTorch"]
        rows.append(row)
    lines = [
        {
            name: value if isinstance(value, str) else _number(value)
            for name, value in row.items()
        }
        for row in rows
    ]
    notes = ["Rates are images per second; with seeds, of all seeds together."]
    title = f"training, batches of {batch_size} of 32x32x3"
    return Report(title, rows, lines, notes, {"training": rates}, "images/s")


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


class _Loop:
    """Steps from where the last call stopped, as `training.fit` takes them."""

    def __init__(
        self,
        task: Any,
        arrays: Arrays,
        batch_size: int,
        *,
        seeds: int = 1,
        resident: bool = False,
    ):
        mesh = data_mesh(replicas=seeds)
        self._program = Program(
            task.init,
            task.train_step,
            seeds=range(seeds),
            mesh=mesh,
            skip_nonfinite=False,
        )
        self._arrays = arrays
        self._indices = functools.partial(
            self._program.indices, batch_size=batch_size, length=len(arrays)
        )
        self._state = self._program.initial_state()
        self._step = 0
        self._batch = self._load(range(1)) if resident else None

    def _load(self, part: range) -> Any:
        return gather(
            self._arrays, self._indices(part), sharding=self._program.batch_sharding
        )

    def __call__(self) -> None:
        parts = [range(s, s + 1) for s in range(self._step, self._step + _STEPS)]
        self._step += _STEPS
        if self._batch is None:
            batches = read_ahead(self._load, parts)
        else:
            batches = [self._batch] * _STEPS
        metrics = None
        for part, batch in zip(parts, batches):
            self._state, metrics = self._program(self._state, batch, part.start)
        jax.block_until_ready((self._state, metrics))


def _pytorch(arrays: Arrays, batch_size: int) -> Callable[[], None]:
    """The convolutional network with the same layers, optimiser and data."""
    # By name, for type checkers run without it.
    torch: Any = importlib.import_module("torch")
    nn = torch.nn
    network = nn.Sequential(
        nn.Conv2d(3, 32, 5, padding=2),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.ReLU(),
        nn.Conv2d(32, 32, 5, padding=2),
        nn.ReLU(),
        nn.AvgPool2d(3, 2, ceil_mode=True),
        nn.Conv2d(32, 64, 5, padding=2),
        nn.ReLU(),
        nn.AvgPool2d(3, 2, ceil_mode=True),
        nn.Flatten(),
        nn.Linear(1024, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = network.to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(
        network.parameters(), 0.01, momentum=0.9, weight_decay=1e-4
    )
    generator = np.random.default_rng(0)

    def steps() -> None:
        for _ in range(_STEPS):
            chosen = generator.integers(0, len(arrays), batch_size)
            x = torch.from_numpy(arrays.images[chosen]).to(device)
            y = torch.from_numpy(arrays.labels[chosen].astype(np.int64)).to(device)
            x = x.permute(0, 3, 1, 2).float().div_(255).sub_(0.5).div_(0.25)
            flip = torch.rand(batch_size, 1, 1, 1, device=device) < 0.5
            x = torch.where(flip, x.flip(3), x)
            loss = nn.functional.cross_entropy(network(x), y)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return steps
