"""Weights & Biases."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from bod_keras.trackers.tracker import TRACKERS, Tracker


@TRACKERS.register("wandb")
class WandbTracker(Tracker):
    """Weights & Biases: offline, in the folder ``wandb``, unless WANDB_MODE says otherwise.

    ``wandb sync wandb/offline-run-*`` uploads what is there, and ``WANDB_MODE=online`` does so at once. The
    package's own variables choose more, such as WANDB_DIR and WANDB_PROJECT (``bod_keras``).

    Args:
        name, identity, config: as of `Tracker`.

    Reference:
        https://docs.wandb.ai
    """

    packages = ("wandb",)
    extra = "wandb"

    def open(self) -> None:
        import wandb

        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "bod_keras"),
            name=self.name,
            id=self.identity,
            resume="allow",
            config=dict(self.config),
            mode=os.environ.get("WANDB_MODE", "offline"),
            # The program's output and code are its own.
            settings=wandb.Settings(silent=True, console="off", save_code=False, disable_git=True),
        )
        # Steps that a killed run repeats would be refused as its own.
        self._run.define_metric("*", step_metric="step")

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        self._run.log({**numbers, "step": step})

    def add(self, files: Sequence[Path]) -> None:
        import wandb

        kinds = {".png": wandb.Image, ".html": wandb.Html}
        self._run.log({file.stem: kinds[file.suffix](str(file)) for file in files})

    def close(self) -> None:
        self._run.finish()
