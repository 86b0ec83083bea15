"""A learning rate that falls by steps, after a warm-up."""

from collections.abc import Sequence

import keras
from keras import ops

from bod_keras.errors import UserError


@keras.saving.register_keras_serializable("bod_keras")
class StepDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up from 0, then a rate that is multiplied by a factor at each boundary.

        rate(step) = peak * min(1, step / warmup_steps) * factor ^ (number of boundaries <= step)

    Args:
        peak: the rate after the warm-up.
        boundaries: steps, ascending; none for a constant rate.
        factor: in (0, 1].
        warmup_steps: 0 for no warm-up.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> schedule = StepDecay(0.4, boundaries=[6, 8], warmup_steps=2)
        >>> [round(float(schedule(step)), 4) for step in (0, 1, 2, 6, 9)]
        [0.0, 0.2, 0.4, 0.04, 0.004]
    """

    def __init__(
        self,
        peak: float,
        boundaries: Sequence[int] = (),
        factor: float = 0.1,
        warmup_steps: int = 0,
    ):
        super().__init__()
        if not peak > 0 or not 0 < factor <= 1 or warmup_steps < 0:
            raise UserError(
                "peak must be above 0, factor in (0, 1] and warmup_steps at least 0. Received: "
                f"peak={peak}, factor={factor}, warmup_steps={warmup_steps}"
            )
        if list(boundaries) != sorted(boundaries):
            raise UserError(f"boundaries must ascend. Received: {list(boundaries)}")
        self.peak, self.factor = peak, factor
        self.boundaries, self.warmup_steps = list(boundaries), warmup_steps

    def __call__(self, step):
        step = ops.cast(step, "float32")
        rate = ops.cast(self.peak, "float32")
        if self.warmup_steps:
            rate = rate * ops.minimum(1.0, step / self.warmup_steps)
        for boundary in self.boundaries:
            rate = rate * ops.where(step >= boundary, self.factor, 1.0)
        return rate

    def get_config(self):
        return {
            "peak": self.peak,
            "boundaries": self.boundaries,
            "factor": self.factor,
            "warmup_steps": self.warmup_steps,
        }
