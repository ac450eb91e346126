"""Flags and errors that the commands share."""

import ctypes
import difflib
import os
import pathlib
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, Literal

import jax
import ml_collections
from absl import app, flags, logging
from etils import epath
from ml_collections import config_flags

from ssimjax.training import Preempted

# EX_TEMPFAIL of sysexits.h: try again, and it goes on.
PREEMPTED = 75

# What a user can do something about: shown as one message, without a traceback.
_USER_ERRORS = (OSError, ValueError, TypeError, FloatingPointError, ImportError)
# What a shell gives to commands that were interrupted by Ctrl-C.
_INTERRUPTED = 130


_COMPILATION_CACHE = flags.DEFINE_string(
    "compilation_cache",
    os.environ.get("JAX_COMPILATION_CACHE_DIR")
    or str(
        pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
        / "ssimjax/programs"
    ),
    "Folder where compiled programs are kept; empty for nowhere.",
)


# Of malloc.h: what mallopt can be told.
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8


def run(
    main: Callable[..., None],
    *,
    choices: Sequence[str] = (),
    several: bool = False,
    keep_memory: bool = True,
) -> None:
    """Parses the flags and runs a command; a user's mistake is one message, exit 1.

    SIGTERM is exit 75; where a network is being trained, its state is saved before.

    Args:
      main: the command.
      choices: what its one argument may be; without choices it takes none.
      several: whether it takes any arguments, which it checks itself.
      keep_memory: whether memory that a program gave back is kept for the next.
    """

    def guarded(arguments: Sequence[str]) -> None:
        given = arguments[1:]
        if choices and (len(given) != 1 or given[0] not in choices):
            sys.exit(f"error: name one of {', '.join(choices)}; got {' '.join(given)}")
        if given and not choices and not several:
            sys.exit(f"error: unexpected argument {given[0]!r}; flags begin with --")
        # absl shows what libraries say to themselves unless told otherwise.
        if not flags.FLAGS["verbosity"].present:
            logging.set_verbosity(logging.WARNING)
        jax.config.update("jax_compilation_cache_dir", _COMPILATION_CACHE.value)
        if keep_memory:
            _keep_memory()
        signal.signal(signal.SIGTERM, _stop)
        try:
            main(*given)
        except Preempted as error:
            print(error, file=sys.stderr)
            sys.exit(PREEMPTED)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            sys.exit(_INTERRUPTED)
        except _USER_ERRORS as error:
            sys.exit(f"error: {error}")

    # --help lists the flags of the command, wherever they are defined.
    for flag in flags.FLAGS.get_key_flags_for_module(__name__):
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)
    app.run(guarded, flags_parser=_parse)


def _stop(number: int, frame: FrameType | None) -> None:
    """Ends a command outside of the loop of training, which hears SIGTERM itself.

    At once, for Python ignores errors that are raised while it collects garbage.
    """
    os.write(sys.stderr.fileno(), b"stopped by SIGTERM; start the same command again\n")
    os._exit(PREEMPTED)


def _keep_memory() -> None:
    """Has glibc keep what is given back to it, as long as the process runs.

    XLA's programs for a CPU ask for their memory at every call. By itself glibc returns
    blocks of more than 32 MB to the system, whose fresh pages take a tenth to a fifth
    of a training step. Threads share one arena, for others hold no larger blocks than
    64 MB. To be called before JAX starts its own.
    """
    mallopt = sys.platform == "linux" and getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:  # The C library may be another.
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, -1)
        mallopt(_ARENA_MAX, 1)


def define_config() -> flags.FlagHolder[ml_collections.ConfigDict]:
    """Defines `--config`, a config file whose keys are flags too.

    Returns:
      The flag, which must be given.
    """
    holder = config_flags.DEFINE_config_file(
        "config", None, "Config file; an argument may follow its name after a colon."
    )
    flags.mark_flag_as_required("config")
    return holder


def check_key(config: ml_collections.ConfigDict, key: str) -> None:
    """Checks that a config has a key; assigning to another one would add it.

    Args:
      config: the config.
      key: its sections and itself, as in "model.widths"; "model.widths[0]" is one, too.

    Raises:
      ValueError: if it has none; the message names those that are spelt like it.
    """
    section: Any = config
    for part in key.split("."):
        name = part.partition("[")[0]
        if not isinstance(section, ml_collections.ConfigDict) or name not in section:
            near = difflib.get_close_matches(key, _keys(config))
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise ValueError(f"the config has no key {key!r}{hint}")
        section = section[name]


def _keys(config: ml_collections.ConfigDict, prefix: str = "") -> list[str]:
    """All keys of a config, each after its sections."""
    found = []
    for name, value in config.items():
        found.append(prefix + name)
        if isinstance(value, ml_collections.ConfigDict):
            found.extend(_keys(value, f"{prefix}{name}."))
    return found


def folder_names(folders: Sequence[str], *, flag: str = "workdir") -> list[str]:
    """What tables call several folders.

    Args:
      folders: those that a flag names.
      flag: its name.

    Returns:
      The last parts of the folders, or the whole where those are not different.

    Raises:
      ValueError: if a folder is named twice.
    """
    paths = [epath.Path(folder) for folder in folders]
    if len(set(paths)) < len(paths):
        raise ValueError(f"--{flag} must name different folders, got {folders}")
    names = [path.name for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]


def define_workdir(help: str) -> flags.FlagHolder[str]:
    """Defines `--workdir`.

    Args:
      help: what the command does with the folder.

    Returns:
      The flag, which must be given.
    """
    holder = flags.DEFINE_string("workdir", None, help, required=True)
    flags.register_validator(
        holder, lambda folder: folder != "", message="must name a folder, got none"
    )
    return holder


def define_workdirs(help: str) -> flags.FlagHolder[list[str]]:
    """Defines `--workdir` of a command that takes several folders.

    Args:
      help: what the folders hold.

    Returns:
      The flag, which must be given and names at least one folder.
    """
    holder = flags.DEFINE_list("workdir", None, help, required=True)
    flags.register_validator(
        holder,
        lambda folders: folders is None or (bool(folders) and all(folders)),
        message="must name a folder, or several between commas",
    )
    return holder


def define_checkpoint() -> Callable[[], int | Literal["best"] | None]:
    """Defines `--checkpoint`.

    Returns:
      A function that returns what `load` is to be told.
    """
    holder = flags.DEFINE_string(
        "checkpoint",
        None,
        "Which of --workdir: that after so many steps, or best, as training.keep_best "
        "of the config chose; default the newest.",
    )

    def given() -> int | Literal["best"] | None:
        if holder.value is None or holder.value == "best":
            return holder.value
        if not holder.value.isdecimal():
            raise ValueError(
                f"--checkpoint must be a number of steps or best, got {holder.value!r}"
            )
        return int(holder.value)

    return given


def define_distributed() -> Callable[[], None]:
    """Defines the flags that make several processes one program.

    Returns:
      A function that joins the processes, to be called before JAX is used otherwise.
    """
    distributed = flags.DEFINE_bool(
        "distributed",
        False,
        "Join all processes of a TPU slice or a Slurm, Open MPI or Kubernetes job; "
        "start the same command in each.",
    )
    coordinator = flags.DEFINE_string(
        "coordinator", None, "host:port of process 0, where no cluster tells it."
    )
    processes = flags.DEFINE_integer("processes", None, "How many there are.")
    process = flags.DEFINE_integer("process", None, "Which one this is, from 0.")

    def join() -> None:
        given = {
            "coordinator_address": coordinator.value,
            "num_processes": processes.value,
            "process_id": process.value,
        }
        if not distributed.value:
            if any(value is not None for value in given.values()):
                raise ValueError(
                    "coordinator, processes and process need --distributed"
                )
            return
        try:
            jax.distributed.initialize(**given)
        except (RuntimeError, ValueError) as error:
            raise ValueError(
                "--distributed found no cluster, or could not join it: "
                f"{error}; name --coordinator=HOST:PORT, --processes and --process"
            ) from error

    return join


def _parse(arguments: list[str]) -> list[str]:
    try:
        return flags.FLAGS(arguments)
    except SyntaxError as error:
        sys.exit(f"error: {error.filename}, line {error.lineno}: {error.msg}")
    except (AttributeError, KeyError) as error:
        if "get_config" in str(error):
            sys.exit(
                "error: --config must be a file with a function get_config, such as "
                "configs/quickstart.py"
            )
        # ml_collections' way to say that a key is not in the config; it suggests one.
        text = str(error).strip("\"'").replace("\\n", ". ").replace("\\'", "")
        sys.exit(f"error: the config has no such key: {text}")
    except flags.Error as error:
        # The last line: a config file's own error comes below its traceback.
        sys.exit(f"error: {str(error).strip().splitlines()[-1]}")
    except OSError as error:
        sys.exit(f"error: {error}")
