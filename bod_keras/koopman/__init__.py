"""Frame embeddings to a static and a dynamic part, by the eigenvalues of a Koopman operator."""

from bod_keras.koopman.layer import KoopmanSplit

__all__ = ["KoopmanSplit"]
