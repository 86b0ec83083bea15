"""Keras' fit over what is left of a run."""

from collections.abc import Callable, Iterable

import keras

from bod_keras.training.model import steps_taken


def fit_rest(
    model: keras.Model, stream: Callable[[int], Iterable], steps: int, epochs: int, callbacks: list
) -> None:
    """Train a model for what is left of its run; an epoch that was begun is completed by a shorter one.

    Args:
        model: compiled; it keeps ``next_position`` and ``steps_taken``, as a `BiLevelModel` does.
        stream: function from the position of the first sample to the batches from there on, for `fit`.
        steps: steps of an epoch.
        epochs: epochs of the whole run.
        callbacks: callbacks of `fit`.
    """
    epoch, within = divmod(steps_taken(model), steps)
    spans = [(epoch, epoch + 1, steps - within), (epoch + 1, epochs, steps)]
    for first, last, span in spans if within else [(epoch, epochs, steps)]:
        if first >= last:
            return
        model.fit(
            stream(int(keras.ops.convert_to_numpy(model.next_position))),
            initial_epoch=first,
            epochs=last,
            steps_per_epoch=span,
            shuffle=False,  # the stream is shuffled
            callbacks=callbacks,
            verbose=0,
        )
        if model.stop_training:
            return
