"""The learning rate of a run: a linear warm-up, then a cosine or steps."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from bod_keras.errors import UserError

_STAIRS = 100  # of a warm-up before steps: as many as it has steps, if those are fewer


def warmup_cosine(
    peak: float, steps: int, warmup: int = 0, first: float = 0.0, final: float = 0.0
) -> keras.optimizers.schedules.CosineDecay:
    """Return Keras' schedule of a run of this many steps, the first w of them a warm-up.

        rate(k) = first + (peak - first) k / w                                          k < w
        rate(k) = final + (peak - final) (1 + cos(pi (k - w) / (steps - w))) / 2        k >= w

    Args:
        peak: the highest rate.
        steps: steps of the run.
        warmup: w; with 0 the run starts at its peak.
        first: the rate at which the warm-up starts.
        final: the rate at which the run ends.

    Returns:
        A `keras.optimizers.schedules.CosineDecay`.

    Raises:
        UserError: if an argument is out of range.

    Example:
        >>> from bod_keras.training import warmup_cosine
        >>> schedule = warmup_cosine(0.4, steps=6, warmup=2)
        >>> [round(float(schedule(step)), 3) for step in (0, 1, 2, 4, 6)]
        [0.0, 0.2, 0.4, 0.2, 0.0]
    """
    if not peak > 0 or not first >= 0 or not final >= 0 or steps < 1 or warmup < 0:
        raise UserError(
            "peak must be above 0, steps at least 1, first, final and warmup at least 0. Received: "
            f"peak={peak}, steps={steps}, first={first}, final={final}, warmup={warmup}"
        )
    # Keras computes in the type of the first argument: with an integer, every rate would be one.
    return keras.optimizers.schedules.CosineDecay(
        float(first if warmup else peak),
        max(1, steps - warmup),
        alpha=final / peak if final else 0.0,
        warmup_target=float(peak) if warmup else None,
        warmup_steps=warmup,
    )


def warmup_steps(
    peak: float, boundaries: Sequence[int], factor: float = 0.1, warmup: int = 0
) -> keras.optimizers.schedules.PiecewiseConstantDecay:
    """Return Keras' schedule that multiplies the rate by a factor at each boundary, after a warm-up from 0.

        rate(k) = peak * min(1, k / w) * factor ^ (number of boundaries <= k)

    Args:
        peak: the rate after the warm-up.
        boundaries: steps, ascending; none for a constant rate.
        factor: in (0, 1].
        warmup: w, in steps; 0 for no warm-up. One of more than 100 steps rises in 100 stairs.

    Returns:
        A `keras.optimizers.schedules.PiecewiseConstantDecay`.

    Raises:
        UserError: if an argument is out of range.

    Example:
        >>> from bod_keras.training import warmup_steps
        >>> schedule = warmup_steps(0.4, boundaries=[6, 8], warmup=2)
        >>> [round(float(schedule(step)), 4) for step in (0, 1, 2, 6, 9)]
        [0.0, 0.2, 0.4, 0.04, 0.004]
    """
    if not peak > 0 or not 0 < factor <= 1 or warmup < 0:
        raise UserError(
            "peak must be above 0, factor in (0, 1] and warmup at least 0. Received: "
            f"peak={peak}, factor={factor}, warmup={warmup}"
        )
    if list(boundaries) != sorted(boundaries) or min(boundaries, default=1) < 1:
        raise UserError(f"boundaries must ascend from 1. Received: {list(boundaries)}")

    def rate(step):
        rise = min(1.0, step / warmup) if warmup else 1.0
        return float(peak * rise * factor ** sum(boundary <= step for boundary in boundaries))

    stairs = min(warmup, _STAIRS)
    changes = sorted({0, *boundaries, *(warmup * k // stairs for k in range(1, stairs + 1))})
    # Keras' boundaries are the last steps of the value before.
    return keras.optimizers.schedules.PiecewiseConstantDecay(
        [step - 1 for step in changes[1:]], [rate(step) for step in changes]
    )
