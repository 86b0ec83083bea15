"""A finished run as it is used: its model, and the clips that it takes."""

from __future__ import annotations

import os
from collections.abc import Mapping

import keras
import numpy as np

from bod_keras.data import ClipSpec
from bod_keras.errors import UserError
from bod_keras.evaluation.provenance import model_hash
from bod_keras.evaluation.read_out import ReadOut
from bod_keras.evaluation.report import read_report
from bod_keras.storage.hub import hub_path, is_hub
from bod_keras.storage.run_folder import RunFolder
from bod_keras.training.predict_filled_up import predict_filled_up
from bod_keras.weights import load


class TrainedRun:
    """Embed clips with the model of a finished run.

    Args:
        folder: the run's folder, local or remote, wherever it was moved to, or ``hf://owner/name``.

    Attributes:
        name: where it was read from.
        clips: frames, stride and size of its clips, a `ClipSpec`.
        hash: `model_hash` of its model.
        batch_size: clips at a time.

    Raises:
        UserError: it is no finished run.
    """

    def __init__(self, folder: str | os.PathLike):
        hub = is_hub(folder)
        run = RunFolder(hub_path(str(folder), "report.json", "model.keras") if hub else folder)
        try:
            run.pull("report.json", "model.keras")
            if not (run.path / "report.json").is_file():
                raise UserError(
                    f"{run} is not the folder of a finished run: it holds no report.json. Give a folder that "
                    "bod-keras train has left, such as runs/videos-seed0."
                )
            config = read_report(run.path / "report.json").get("config")
            clips = config.get("clips") if isinstance(config, Mapping) else None
            if not isinstance(clips, Mapping):
                raise UserError(
                    f"{run}/report.json holds no config: it is damaged. Restore it from a copy."
                )
            self._model = load(run.path)
        finally:
            run.close()
        self.name = run.where if run.is_remote else os.path.abspath(run.where)
        self.name = str(folder) if hub else self.name
        settings = {name: clips[name] for name in ("frames", "stride", "size") if name in clips}
        self.clips = ClipSpec(**settings, views=1)
        self.hash = model_hash(self._model)
        # As many clips as a training step has, which the machine is known to hold.
        self.batch_size = min(64, clips.get("batch_size", 8) * clips.get("views", 2))
        self._read_out = ReadOut(self._model)

    def embed(self, clips: np.ndarray) -> dict[str, np.ndarray]:
        """Return the parts of at most `batch_size` clips, uint8 (b, T, H, W, 3): float32 (b, K) each."""
        floats = np.divide(clips, np.float32(255), dtype=np.float32)
        outputs = predict_filled_up(self._read_out, floats, self.batch_size)
        return {
            name: np.asarray(keras.ops.convert_to_numpy(outputs[name]), np.float32)
            for name in self._read_out.order
        }
