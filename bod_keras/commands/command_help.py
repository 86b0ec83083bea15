"""``--help`` of a command: its flags and the keys that they can change, without Keras.

A command sets BOD_KERAS_READER before it imports this, so that `bod_keras` imports no Keras either.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from absl import flags

from bod_keras.flatten import flatten


def command_help(description: str, flag: flags.FlagHolder, keys: str = "") -> str:
    """Return the text of a command's ``--help``.

    Args:
        description: the docstring of the command.
        flag: one of its flags; all flags of the same module are listed.
        keys: what stands below the flags, such as `describe_keys`.
    """
    module = flags.FLAGS.find_module_defining_flag(flag.name)
    listed = flags.FLAGS.module_help(module).split("\n", 2)[2].rstrip()
    return "\n\n".join(filter(None, [description.strip(), f"Flags:\n{listed}", keys]))


def describe_keys(values: Mapping[str, Any], source: str, flag: str = "--config.") -> str:
    """Return one line for each key of a config, with its default and the comments of its source.

    Args:
        values: the config.
        source: text of the Python code that sets it: lines `config.key = value`, or `"key": value` of a dict.
        flag: what stands before a key on the command line.

    Example:
        >>> from bod_keras.commands.command_help import describe_keys
        >>> source = '''# All of it.
        ... config.clips = dict(
        ...     "size": 112,  # pixels
        ... )'''
        >>> print(describe_keys({"clips": {"size": 112}}, source))
        All of it.
          --config.clips.size=112  pixels
    """
    flat = flatten(values)
    lines: dict[str, list[str]] = {}
    comments: dict[str, list[str]] = {}
    told, above, section = set(), [], ""
    for line in map(str.strip, source.splitlines()):
        comment = line.rpartition("# ")[2] if "# " in line else ""
        if line.startswith("#"):
            above.append(comment)
            continue
        if found := re.match(r'(?:config\.(\w+) =|"(\w+)":) ', line):
            top, inner = found.groups()
            name = top or f"{section}{inner}"
            keys = [key for key in flat if key == name or key.startswith(f"{name}.")]
            opens = bool(top) and line.endswith("(")  # its keys follow, each on a line of its own
            if top:
                section = f"{top}." if opens else ""
            indent = "  " if keys == [name] else ""
            beside = f"  {comment}" if comment else ""
            said = [] if opens else [f"  {flag}{key}={flat[key]}{beside}" for key in keys]
            told.update([] if opens else keys)
            comments[name] = above or comments.get(name, [])
            lines.pop(name, None)  # the last one counts
            if keys:
                lines[name] = [*(f"{indent}{text}" for text in comments[name]), *said]
        above = []
    lines[""] = [f"  {flag}{key}={flat[key]}" for key in flat if key not in told]
    return "\n".join(line for group in lines.values() for line in group)
