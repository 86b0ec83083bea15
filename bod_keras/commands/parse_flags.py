"""Flags of a command, and one line about a wrong one."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from absl import flags

from bod_keras.commands.config_folder import CONFIGS
from bod_keras.errors import nearest

_CONFIG = re.compile(r"--?config(?:=(.*))?", re.DOTALL)


def parse_flags(name: str, argv: list[str], module: str) -> list[str]:
    """Parse flags as absl does; end the process with one line for a wrong flag, config file or key.

    Args:
        name: of the command, for the message.
        argv: the command's arguments, its name first.
        module: that defines or declares its flags, ``--traceback`` among them.

    Returns:
        What is left: the name alone.
    """
    try:
        rest = flags.FLAGS(argv)
    except flags.UnrecognizedFlagError as error:
        known = flags.FLAGS.get_key_flags_for_module(module)
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


def with_config_file(name: str, argv: Sequence[str]) -> list[str]:
    """Return a command's arguments with the path of the file that ``--config`` means.

    That is the file itself, or else, of ``configs/demo.py``, the package's own. If there is neither, the
    process ends with one line: the nearest one, and which there are.

    Args:
        name: of the command.
        argv: its arguments.
    """
    argv = list(argv)
    for at, argument in enumerate(argv):
        if not (match := _CONFIG.fullmatch(argument)):
            continue
        value = match[1] if match[1] is not None else "".join(argv[at + 1 : at + 2])
        path, colon, words = value.partition(":")
        if not value or Path(path).is_file():
            continue
        own = CONFIGS / Path(path).name
        if Path(path).parent != Path("configs") or not _is_config(own):
            _no_config_file(name, Path(path))
        if match[1] is None:
            argv[at + 1] = f"{own}{colon}{words}"
        else:
            argv[at] = f"--config={own}{colon}{words}"
    return argv


def _no_config_file(name: str, path: Path) -> NoReturn:
    there = {file.stem: str(file) for file in sorted(path.parent.glob("*.py")) if _is_config(file)}
    own = {
        file.stem: f"configs/{file.name}"
        for file in sorted(CONFIGS.glob("*.py"))
        if _is_config(file)
    }
    known = {**there, **own}
    near = nearest(path.stem, known)
    hint = f" Did you mean {known[near]}?" if near else ""
    sys.exit(
        f"{name}: there is no config file {path}.{hint} There are: {', '.join(known.values())}."
    )


def _is_config(file: Path) -> bool:
    return file.is_file() and "def get_config(" in file.read_text("utf-8")


def _reason_of(error: Exception) -> str:
    while error.args and isinstance(error.args[0], Exception):
        error = error.args[0]
    text = str(error.args[0] if isinstance(error, (AttributeError, KeyError)) else error)
    if not isinstance(error, KeyError):
        return text
    key, _, hint = text.partition("\n")
    near = re.search(r'mean "([^"]+)"', hint)
    return f"there is no key {key}.{f' Did you mean {near[1]!r}?' if near else ''}"
