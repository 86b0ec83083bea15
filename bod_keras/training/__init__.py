"""Losses to updated weights: the bi-level update and what a run needs around it."""

from bod_keras.backend.lost_process_error import LostProcessError
from bod_keras.decoupling import BiLevel
from bod_keras.storage.run_folder import RunFolder
from bod_keras.training.checkpoint import (
    Checkpoint,
    load_checkpoint,
    load_model,
    newest_checkpoint,
    save_model,
    saved_settings,
)
from bod_keras.training.distribution import KINDS as DISTRIBUTIONS
from bod_keras.training.distribution import Distribution, choose_distribution
from bod_keras.training.exclude_vectors import exclude_vectors_from_weight_decay
from bod_keras.training.fit_rest import fit_rest
from bod_keras.training.history_file import HistoryFile
from bod_keras.training.keep_best import KeepBest
from bod_keras.training.lars import LARS
from bod_keras.training.model import BiLevelModel, steps_taken
from bod_keras.training.monitors import Monitors
from bod_keras.training.progress import Progress
from bod_keras.training.schedules import warmup_cosine, warmup_steps
from bod_keras.training.seed_states import SeedStates
from bod_keras.training.stop_on_non_finite import NotFiniteError, StopOnNonFinite
from bod_keras.training.stop_on_signal import StopOnSignal
from bod_keras.training.take_weights import take_weights

__all__ = [
    "BiLevel",
    "BiLevelModel",
    "Checkpoint",
    "DISTRIBUTIONS",
    "Distribution",
    "HistoryFile",
    "KeepBest",
    "LARS",
    "LostProcessError",
    "Monitors",
    "NotFiniteError",
    "Progress",
    "RunFolder",
    "SeedStates",
    "StopOnNonFinite",
    "StopOnSignal",
    "choose_distribution",
    "exclude_vectors_from_weight_decay",
    "fit_rest",
    "load_checkpoint",
    "load_model",
    "newest_checkpoint",
    "save_model",
    "saved_settings",
    "steps_taken",
    "take_weights",
    "warmup_cosine",
    "warmup_steps",
]
