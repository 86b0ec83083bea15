"""The tracker that a config names, for the run in a folder."""

from __future__ import annotations

import inspect
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from bod_keras.errors import UserError
from bod_keras.evaluation.tables import CIRCUMSTANCES, numbers_of
from bod_keras.trackers import TRACKERS, Tracker


def check_tracker(config: Mapping[str, Any]) -> None:
    """Raise a `UserError` if the tracker of a config cannot be had, before anything is read."""
    if not (name := config.get("tracker")):
        return
    made = TRACKERS[name]
    if not (isinstance(made, type) and issubclass(made, keras.callbacks.Callback)):
        raise UserError(
            "config.tracker must be wandb, mlflow, trackio, or module:Class of a subclass of "
            f"keras.callbacks.Callback. Received: {name}"
        )
    if issubclass(made, Tracker):
        made.check()
        return
    try:
        inspect.signature(made).bind()
    except TypeError as error:
        raise UserError(
            f"config.tracker={name} is made without arguments, but: {error}. Give a subclass that needs none."
        ) from None


def make_tracker(
    config: Mapping[str, Any], folder: str, before: Mapping[str, Any], tells: bool = True
) -> tuple[keras.callbacks.Callback | None, dict[str, Any]]:
    """Return the callback of a config's tracker, None if it names none, and what the report keeps of it.

    Args:
        config: of the run.
        folder: of the run, by whose name it is tracked.
        before: `tracker` of the report so far, by which a run that goes on is found again.
        tells: false in all processes of a run but one: these get a tracker that does nothing, which reads the
            model's variables where the first one does, as all must on some engines.
    """
    name = config.get("tracker")
    if not name:
        return None, {}
    made = TRACKERS[name]
    if not issubclass(made, Tracker):
        return (made() if tells else None), {}
    if not tells:
        return Tracker("", "", {}), {}
    identity = before["id"] if before.get("name") == name and "id" in before else None
    identity = str(identity or secrets.token_hex(4))
    return made(Path(folder).name, identity, config), {"name": name, "id": identity}


def pictures_of(folder: Path) -> list[Path]:
    """Return the pictures and the diagnose page that a run's folder holds."""
    return [*sorted(folder.glob("*.png")), *sorted(folder.glob("evaluation/*/diagnose.html"))]


def track_evaluations(
    folder: Path, name: str, report: Mapping[str, Any], protocols: Sequence[str]
) -> None:
    """Tell the tracker of a run, if it has one, what protocols have found.

    Args:
        folder, name: of the run.
        report: of the run.
        protocols: under which the report has the results.
    """
    config, kept = report["config"], report.get("tracker")
    if not isinstance(kept, dict) or config.get("tracker") != kept.get("name"):
        return
    numbers = {
        f"{protocol}/{key}": value
        for protocol in protocols
        for key, value in numbers_of(report[f"evaluation_{protocol}"], CIRCUMSTANCES).items()
    }
    steps = (report.get("training") or {}).get("steps", 0)
    try:
        check_tracker(config)
        tracker, _ = make_tracker(config, name, kept)
        tracker.tell(numbers, steps, sorted(folder.glob("evaluation/*/diagnose.html")))
    except UserError as error:  # the numbers are in the report anyway
        print(f"The run's tracker is left out: {error}", flush=True)
        return
    tracker.end()
