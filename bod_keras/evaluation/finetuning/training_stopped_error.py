"""Training that a signal has ended before its time."""


class TrainingStoppedError(Exception):
    """Raised after a signal has stopped training and the state has been saved.

    Args:
        number: the signal's number.
        step: the step that was saved.

    Example:

    >>> from bod_keras.evaluation.finetuning import TrainingStoppedError
    >>> print(TrainingStoppedError(15, 120))
    Saved step 120. The same command resumes here.
    """

    def __init__(self, number: int, step: int):
        super().__init__(f"Saved step {step}. The same command resumes here.")
        self.number, self.step = number, step
