"""Which part of a read-out knows which label or factor of the videos."""

from bod_keras.evaluation.factors import factor_probes
from bod_keras.evaluation.protocols.classify import labelled_splits


def run(subject, protocol):
    """As `bod_keras.evaluation.factor_probes`, for every label column and part."""
    train, test = (split[:2] for split in labelled_splits(subject, protocol))
    return {"factors": factor_probes(train, test, seed=subject.seed)}
