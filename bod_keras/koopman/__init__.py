"""Frame embeddings -> static part, dynamic part."""

from bod_keras.koopman.layer import KoopmanSplit, Split
from bod_keras.koopman.read_outs import (
    READ_OUTS,
    DynamicOperator,
    OperatorReadOut,
    ReadOut,
    TimeMean,
)
from bod_keras.koopman.reference_code import ReferenceCodeSplit

__all__ = [
    "READ_OUTS",
    "DynamicOperator",
    "KoopmanSplit",
    "OperatorReadOut",
    "ReadOut",
    "ReferenceCodeSplit",
    "Split",
    "TimeMean",
]
