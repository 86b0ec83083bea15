"""What a folder holds of a run: nothing yet, a begun or a finished one; and its report, which is never lost."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bod_keras import evaluation, training
from bod_keras.errors import UserError
from bod_keras.storage.atomic_file import set_aside
from bod_keras.storage.run_folder import RunFolder

# What a run writes; history.csv sees to itself.
_FILES = (
    *("model.keras", "encoder.keras", "best.keras"),
    *("losses.png", "monitors.png", "online.png", "spectrum.png"),
)
_FOLDERS = ("checkpoints", "tensorboard")


class RunReport:
    """Write report.json of a run, all that is known of it again should the file be gone.

    Args:
        path: the file.
        before: the sections of the run so far, as `read_begun` gives them.
    """

    def __init__(self, path: Path, before: Mapping[str, Any]):
        self._path, self._sections, self._there = path, dict(before), path.exists()

    def write(self, **sections: Any) -> None:
        """Write sections, as `evaluation.write_report`."""
        if self._there and not self._path.exists():
            print(
                f"\n{self._path} was deleted while the run went on. It is written again, and what is in the "
                "making; what else the folder held is lost.",
                flush=True,
            )
            sections = {**self._sections, **sections}
        self._sections |= sections
        evaluation.write_report(self._path, **sections)
        self._there = True


def read_begun(folder: RunFolder) -> dict[str, Any]:
    """Return the report of the run in a folder, empty if there is none.

    Of a report that is damaged or lost the config is taken from the newest checkpoint.

    Raises:
        UserError: the folder holds something else, or nothing says what the run's config was.
    """
    folder.pull("report.json")
    names = [name for name in folder.names() if name != "report.json"]
    path, damage = folder.path / "report.json", None
    if os.path.lexists(path):
        try:
            report = evaluation.read_report(path)
        except UserError as error:
            damage = str(error)
        else:
            if isinstance(report.get("config"), dict) and report["config"]:
                return report
            damage = f"{path} holds no config. Restore it from a copy, or move the file away."
    if not names and not damage:
        return {}
    settings = _saved_settings(folder)
    if settings is None:
        raise UserError(
            damage
            or f"{folder} holds files, but no run of train.py. Choose another --config.name or --config.output."
        )
    if damage:
        print(f"{path} is damaged: it is now {set_aside(path).name}, and a new one is begun.")
    else:
        print(f"{path} is gone, and a new one is begun.")
    return {"config": settings}


def saved_config(folder: RunFolder) -> dict[str, Any] | None:
    """Return the config of the run in a folder, by its report or newest checkpoint; None if there is none."""
    folder.pull("report.json")
    with contextlib.suppress(UserError, FileNotFoundError, NotADirectoryError):
        if config := section(evaluation.read_report(folder.path / "report.json"), "config"):
            return config
    return _saved_settings(folder)


def _saved_settings(folder):
    """The config that the newest checkpoint of a folder was saved with, or its model; None if there is none."""
    folder.pull("checkpoints/step-*", folder.last)
    newest = training.newest_checkpoint(folder.path / "checkpoints")
    return training.saved_settings(newest or folder.path / folder.last)


def is_finished(
    folder: RunFolder, before: Mapping[str, Any], config: Mapping[str, Any]
) -> str | None:
    """Return the last line of a run that has nothing left to do, or None.

    A finished run that is trained on has its old model.keras, and checkpoints until it is finished again.

    Raises:
        UserError: there are results, and what the run needs to continue is gone: it would begin anew.
    """
    folder.pull("history.csv")
    names = folder.names()
    if any(name.startswith("checkpoints/step-") for name in names):
        return None
    longer = config["epochs"] > before["config"].get("epochs", 0)
    if folder.last in names and longer:
        return None
    choose = "choose another --config.name or --config.seed for a new run."
    if folder.last in names:
        return f"{folder} is finished. Train it longer with a larger --config.epochs, or {choose}"
    if "encoder.keras" in names and not longer:
        return (
            f"{folder} is finished, but its {folder.last} is gone: evaluate.py and longer training need it. "
            f"Restore it, or {choose}"
        )
    rows = training.HistoryFile.rows(folder.path / "history.csv")
    every = section(before["config"], "checkpoint").get("every", 1)
    results = [
        n for n in names if n == "encoder.keras" or n.startswith(("evaluation/", "features/"))
    ]
    if results or len(rows) > every:
        what = results[0] if results else f"history.csv of {len(rows)} epochs"
        raise UserError(
            f"{folder} holds results of a run, such as {what}, but neither its checkpoints nor its "
            f"{folder.last}, without which it would begin anew and overwrite them. Restore one of these, or "
            f"{choose}"
        )
    return None


def check_folder(folder: RunFolder) -> None:
    """Raise a `UserError` if something else than a folder lies where the run's folder is to be."""
    try:
        right = folder.is_remote or stat.S_ISDIR(os.stat(folder.where).st_mode)
    except FileNotFoundError:
        right = True
    except OSError:  # such as a link that leads to itself
        right = False
    if not right:
        raise UserError(
            f"{folder} is no folder, which a run needs. Choose another --config.name or --config.output."
        )


def clear_way(folder: RunFolder) -> None:
    """Set aside, and name, what stands where the run will write: folders instead of files, and the like."""
    for name in (*_FILES, *_FOLDERS):
        path = folder.path / name
        right = path.is_dir() if name in _FOLDERS else path.is_file()
        if os.path.lexists(path) and not right:
            kind = "folder" if name in _FOLDERS else "file"
            print(f"{path} is no {kind}: it is now {set_aside(path).name}.")


def section(report: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a section of a report, empty if there is none, or it is no dict as it was changed by hand."""
    found = report.get(name)
    return found if isinstance(found, dict) else {}
