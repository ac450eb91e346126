"""How many images per second the loader brings from the cache to the devices."""

import pathlib
import tempfile

import jax
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from experiments.benchmarks.timing import Report, turns
from ssimjax.data import batch_indices, cached, gather, read_ahead
from ssimjax.training import data_mesh

# (side, examples, batch)
_SETS = ((32, 50_000, 128), (64, 20_000, 128))
_BATCHES = 100


class _Noise:
    """Random images, as a source that has to be decoded."""

    def __init__(self, side: int, count: int):
        self.fingerprint = f"noise {side} {count}"
        self._image = np.random.default_rng(0).integers(
            0, 256, (side, side, 3), dtype=np.uint8
        )
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> dict[str, np.ndarray | int]:
        return {"image": self._image + np.uint8(index % 256), "label": index % 10}


def measure(*, repeats: int) -> Report:
    """Shuffled batches of training, read ahead, placed and waited for.

    Args:
      repeats: epochs of 100 batches that the median is of.

    Returns:
      A row per size of image.
    """
    sharding = NamedSharding(data_mesh(), P("data"))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for side, count, batch in _SETS:
            arrays = cached(_Noise(side, count), pathlib.Path(folder))

            def load(step: int, arrays=arrays, batch=batch):
                indices = batch_indices(
                    step=step, batch_size=batch, length=len(arrays), seed=0
                )
                return gather(arrays, indices, sharding=sharding)

            def epoch(load=load) -> None:
                for loaded in read_ahead(load, range(_BATCHES)):
                    jax.block_until_ready(loaded)

            seconds = turns({"epoch": epoch}, repeats=repeats)["epoch"]
            rate = _BATCHES * batch / seconds
            rows.append(
                {
                    "images": f"{side}x{side}x3",
                    "images_per_second": rate,
                    "bytes_per_second": rate * side * side * 3,
                }
            )
    lines = [
        {
            "images": row["images"],
            "images/s": f"{row['images_per_second']:,.0f}",
            "MB/s": f"{row['bytes_per_second'] / 1e6:,.0f}",
        }
        for row in rows
    ]
    chart = {row["images"]: {"loader": row["images_per_second"]} for row in rows}
    title = "batches of 128 from the cache to the device"
    return Report(title, rows, lines, [], chart, "images/s")
