"""trackio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bod_keras.flatten import flatten
from bod_keras.trackers.tracker import TRACKERS, Tracker


@TRACKERS.register("trackio")
class TrackioTracker(Tracker):
    """trackio: on this machine, in its own folder (TRACKIO_DIR), unless TRACKIO_SPACE_ID names another place.

    ``trackio show --project bod_keras`` opens its page. Pages such as diagnose.html are kept as artifacts.

    Args:
        name, identity, config: as of `Tracker`.

    Reference:
        https://huggingface.co/docs/trackio
    """

    packages = ("trackio",)
    extra = "trackio"

    def open(self) -> None:
        import trackio

        self._run = trackio.init(
            project="bod_keras",
            name=f"{self.name}-{self.identity}",  # by which it is found again
            config={key: str(value) for key, value in flatten(self.config).items()},
            resume="allow",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        self._run.log(dict(numbers), step=step)
        self._step = step

    def add(self, files: Sequence[Path]) -> None:
        import trackio

        pictures = {f.stem: trackio.Image(str(f)) for f in files if f.suffix == ".png"}
        self._run.log(pictures, step=self._step)
        for file in files:
            if file.suffix == ".html":
                trackio.log_artifact(str(file), name=f"{file.stem}-{self.identity}", type="page")

    def close(self) -> None:
        import trackio

        trackio.finish()
