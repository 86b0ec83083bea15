"""A protocol's file, with what the command line changes in it."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Sequence
from pathlib import Path

from ml_collections import ConfigDict

from bod_keras.errors import UserError, check_choice


def read_protocol(name: str, folder: str | Path) -> ConfigDict:
    """Read a protocol by name, or by the path of its file.

    Args:
        name: as in "linear-coclr", the file linear_coclr.py of `folder`; or a path that ends in .py, whose
            function `get_config()` returns the config.
        folder: of the protocols.

    Returns:
        The config, locked, with one more key: `modified`, an empty `ConfigDict`.

    Raises:
        ValueError: if there is no such protocol, or the file has no config with a name, a version and a kind.

    Example:
        >>> from bod_keras.evaluation.protocols import change_protocol, read_protocol
        >>> from pathlib import Path
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp(), "mine.py")
        >>> _ = file.write_text(
        ...     "from ml_collections import ConfigDict\\n"
        ...     "def get_config():\\n"
        ...     "    return ConfigDict({'name': 'mine', 'version': 1, 'kind': 'knn', 'k': 20})\\n")
        >>> protocol = change_protocol(read_protocol(str(file), "."), ["k=5"])
        >>> protocol.k, protocol.modified.k
        (5, [20, 5])
    """
    file = _file_of(name, Path(folder))
    config = _config_of(file)
    absent = [key for key in ("name", "version", "kind") if key not in config]
    if absent:
        raise UserError(f"{file} describes no protocol: its config has no {', '.join(absent)}.")
    with config.unlocked():
        config.modified = ConfigDict()
    return config.lock()


def change_protocol(protocol: ConfigDict, changes: Sequence[str]) -> ConfigDict:
    """Make a protocol with other choices, which remembers what the first one said.

    Args:
        protocol: as `read_protocol` gives it.
        changes: "key=value" each. A value is a Python literal, or text.

    Returns:
        A new config. `modified` has, for each key that is not as in the file, `[there, now]`.

    Raises:
        ValueError: if there is no such key, or a value is of another type.
    """
    config = ConfigDict(protocol).lock()
    modified = protocol.modified.to_dict()
    known = set(config) - {"name", "version", "modified"}
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals:
            raise UserError(f"--set takes KEY=VALUE, such as --set=k=5. Received: {change!r}")
        check_choice(f"--set: a key of the protocol {config.name}", key, sorted(known))
        before = config[key]
        try:
            config.update_from_flattened_dict({key: _parsed(text)})
        except (TypeError, ValueError) as error:
            raise UserError(
                f"{key} of the protocol {config.name} is {before!r}; --set={change} gives a value of another "
                f"type ({error})."
            ) from None
        now = config[key]
        before = modified.pop(key, [before])[0]
        if now != before:
            modified[key] = [before, now]
    with config.unlocked():
        config.modified = ConfigDict(modified)
    return config


def _file_of(name: str, folder: Path) -> Path:
    if name.endswith(".py"):
        if not Path(name).is_file():
            raise UserError(f"There is no protocol file {name}.")
        return Path(name)
    file = folder / f"{name.replace('-', '_')}.py"
    known = sorted(
        path.stem.replace("_", "-") for path in folder.glob("*.py") if path.stem != "common"
    )
    check_choice("--protocol, if it is not the path of a .py file,", name.replace("_", "-"), known)
    return file


def _config_of(file: Path) -> ConfigDict:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config()


def _parsed(text: str):
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text
