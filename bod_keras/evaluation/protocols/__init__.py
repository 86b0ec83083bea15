"""What is done with a trained model to get a number: a file for each kind of protocol."""

from __future__ import annotations

from ml_collections import ConfigDict

from bod_keras.errors import UserError
from bod_keras.evaluation.protocols._kinds import KINDS, kind
from bod_keras.evaluation.protocols.read_protocol import change_protocol, read_protocol
from bod_keras.evaluation.protocols.results import combine, parts_of, result_tables
from bod_keras.evaluation.protocols.subject import Split, Subject

__all__ = [
    "KINDS",
    "Split",
    "Subject",
    "change_protocol",
    "combine",
    "kind",
    "parts_of",
    "read_protocol",
    "result_tables",
    "run_protocol",
]

_OF_VIDEOS = ("bias", "detect", "diagnose", "factors_real", "finetune")


def run_protocol(subject: Subject, protocol: ConfigDict) -> dict:
    """Run a protocol on a model and its labeled videos.

    Args:
        subject: a `Subject`.
        protocol: the `ConfigDict` of a file of configs/protocols. Its `kind` is one of `KINDS`, or the
            address ``"module:function"`` of another function ``run(subject, protocol)`` with the
            decorator `kind`.

    Returns:
        What that function returns, plain values for a report.

    Raises:
        ValueError: the kind is unknown, or needs videos and the model takes features; and as the kind's own
            function.
    """
    if protocol.kind in _OF_VIDEOS and subject.of_features:
        raise UserError(
            f"The protocol {protocol.name} needs videos, and this model takes features "
            f"{subject.encoder.input_shape[1:]}. Use one of frozen features, such as linear, knn or retrieval."
        )
    return KINDS[protocol.kind](subject, protocol)
