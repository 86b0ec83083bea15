"""What is done with a trained model to get a number: a kind of protocol a file, each with a `run`."""

import difflib
import importlib

from bod_keras.errors import UserError
from bod_keras.evaluation.protocols.read_protocol import change_protocol, read_protocol
from bod_keras.evaluation.protocols.results import combine, parts_of, result_tables
from bod_keras.evaluation.protocols.subject import Split, Subject

KINDS = ("detect", "diagnose", "factors", "factors_real", "finetune", "knn", "linear", "retrieval")

__all__ = [
    "KINDS",
    "Split",
    "Subject",
    "change_protocol",
    "combine",
    "parts_of",
    "read_protocol",
    "result_tables",
    "run_protocol",
]


def run_protocol(subject: Subject, protocol) -> dict:
    """Runs a protocol on a model and its labelled videos.

    Args:
        subject: a `Subject`.
        protocol: the `ConfigDict` of a file of configs/protocols; its `kind` is one of `KINDS` and
            names the module here whose `run(subject, protocol)` does the work.

    Returns:
        What that function returns, plain values for a report.

    Raises:
        ValueError: if the kind is unknown; and as the kind's own function.
    """
    kind = protocol.kind
    if kind not in KINDS:
        near = difflib.get_close_matches(kind, KINDS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UserError(
            f"The kind of a protocol must be one of {', '.join(KINDS)}. Received: {kind!r} in protocol "
            f"{protocol.name!r}.{hint}"
        )
    # Loaded when needed: detection and fine-tuning need more than a linear probe does.
    module = importlib.import_module(f"bod_keras.evaluation.protocols.{kind}")
    return module.run(subject, protocol)
