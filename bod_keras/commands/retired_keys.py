"""Flags of version 0.1 in commands typed now: said by another key, or named as without effect."""

from __future__ import annotations

import re

_SAME = {
    "bilevel": ("inner_steps", "inner_learning_rate", "scope", "prediction"),
    "koopman": ("threshold", "ridge", "projector_gradient"),
    "framework": ("dynamic_temperature", "dynamic_weight", "base_weight", "standardize"),
}
_SAME = {f"{section}.{key}": (section, key) for section, keys in _SAME.items() for key in keys}
_CHANGED = {  # from the old value to a field of `Decoupling` and its value
    "background_swap": lambda v: ("swap_threshold", v) if float(v) else ("motion_view", ""),
    "frame_shuffle": lambda v: ("static_view", {"true": "auto", "false": ""}[v.lower()]),
    "koopman.dynamic": lambda v: ("read_out", {"operator": v, "mean": v}[v]),
    "koopman.halves": lambda v: ("heads", {"true": "2", "false": "1"}[v.lower()]),
}
_GONE = {
    **dict.fromkeys(("koopman.order", "koopman.method"), "the split has one method left"),
    **dict.fromkeys(("koopman.count", "koopman.operator"), "each clip has an operator of its own"),
    **dict.fromkeys(("koopman.basis", "koopman.normalize"), "the read-out has fixed bases"),
    **dict.fromkeys(("bilevel.hypergradient", "bilevel.inner_momentum"), "one kind is left"),
    "framework.static_weight": "decoupling.dynamic_weight weighs the parts",
    **dict.fromkeys(("clips.min_gap", "clips.gap_law"), "clips are drawn independently"),
    **dict.fromkeys(("clips.class_balanced", "clips.weights"), "an epoch holds each video once"),
    "data.mix": "name all videos in one list, data.source",
}
_FLAG = re.compile(r"--?(no)?config\.([\w.]+)(?:=(.*))?", re.DOTALL)


def translate_retired(argv: list[str]) -> tuple[list[str], list[str]]:
    """Return a command's arguments without keys of version 0.1, and a line about each of these.

    Example:
        >>> from bod_keras.commands.retired_keys import translate_retired
        >>> translate_retired(["train.py", "--config.koopman.ridge=0.3"])[0]
        ['train.py', '--config.decoupling.ridge=0.3']
    """
    kept, told, rest = [], [], list(argv)
    while rest:
        kept.append(rest.pop(0))
        no, key, value = m.groups() if (m := _FLAG.fullmatch(kept[-1])) else (None, "", None)
        if not (key in _SAME or key in _CHANGED or key in _GONE):
            continue
        kept.pop()
        if value is None:  # --config.key VALUE, or a boolean without one
            value = str(not no) if no or not rest or rest[0].startswith("--") else rest.pop(0)
        try:
            section, name = _SAME.get(key, ("", ""))
            name, value = (name, value) if name else _CHANGED[key](value)
        except (KeyError, ValueError):
            why = _GONE.get(key, f"the value {value!r} is gone")
            told.append(f"--config.{key} has no effect since 0.2.0: {why}.")
            continue
        name = f"bilevel.{name}" if section == "bilevel" else name
        kept.append(f"--config.decoupling.{name}={value}")
        told.append(f"--config.{key} is {kept[-1]} since 0.2.0.")
    return kept, told
