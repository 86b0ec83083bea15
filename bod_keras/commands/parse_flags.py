"""Flags of a command, and one line about a wrong one."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from bod_keras.errors import nearest

_CONFIG = re.compile(r"--?config(?:=(.*))?", re.DOTALL)


def parse_flags(name: str, argv: list[str]) -> list[str]:
    """Parse flags as absl does; end the process with one line for a wrong flag, config file or key.

    Args:
        name: of the command, for the message; it defines a flag ``--traceback``.
        argv: the command's arguments, its name first.

    Returns:
        What is left: the name alone.
    """
    try:
        rest = flags.FLAGS(argv)
    except flags.UnrecognizedFlagError as error:
        known = flags.FLAGS.get_key_flags_for_module(
            flags.FLAGS.find_module_defining_flag("traceback")
        )
        flag, dot, key = error.flagname.partition(".")
        near = nearest(flag, (flag.name for flag in known))
        hint = f" Did you mean --{near}{dot}{key}?" if near else ""
        sys.exit(f"{name}: there is no flag --{error.flagname}.{hint} See --help.")
    except flags.Error as error:
        if "--traceback" in argv:
            raise
        # What is wrong stands in the last line, below the traceback of a config file, after the error's class.
        reason = str(error).strip().splitlines()[-1].strip()
        reason = reason.removeprefix("bod_keras.errors.UserError: ").rstrip(".")
        sys.exit(f"{name}: {reason}. See --help.")
    except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
        if "--traceback" in argv:
            raise
        sys.exit(f"{name}: bad --config: {_reason_of(error)} See --help, which lists every key.")
    if rest[1:]:
        sys.exit(f"{name}: unexpected arguments: {' '.join(rest[1:])}. Flags begin with --.")
    return rest


def check_config_file(name: str, argv: Sequence[str], folder: Path) -> None:
    """End the process with one line if ``--config`` names no file: the nearest one, and which there are.

    Args:
        name: of the command.
        argv: its arguments.
        folder: where its configs are.
    """
    for at, argument in enumerate(argv):
        if not (match := _CONFIG.fullmatch(argument)):
            continue
        value = match[1] if match[1] is not None else "".join(argv[at + 1 : at + 2])
        path = Path(value.partition(":")[0])
        if not value or path.is_file():
            continue
        places = [folder] if path.parent.resolve() == folder else [path.parent, folder]
        files = [file for place in places for file in sorted(place.glob("*.py"))]
        known = {
            file.stem: _shown(file)
            for file in files
            if "def get_config(" in file.read_text("utf-8")
        }
        near = nearest(path.stem, known)
        hint = f" Did you mean {known[near]}?" if near else ""
        sys.exit(
            f"{name}: there is no config file {path}.{hint} There are: {', '.join(known.values())}."
        )


def _shown(file: Path) -> str:
    here = Path.cwd()
    return str(file.relative_to(here) if file.is_relative_to(here) else file)


def _reason_of(error: Exception) -> str:
    while error.args and isinstance(error.args[0], Exception):
        error = error.args[0]
    text = str(error.args[0] if isinstance(error, (AttributeError, KeyError)) else error)
    if not isinstance(error, KeyError):
        return text
    key, _, hint = text.partition("\n")
    near = re.search(r'mean "([^"]+)"', hint)
    return f"there is no key {key}.{f' Did you mean {near[1]!r}?' if near else ''}"
