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
    """
    folder = Path(folder)
    names = sorted(path.name for path in folder.glob("*.py") if path.name != _SHARED)
    lines = ["Protocols, as in --protocol=linear:"]
    for name in names:
        first = ast.get_docstring(ast.parse((folder / name).read_text(encoding="utf-8")))
        title = (first or "").partition("\n")[0]
        lines.append(f"  {name.removesuffix('.py').replace('_', '-'):24}{title}")
    from bod_keras.configs.protocols import common

    for family, needed in (
        (common.on_features, ("name", 1, "kind")),
        (common.finetuning, ("name", 1)),
        (common.attentive, ("name", 1)),
        (common.detection, ("name", 1)),
    ):
        config = family(*needed).to_dict()
        choices = {key: config[key] for key in config if key not in ("name", "version", "kind")}
        source = inspect.getsource(common.protocol) + inspect.getsource(family)
        lines += ["", inspect.getdoc(family), describe_keys(choices, source, "--set=")]
    return "\n".join(lines)
