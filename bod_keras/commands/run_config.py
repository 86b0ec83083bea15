"""The config that a run was begun with, read from its folder: a config file, whose argument is the folder."""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict

from bod_keras.errors import UserError


def get_config(run: str) -> ConfigDict:
    """Return the config of a run, with the types that its keys have in `configs/base.py`.

    Of a report that is damaged or gone, it is that of the newest checkpoint.

    Args:
        run: the run's folder, local or remote, wherever it was moved to.

    Raises:
        UserError: the folder holds no run.
    """
    from bod_keras.commands.run_state import saved_config
    from bod_keras.configs import base
    from bod_keras.storage.run_folder import RunFolder

    folder = RunFolder(run)
    try:
        saved = saved_config(folder)
    finally:
        folder.close()
    if saved is None:
        raise UserError(
            f"{run} is no run of bod-keras train: it holds neither a report.json with a config nor a "
            "checkpoint. Give a run's folder, such as runs/demo-bod-seed0."
        )
    config = base.shared()
    _put(config, saved)
    return config


def _put(config: ConfigDict, saved: dict[str, Any]) -> None:
    for key, value in saved.items():
        inner = config.get(key)
        if isinstance(value, dict) and isinstance(inner, ConfigDict):
            _put(inner, value)
        elif value is None and key in config:  # its placeholder knows the type
            continue
        else:  # JSON has no tuples
            config[key] = tuple(value) if isinstance(value, list) else value
