"""Which part of a read-out knows which label or factor of the videos."""

from bod_keras.evaluation.factors import factor_probes


def run(subject, protocol):
    """As `bod_keras.evaluation.factor_probes`, for every label column and part."""
    splits = [
        subject.labelled(split, protocol.views, protocol.crops)
        for split in (subject.train, subject.test)
    ]
    return {"factors": factor_probes(*splits, seed=subject.seed)}
