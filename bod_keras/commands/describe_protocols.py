"""The protocols of a folder and their keys, as ``evaluate.py --help`` lists them, without Keras."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Mapping
from pathlib import Path

_SHARED = "common.py"


def describe_protocols(folder: str | Path) -> str:
    """Return a line for each protocol of a folder, and the keys of each family of them with their defaults.

    Args:
        folder: with a file a protocol, and common.py, in which a function makes the configs of a family.

    Example:
        >>> from bod_keras.commands.describe_protocols import describe_protocols
        >>> describe_protocols("configs/protocols").splitlines()[1].split()[0]  # doctest: +SKIP
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

    for family, needed in (
        (common.on_features, ("name", 1, "kind")),
        (common.finetuning, ("name", 1)),
        (common.detection, ("name", 1)),
    ):
        config = family(*needed).to_dict()
        source = inspect.getsource(common.protocol) + inspect.getsource(family)
        lines += ["", inspect.getdoc(family), *_keys(config, source)]
    return "\n".join(lines)


def _keys(config: Mapping, source: str) -> list[str]:
    """A line for each key that a dict in the source sets, with the comments above and beside it."""
    lines, above = {}, []
    for line in map(str.strip, source.splitlines()):
        key = re.match(r'"(\w+)": ', line)
        comment = line.rpartition("# ")[2] if "# " in line else ""
        if line.startswith("#"):
            above.append(f"  {comment}")
        elif key and key[1] not in ("name", "version", "kind"):
            said = f"  --set={key[1]}={config[key[1]]}{'  ' if comment else ''}{comment}"
            lines[key[1]] = [*above, said]
        above = above if line.startswith("#") else []
    return [line for group in lines.values() for line in group]
