"""An encoder trained with labels, and tested on videos."""

from bod_keras.evaluation.finetuning.attentive_classifier import (
    AttentiveClassifier,
    token_model,
)
from bod_keras.evaluation.finetuning.best_epoch import BestEpoch
from bod_keras.evaluation.finetuning.class_probabilities import ClassProbabilities
from bod_keras.evaluation.finetuning.classifier import Classifier
from bod_keras.evaluation.finetuning.training_run import TrainingRun
from bod_keras.training.fit_labeled import TrainingStoppedError

__all__ = [
    "AttentiveClassifier",
    "BestEpoch",
    "ClassProbabilities",
    "Classifier",
    "TrainingRun",
    "TrainingStoppedError",
    "token_model",
]
