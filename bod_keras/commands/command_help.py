"""``--help`` of a command: its flags and the keys that they can change, without Keras.

A command sets BOD_KERAS_READER before it imports this, so that `bod_keras` imports no Keras either.
"""

from __future__ import annotations

import ast
import io
import tokenize
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

    Example:
        >>> from absl import flags
        >>> from bod_keras.commands.command_help import command_help
        >>> flag = flags.DEFINE_integer("answer", 42, "What is asked for.", module_name="example.py")
        >>> print(command_help("Answer.", flag))
        Answer.
        <BLANKLINE>
        Flags:
          --answer: What is asked for.
            (default: '42')
            (an integer)
    """
    module = flags.FLAGS.find_module_defining_flag(flag.name)
    listed = flags.FLAGS.module_help(module).split("\n", 2)[2].rstrip()
    return "\n\n".join(filter(None, [description.strip(), f"Flags:\n{listed}", keys]))


def describe_keys(values: Mapping[str, Any], source: str, flag: str = "config") -> str:
    """Return one line for each key of a config, with its default and the comments of its source.

    Args:
        values: the config.
        source: text of the Python file that sets it: `config.key = value`, or a dict of keys and values.
        flag: what a key is set by, as in ``--config.key=value``.

    Example:
        >>> from bod_keras.commands.command_help import describe_keys
        >>> source = '''# All of it.
        ... config.clips = dict({
        ...     "size": 112,  # pixels
        ... })'''
        >>> print(describe_keys({"clips": {"size": 112}}, source))
        All of it.
          --config.clips.size=112  pixels
    """
    comments = _comments(source)
    order = list(comments)

    def place(item: tuple[str, Any]) -> int:
        known = [name for name in (item[0], item[0].partition(".")[0]) if name in comments]
        return order.index(known[0]) if known else len(order)

    lines, told = [], set()
    for key, value in sorted(flatten(values).items(), key=place):
        section = key.rpartition(".")[0]
        for name in (section, key):
            above, _ = comments.get(name, ((), ""))
            if name and name not in told:
                told.add(name)
                indent = "" if name == section else "  "
                lines += [f"{indent}{comment}" for comment in above]
        beside = comments.get(key, ((), ""))[1]
        lines.append(f"  --{flag}.{key}={value}{'  ' if beside else ''}{beside}")
    return "\n".join(lines)


def _comments(source: str) -> dict[str, tuple[list[str], str]]:
    """From the name of a key to the comment lines above it and the comment beside it."""
    own, beside = {}, {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            line, column = token.start
            alone = not token.line[:column].strip()
            (own if alone else beside)[line] = token.string.lstrip("# ")

    def above(line: int) -> list[str]:
        first = line
        while first - 1 in own:
            first -= 1
        return [own[number] for number in range(first, line)]

    found = {}
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Assign)]
    for node in sorted(nodes, key=lambda node: node.lineno):
        if not isinstance(node.targets[0], ast.Attribute):
            continue
        name = node.targets[0].attr
        found.pop(name, None)  # the last one counts
        found[name] = (above(node.lineno), beside.get(node.lineno, ""))
        value = node.value
        if isinstance(value, ast.Call) and value.args and isinstance(value.args[0], ast.Dict):
            for key, part in zip(value.args[0].keys, value.args[0].values):
                if isinstance(key, ast.Constant):
                    lone = key.lineno != node.lineno
                    own_lines = above(key.lineno) if lone else []
                    own_word = beside.get(part.end_lineno, "") if lone else ""
                    found[f"{name}.{key.value}"] = (own_lines, own_word)
    return found
