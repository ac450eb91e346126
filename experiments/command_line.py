"""Flags and errors that the commands share."""

import sys
from collections.abc import Callable, Sequence

import ml_collections
from absl import app, flags, logging
from ml_collections import config_flags

# What a user can do something about: shown as one message, without a traceback.
_USER_ERRORS = (OSError, ValueError, TypeError, FloatingPointError)


def run(main: Callable[..., None], *, choices: Sequence[str] = ()) -> None:
    """Parses the flags and runs a command; a user's mistake is one message, exit 1.

    Args:
      main: the command.
      choices: what its one argument may be; without choices it takes none.
    """

    def guarded(arguments: Sequence[str]) -> None:
        given = arguments[1:]
        if choices and (len(given) != 1 or given[0] not in choices):
            sys.exit(f"error: name one of {', '.join(choices)}; got {' '.join(given)}")
        if given and not choices:
            sys.exit(f"error: unexpected argument {given[0]!r}; flags begin with --")
        # absl shows what libraries say to themselves unless told otherwise.
        if not flags.FLAGS["verbosity"].present:
            logging.set_verbosity(logging.WARNING)
        try:
            main(*given)
        except _USER_ERRORS as error:
            sys.exit(f"error: {error}")

    app.run(guarded, flags_parser=_parse)


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


def define_workdir(help: str) -> flags.FlagHolder[str]:
    """Defines `--workdir`.

    Args:
      help: what the command does with the folder.

    Returns:
      The flag, which must be given.
    """
    return flags.DEFINE_string("workdir", None, help, required=True)


def _parse(arguments: list[str]) -> list[str]:
    try:
        return flags.FLAGS(arguments)
    except (AttributeError, KeyError) as error:
        # ml_collections' way to say that a key is not in the config; it suggests one.
        text = str(error).strip("\"'").replace("\\n", ". ").replace("\\'", "")
        sys.exit(f"error: the config has no such key: {text}")
    except flags.Error as error:
        # The last line: a config file's own error comes below its traceback.
        sys.exit(f"error: {str(error).strip().splitlines()[-1]}")
    except OSError as error:
        sys.exit(f"error: {error}")
