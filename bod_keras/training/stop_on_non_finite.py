"""Stop a run whose loss is no longer a number, and say which files were in the batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

import keras

from bod_keras.backend import keras_private
from bod_keras.errors import UserError
from bod_keras.storage.remote_error import without_secrets
from bod_keras.training.model import BiLevelModel, steps_taken


class NotFiniteError(UserError, FloatingPointError):
    """A loss that is NaN or infinite: broken inputs, or a learning rate that is too high."""


class StopOnNonFinite(keras.callbacks.Callback):
    """Stop at the first step with a loss, or a part of it, that is NaN or infinite.

    The loss of a `BiLevelModel` is NaN, too, where its moving statistics are no longer finite. The last
    checkpoint is from before that step.

    Args:
        files: function of the first and the last position of a batch that names its files, such as
            ``ClipDataset.files``; None if the data has no files.

    Raises:
        NotFiniteError: with the step, the values that are not finite, and the batch's files.
    """

    def __init__(self, files: Callable[[int, int], Iterable[str]] | None = None):
        super().__init__()
        self.files = files

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        losses = {k: float(v) for k, v in (logs or {}).items() if k.endswith("loss")}
        bad = [name for name, value in losses.items() if not math.isfinite(value)]
        if not bad:
            return
        message = f"Not finite at step {steps_taken(self.model)}: {', '.join(bad)}."
        if spoilt := self._spoilt():
            message += f" Statistics that are not finite: {', '.join(spoilt[:3])}"
            message += f" and {len(spoilt) - 3} more." if len(spoilt) > 3 else "."
        if self.files is not None:
            positions = self.model.first_position, self.model.next_position
            first, following = (int(keras.ops.convert_to_numpy(p)) for p in positions)
            names = "\n".join(f"  {without_secrets(f)}" for f in self.files(first, following - 1))
            message += f" The batch held positions {first} to {following - 1}:\n{names}\n"
        raise NotFiniteError(
            f"{message} Look at these inputs; if they are sound, lower the learning rate "
            "(train.py: --config.optimizer.learning_rate=0.0001, evaluate.py: --set=learning_rate=0.001) or "
            "clip gradients (train.py: --config.optimizer.clipnorm=1.0). The last checkpoint is from before "
            "this step, and train.py continues from there with such a change."
        )

    def _spoilt(self) -> list[str]:
        if not isinstance(self.model, BiLevelModel):
            return []
        keras_private.fetch_state(self.model)
        finite = {v.path: keras.ops.all(keras.ops.isfinite(v)) for v in self.model.statistics()}
        return [path for path, holds in finite.items() if not bool(holds)]
