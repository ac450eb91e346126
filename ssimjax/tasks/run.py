"""From a config to a trained model, and back from its folder."""

import contextlib
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from absl import logging
from etils import epath

from ssimjax import training
from ssimjax.data import Dataset, checked_dataset, open_dataset
from ssimjax.tables import parameter_table
from ssimjax.tasks import (
    adversarial,
    adversarial_autoencoder,
    classification,
    moment_matching,
    reconstruction,
    super_resolution,
)
from ssimjax.tasks.generators import in_batches
from ssimjax.tasks.learner import as_floats
from ssimjax.training.checkpoints import parse_best, scores
from ssimjax.training.workdir import alone_in, read_json

_T = TypeVar("_T")
# Training images whose codes are standardised.
_CODES = 10_000


class Run(NamedTuple):
    """A trained model and how it got there.

    Attributes:
      config: the config.
      dataset: what it was trained and tested on.
      task: the task, whose `model(state)` is the trained Flax module.
      state: the task's state after the last step; with several seeds, all arrays have a
        leading axis of them.
      history: rows of metrics, oldest first.
      summary: final metrics and costs.
    """

    config: ml_collections.ConfigDict
    dataset: Dataset
    task: Any
    state: Any
    history: list[training.Row]
    summary: dict[str, Any]

    @property
    def name(self) -> str:
        """What sets it apart from runs of the same study."""
        config = self.config
        if config.task == "classification":
            return config.model.feature_layer
        for section in ("loss", "kernel", "objective"):
            if section in config:
                return config[section].name
        return config.task

    def states(self) -> list[Any]:
        """The state of each seed, as if it had been trained alone."""
        seeds = self.config.seeds
        if seeds == 1:
            return [self.state]
        # From the host, so that one process can ask alone.
        leaves, structure = jax.tree.flatten(jax.tree.map(np.asarray, self.state))
        return [
            structure.unflatten([jnp.asarray(leaf[i]) for leaf in leaves])
            for i in range(seeds)
        ]


def train(
    config: ml_collections.ConfigDict,
    workdir: epath.PathLike | None = None,
    *,
    data: Dataset | None = None,
    report: Callable[[str], None] = lambda text: None,
) -> Run:
    """Trains what a config describes; continues or returns what the folder holds.

    Args:
      config: the config.
      workdir: folder for checkpoints, metrics and pictures; nothing is written if None.
      data: examples to use instead of those that the config names.
      report: called, in the main process, with sentences worth printing.

    Returns:
      The run. If the folder holds the finished run of this config, that run, unless
      its last checkpoint cannot be read.

    Raises:
      FileExistsError: if the folder holds a run of another config, or on other data.
      FileNotFoundError: if the data are not there, or the checkpoints of a run that
        has ended are gone.
      FloatingPointError: if a loss or a gradient is not finite.
      OSError: if the folder cannot be written.
      Preempted: if SIGTERM came; the state is saved, and the same call continues.
      ValueError: if a value of the config is out of its range.
    """
    options = training.Options(**config.training)
    if not 0 <= config.seed <= 2**32 - config.seeds:
        raise ValueError(
            f"seed must be from 0 to {2**32 - config.seeds} with "
            f"seeds={config.seeds}, got {config.seed}"
        )
    folder = None
    if workdir is not None:
        folder = training.folder_for(workdir, config, free=training.FREE_KEYS)
    dataset, task = _build(config, data, folder)
    # Its config shall be written only by the run that holds the folder.
    held = contextlib.nullcontext() if folder is None else alone_in(folder)
    with held:
        if folder is not None:
            training.claim(
                folder,
                config,
                free=training.FREE_KEYS,
                fingerprints=_fingerprints(dataset, task),
            )
            if (folder / "summary.json").exists():
                run = _restored(folder, config, dataset, task, None)
                if run.summary:  # Else its last checkpoint is broken; it goes on.
                    return run
        if training.is_main():
            state = jax.eval_shape(task.init, jax.random.key(0))
            report(parameter_table(state.params))
        fitted = training.fit(
            task,
            dataset,
            options,
            seed=config.seed,
            seeds=config.seeds,
            mesh_shape=tuple(config.mesh) or None,
            workdir=folder,
            report=report,
        )
    return Run(config, dataset, task, *fitted)


def load(
    workdir: epath.PathLike,
    *,
    checkpoint: int | Literal["best"] | None = None,
    data: Dataset | None = None,
) -> Run:
    """The run in a folder, at one of its checkpoints.

    Args:
      workdir: the folder.
      checkpoint: after so many steps; "best" for what the config's
        `training.keep_best` kept, None for the newest.
      data: examples to use instead of those that the config names.

    Returns:
      The run; its summary is empty unless the checkpoint is that of its last step.

    Raises:
      FileNotFoundError: if the folder holds no run or no checkpoint, or the data are
        not there.
      ValueError: if there is no such checkpoint, it cannot be read, or the autoencoder
        whose codes are matched is another now.
    """
    folder = epath.Path(workdir)
    config = training.read_config(folder)
    dataset, task = _build(config, data, folder)
    if data is None:
        changed = training.changed_data(folder, _fingerprints(dataset, task))
        if "autoencoder" in changed:
            raise ValueError(
                f"workdir {folder} was trained on codes of another autoencoder than "
                f"the one that is in {config.matching.autoencoder} now"
            )
        for split in changed:
            logging.warning(
                "%s: the %s examples are not those that this run began with",
                folder,
                split,
            )
    return _restored(folder, config, dataset, task, checkpoint)


def _restored(
    folder: epath.Path,
    config: ml_collections.ConfigDict,
    dataset: Dataset,
    task: Any,
    checkpoint: int | Literal["best"] | None,
) -> Run:
    """What a folder holds of a run, at a checkpoint."""
    program = training.Program(
        task.init,
        task.train_step,
        seeds=range(config.seed, config.seed + config.seeds),
        mesh=training.data_mesh(replicas=config.seeds),
        skip_nonfinite=False,
    )
    nothing = FileNotFoundError(f"workdir {folder} holds no checkpoint yet")
    if (folder / "summary.json").exists():
        nothing = FileNotFoundError(
            f"workdir {folder} holds the results of a run, but its checkpoints are "
            "gone; to train it again, delete the folder or name another"
        )
    if not (folder / "checkpoints").exists():
        raise nothing

    def read() -> tuple[list[training.Row], tuple[int, Any, Any] | None]:
        with training.Checkpoints(folder / "checkpoints", read_only=True) as there:
            history = training.read_rows(folder / "metrics.jsonl")
            if not there.steps:
                return history, None
            step = checkpoint
            if step == "best":
                step = _best(
                    there.steps,
                    history,
                    config.training.keep_best,
                    config.training.checkpoint_every,
                )
            return history, there.restore(
                program.abstract_state(), only=step, report=logging.warning
            )

    history, found = _beside_a_writer(folder / "checkpoints", read)
    if found is None:
        raise nothing
    file = folder / "summary.json"
    summary = read_json(file) if file.exists() else {}
    return Run(
        config=config,
        dataset=dataset,
        task=task,
        # As after training: one process may ask for all seeds.
        state=program.replicated(found[1]),
        history=history,
        summary=summary if summary.get("steps") == found[0] else {},
    )


def _beside_a_writer(folder: epath.Path, read: Callable[[], _T]) -> _T:
    """What is read in a folder, again if it fails and the folder has changed.

    A run that is being trained removes its older checkpoints, perhaps this one.
    """
    for _ in range(5):
        before = sorted(path.name for path in folder.iterdir())
        try:
            return read()
        except (OSError, ValueError):
            if sorted(path.name for path in folder.iterdir()) == before:
                raise
    return read()


def _best(
    steps: list[int], history: list[training.Row], rule: str | None, every: int
) -> int:
    """The step of the checkpoint that a config's `training.keep_best` kept.

    Args:
      steps: of the checkpoints that are there.
      history: of the run.
      rule: `training.keep_best`.
      every: `training.checkpoint_every`.
    """
    if rule is None:
        raise ValueError(
            "checkpoint 'best' needs a run whose config has training.keep_best, such "
            "as 'max top1'"
        )
    direction, name = parse_best(rule)
    # The rule may be younger than checkpoints that were deleted.
    tested = {
        step: value
        for step, value in scores(history, name).items()
        if step in steps or step % every == 0
    }
    if not tested.keys() & set(steps):
        raise ValueError(f"none of the checkpoints {steps} was tested, so none is best")
    best = (max if direction == "max" else min)(tested, key=tested.__getitem__)
    if best not in steps:
        raise ValueError(
            f"checkpoint 'best' by {rule!r} is that of step {best}, which was not "
            f"kept: there are {', '.join(map(str, steps))}"
        )
    return best


def _fingerprints(dataset: Dataset, task: Any) -> dict[str, str]:
    """Of all that a config names and does not hold."""
    found = {"train": dataset.train.fingerprint, "test": dataset.test.fingerprint}
    if isinstance(task, moment_matching.MomentMatching) and task.coder is not None:
        found["autoencoder"] = task.coder.fingerprint
    return found


def _build(
    config: ml_collections.ConfigDict, data: Dataset | None, folder: epath.Path | None
) -> tuple[Dataset, Any]:
    if config.task not in TASKS:
        raise ValueError(f"task must be one of {sorted(TASKS)}, got {config.task!r}")
    if data is None:
        # Beside the run, where the next one finds it.
        beside = None if folder is None else folder.parent / "data-cache"
        dataset = open_dataset(config.data, cache_dir=beside)
    else:
        dataset = checked_dataset(data)
    return dataset, TASKS[config.task](config, dataset)


def _moment_matching(config: ml_collections.ConfigDict, dataset: Dataset) -> Any:
    folder, coder = config.matching.autoencoder, None
    if folder is not None:
        coder = _coder(folder, dataset)
    return moment_matching.from_config(config, dataset, coder=coder)


def _coder(folder: str, dataset: Dataset) -> moment_matching.Coder:
    """The first network of a run of an autoencoder, and how its codes are spread."""
    run = load(folder, data=dataset)
    if run.config.task != "reconstruction":
        raise ValueError(
            "matching.autoencoder must be the folder of an autoencoder, got one of "
            f"task {run.config.task!r}"
        )
    if not run.summary:
        raise ValueError(
            f"matching.autoencoder must be the folder of a finished run, and {folder} "
            "holds one that is not"
        )
    model = run.task.model(run.states()[0])
    codes = in_batches(
        lambda part: model.encode(as_floats(part)),
        run.dataset.train.spread(_CODES).images,
        run.config.training.eval_batch_size,
    )
    deviation = np.maximum(codes.std(0), 1e-6)
    return moment_matching.Coder(
        model, jnp.asarray(codes.mean(0)), jnp.asarray(deviation)
    )


TASKS: dict[str, Callable[[ml_collections.ConfigDict, Dataset], Any]] = {
    "adversarial": adversarial.from_config,
    "adversarial_autoencoder": adversarial_autoencoder.from_config,
    "classification": classification.from_config,
    "moment_matching": _moment_matching,
    "reconstruction": reconstruction.from_config,
    "super_resolution": super_resolution.from_config,
}
