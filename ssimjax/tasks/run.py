"""From a config to a trained model, and back from its folder."""

import json
from typing import Any, NamedTuple

import jax
import ml_collections
from etils import epath

from ssimjax import training
from ssimjax.data import Dataset, checked_dataset, open_dataset
from ssimjax.tasks import classification
from ssimjax.tasks.classification import Classification

TASKS = {"classification": classification.from_config}


class Run(NamedTuple):
    """A trained model and how it got there.

    Attributes:
      config: the config.
      dataset: what it was trained and tested on.
      task: the task, whose `model(state)` is the trained Flax module.
      state: the task's state after the last step.
      history: rows of metrics, oldest first.
      summary: final metrics and costs.
    """

    config: ml_collections.ConfigDict
    dataset: Dataset
    task: Classification
    state: Any
    history: list[training.Row]
    summary: dict[str, Any]


def train(
    config: ml_collections.ConfigDict,
    workdir: epath.PathLike | None = None,
    *,
    data: Dataset | None = None,
) -> Run:
    """Trains what a config describes; continues or returns what the folder holds.

    Args:
      config: the config.
      workdir: folder for checkpoints, metrics and pictures; nothing is written if None.
      data: examples to use instead of those that the config names.

    Returns:
      The run. If the folder holds the finished run of this config, that run.

    Raises:
      FileExistsError: if the folder holds a run of another config.
      FileNotFoundError: if the data are not there.
      OSError: if the folder cannot be written.
      ValueError: if a value of the config is out of its range.
    """
    folder = None if workdir is None else training.claim(workdir, config)
    if folder is not None and (folder / "summary.json").exists():
        return load(folder, data=data)
    dataset, task = _build(config, data)
    options = config.training
    fitted = training.fit(
        task,
        dataset,
        seed=config.seed,
        epochs=options.epochs,
        batch_size=options.batch_size,
        eval_batch_size=options.eval_batch_size,
        log_every=options.log_every,
        eval_every=options.eval_every,
        checkpoint_every=options.checkpoint_every,
        keep_checkpoints=options.keep_checkpoints,
        workdir=folder,
    )
    return Run(config, dataset, task, *fitted)


def load(workdir: epath.PathLike, *, data: Dataset | None = None) -> Run:
    """The run in a folder, at its newest checkpoint.

    Args:
      workdir: the folder.
      data: examples to use instead of those that the config names.

    Returns:
      The run; its summary is empty if it is not finished.

    Raises:
      FileNotFoundError: if the folder holds no run or no checkpoint, or the data are
        not there.
    """
    folder = epath.Path(workdir)
    config = training.read_config(folder)
    dataset, task = _build(config, data)
    like = jax.jit(task.init)(jax.random.key(0))
    like = training.replicate(like, training.data_mesh())
    with training.Checkpoints(
        folder / "checkpoints", keep=config.training.keep_checkpoints
    ) as checkpoints:
        if checkpoints.latest is None:
            raise FileNotFoundError(f"workdir {folder} holds no checkpoint yet")
        state = checkpoints.restore(checkpoints.latest, like)
    summary = folder / "summary.json"
    return Run(
        config=config,
        dataset=dataset,
        task=task,
        state=state,
        history=training.read_rows(folder / "metrics.jsonl"),
        summary=json.loads(summary.read_text()) if summary.exists() else {},
    )


def _build(
    config: ml_collections.ConfigDict, data: Dataset | None
) -> tuple[Dataset, Classification]:
    if config.task not in TASKS:
        raise ValueError(f"task must be one of {sorted(TASKS)}, got {config.task!r}")
    dataset = open_dataset(config.data) if data is None else checked_dataset(data)
    return dataset, TASKS[config.task](config, dataset)
