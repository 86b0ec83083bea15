"""A protocol's file, with what the command line changes in it."""

from __future__ import annotations

import ast
import difflib
import importlib.util
from collections.abc import Sequence
from pathlib import Path

from ml_collections import ConfigDict


def read_protocol(name: str, folder: str | Path, changes: Sequence[str] = ()) -> ConfigDict:
    """Reads a protocol by name, or by the path of its file.

    Args:
        name: as in "linear-coclr", the file linear_coclr.py of `folder`; or a path that ends in .py.
        folder: of the protocols.
        changes: "key=value" each; a dot leads into a nested config.

    Returns:
        The locked config, with one more key: `modified`, a dict from each changed key to
        `[what the file says, what it is now]`.

    Raises:
        ValueError: if there is no such protocol, no such key, or a value is of another type.
    """
    config = _config_of(_file_of(name, Path(folder)))
    config.lock()
    modified = {}
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals:
            raise ValueError(f"--set takes KEY=VALUE, such as --set=k=5. Received: {change!r}")
        before = _value(config, key)
        try:
            config.update_from_flattened_dict({key: _parsed(text)})
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{key} of the protocol {config.name} is {before!r}; --set={change} gives a value of another "
                f"type ({error})."
            ) from None
        if _value(config, key) != before:
            modified[key] = [before, _value(config, key)]
    with config.unlocked():
        config.modified = ConfigDict(modified)
    return config


def _file_of(name: str, folder: Path) -> Path:
    if name.endswith(".py"):
        if not Path(name).is_file():
            raise ValueError(f"There is no protocol file {name}.")
        return Path(name)
    file = folder / f"{name.replace('-', '_')}.py"
    known = sorted(
        path.stem.replace("_", "-") for path in folder.glob("*.py") if path.stem != "common"
    )
    if file.stem.replace("_", "-") not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise ValueError(
            f"--protocol must be one of {', '.join(known)}, or the path of a .py file. Received: {name}.{hint}"
        )
    return file


def _config_of(file: Path) -> ConfigDict:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config()


def _value(config: ConfigDict, key: str):
    value, known = config, []
    for part in key.split("."):
        known = list(value) if isinstance(value, ConfigDict) else []
        if part not in known:
            near = difflib.get_close_matches(part, known, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise ValueError(
                f"The protocol {config.name} has no {key!r}; it has {', '.join(known)}.{hint}"
            )
        value = value[part]
    return value


def _parsed(text: str):
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text
