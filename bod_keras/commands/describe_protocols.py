"""The protocols of a folder and their keys, as ``evaluate.py --help`` lists them, without Keras."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

from bod_keras.commands.command_help import describe_keys

_SHARED = "common.py"


def describe_protocols(folder: str | Path) -> str:
    """Return a line for each protocol of a folder, and the keys of each family of them with their defaults.

    Args:
        folder: with a file a protocol, and common.py, in which a function makes the configs of a family.

    Example:
        >>> from bod_keras.commands.describe_protocols import describe_protocols
        >>> describe_protocols("configs/protocols").splitlines()[1].split()[0]
        'detect-ava'
    """
    folder = Path(folder)
    names = sorted(path.name for path in folder.glob("*.py") if path.name != _SHARED)
    lines = ["Protocols, as in --protocol=linear:"]
    for name in names:
        first = ast.get_docstring(ast.parse((folder / name).read_text(encoding="utf-8")))
        title = (first or "").partition("\n")[0]
        lines.append(f"  {name.removesuffix('.py').replace('_', '-'):24}{title}")
    from configs.protocols import common

    for family in (common.on_features, common.finetuning, common.detection):
        needed = ["name", 1, "kind"][: 3 if family is common.on_features else 2]
        config = family(*needed).to_dict()
        keys = {
            key: value for key, value in config.items() if key not in ("name", "version", "kind")
        }
        source = inspect.getsource(common.protocol) + "\n\n" + inspect.getsource(family)
        lines += ["", f"{inspect.getdoc(family)}", describe_keys(keys, source, "set")]
    return "\n".join(lines).replace("--set.", "--set=")
