"""The learning rate of a run: a linear warm-up, then a cosine that ends with it."""

import keras


def warmup_cosine(peak, steps, warmup=0, first=0.0, final=0.0):
    """Keras' schedule of a run of so many steps, w of them warm-up:

        rate(k) = first + (peak - first) k / w                                          k < w
        rate(k) = final + (peak - final) (1 + cos(pi (k - w) / (steps - w))) / 2        k >= w

    Args:
        peak: the highest rate.
        steps: of the run.
        warmup: w; 0: the run starts at its peak.
        first: the rate at which the warm-up starts.
        final: the rate at which the run ends.

    Returns:
        A `keras.optimizers.schedules.LearningRateSchedule`.

    Example:
        >>> schedule = warmup_cosine(0.4, steps=6, warmup=2)
        >>> [round(float(schedule(step)), 3) for step in (0, 1, 2, 4, 6)]
        [0.0, 0.2, 0.4, 0.2, 0.0]
    """
    return keras.optimizers.schedules.CosineDecay(
        first if warmup else peak,
        max(1, steps - warmup),
        alpha=final / peak if final else 0.0,
        warmup_target=peak if warmup else None,
        warmup_steps=warmup,
    )
