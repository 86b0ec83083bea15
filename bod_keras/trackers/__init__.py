"""Runs on the pages of trackers of experiments: Weights & Biases, MLflow, trackio, or one of your own.

Every module that registers a tracker is found by itself: a new one is a new file.
"""

from bod_keras.trackers.tracker import TRACKERS, Tracker

__all__ = ["TRACKERS", "Tracker"]
