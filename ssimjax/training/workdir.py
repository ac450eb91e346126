"""The folder of a run: which config it belongs to, and whether it is finished."""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import filelock
import ml_collections
from etils import epath

from ssimjax.training.processes import barrier, is_main


def claim(
    workdir: epath.PathLike,
    config: ml_collections.ConfigDict,
    *,
    free: Sequence[str] = (),
    fingerprints: Mapping[str, str] | None = None,
) -> epath.Path:
    """Makes a folder the folder of one config and its data.

    Args:
      workdir: the folder, created if necessary.
      config: the config of the run.
      free: keys that may differ from those of the run in the folder, because they do
        not change what is trained; "data." stands for a whole section.
      fingerprints: of the examples, by split, and of whatever else a config calls by
        its name or its folder, which may have changed. Kept in `data.json`; None if
        they do not matter.

    Returns:
      The folder, with the config in it as `config.json`.

    Raises:
      FileExistsError: if the folder holds a run of another config, or on other data,
        that has begun; the message says what differs.
      NotADirectoryError: if it is a file.
      ValueError: if the config in it is damaged.
      OSError: if the folder cannot be written; the message names it.
    """
    folder = folder_for(workdir, config, free=free)
    texts = {"config.json": config.to_json_best_effort(indent=2) + "\n"}
    if fingerprints is not None:
        _refuse_other_data(folder, fingerprints)
        texts["data.json"] = json.dumps(dict(fingerprints)) + "\n"
    # All processes have looked before one writes.
    barrier("runs are compared")
    with _named_if_unwritable(folder):
        for name, text in texts.items():
            known = folder / name
            if is_main() and not (known.exists() and known.read_text() == text):
                write_whole(known, text)
    barrier("run is written")
    return folder


def folder_for(
    workdir: epath.PathLike,
    config: ml_collections.ConfigDict,
    *,
    free: Sequence[str] = (),
) -> epath.Path:
    """The folder, if `claim` would not refuse the config; nothing is written into it.

    Args:
      workdir: as in `claim`.
      config: as in `claim`.
      free: as in `claim`.

    Returns:
      The folder, which is there now.

    Raises:
      FileExistsError: as `claim`.
      NotADirectoryError: as `claim`.
      ValueError: as `claim`.
      OSError: as `claim`.
    """
    folder = epath.Path(workdir)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"workdir must be a folder, and {folder} is a file")
    with _named_if_unwritable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        known = folder / "config.json"
        if known.exists():
            _refuse_another(folder, read_json(known), config, free)
    return folder


@contextlib.contextmanager
def _named_if_unwritable(folder: epath.Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        raise OSError(
            f"workdir {folder} cannot be written: {error}; choose another"
        ) from error


def _refuse_other_data(folder: epath.Path, fingerprints: Mapping[str, str]) -> None:
    changed = changed_data(folder, fingerprints)
    if changed and _has_begun(folder):
        raise FileExistsError(
            f"workdir {folder} holds a run on other {changed[0]} data; choose another "
            "folder, or delete it"
        )


def changed_data(workdir: epath.PathLike, fingerprints: Mapping[str, str]) -> list[str]:
    """Which data are not those that the run in a folder began with.

    Args:
      workdir: the folder.
      fingerprints: of the data as they are now, by name.

    Returns:
      Names, in order, of data of which the run has said what it began with.
    """
    known = epath.Path(workdir) / "data.json"
    if not known.exists():
        return []
    before = read_json(known)
    return [
        name for name, value in fingerprints.items() if before.get(name, value) != value
    ]


def write_whole(path: epath.Path, text: str) -> None:
    """Writes a file so that it is there whole, or as it was, whenever one looks.

    Args:
      path: the file.
      text: what shall be in it.
    """
    if "://" in str(path):  # Objects of a store appear whole.
        path.write_text(text)
        return
    beside = path.with_name(f"{path.name}.writing")
    beside.write_text(text)
    beside.replace(path)


def read_json(path: epath.Path) -> Any:
    """What a file of a run holds.

    Args:
      path: the file.

    Returns:
      Its value.

    Raises:
      ValueError: if it is cut short or no JSON; the message names it.
    """
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from None


def read_config(workdir: epath.PathLike) -> ml_collections.ConfigDict:
    """The config of the run in a folder.

    Args:
      workdir: the folder.

    Returns:
      The config, locked.

    Raises:
      FileNotFoundError: if the folder holds no run.
    """
    path = epath.Path(workdir) / "config.json"
    if not path.exists():
        raise FileNotFoundError(
            f"no run in workdir {workdir}: it has no config.json; train one there with "
            f"python -m experiments.train --workdir={workdir} --config=..."
        )
    config = ml_collections.ConfigDict(_with_tuples(read_json(path)))
    return config.lock()


def _with_tuples(value: Any) -> Any:
    """Makes JSON's lists the tuples that they were in the config."""
    if isinstance(value, dict):
        return {key: _with_tuples(entry) for key, entry in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value


def _refuse_another(
    folder: epath.Path,
    old: dict[str, Any],
    config: ml_collections.ConfigDict,
    free: Sequence[str],
) -> None:
    # Through JSON, so that tuples and lists compare equal.
    before = _flat(old)
    now = _flat(json.loads(config.to_json_best_effort()))
    absent = "(absent)"
    changes = [
        f"  {key}: {before.get(key, absent)!r} there, {now.get(key, absent)!r} here"
        for key in sorted(before.keys() | now.keys())
        if before.get(key, ...) != now.get(key, ...)
        and not any(key == f or (f[-1] == "." and key.startswith(f)) for f in free)
    ]
    if changes and _has_begun(folder):
        state = "a finished run" if (folder / "summary.json").exists() else "a run"
        raise FileExistsError(
            f"workdir {folder} holds {state} of another config; choose another folder, "
            "or delete it. What differs:\n" + "\n".join(changes)
        )


def _has_begun(folder: epath.Path) -> bool:
    """Whether there is anything to lose, or a run that has no checkpoint yet."""
    if (folder / "summary.json").exists():
        return True
    checkpoints = folder / "checkpoints"
    if checkpoints.exists() and any(checkpoints.iterdir()):
        return True
    try:
        with alone_in(folder):
            return False
    except FileExistsError:
        return True


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat


@contextlib.contextmanager
def alone_in(workdir: epath.Path) -> Iterator[None]:
    """Keeps other runs out of a folder.

    Args:
      workdir: the folder; nothing is locked on an object store.

    Yields:
      Nothing.

    Raises:
      FileExistsError: if another run is in it.
    """
    if not is_main() or "://" in str(workdir):
        yield
        return
    # One in all of a process, so that whoever holds it may ask for it again.
    lock = filelock.FileLock(str(workdir / "run.lock"), timeout=0, is_singleton=True)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise FileExistsError(
            f"workdir {workdir} is in use by another run; processes of one run need "
            "--distributed"
        ) from None
    try:
        yield
    finally:
        lock.release()
