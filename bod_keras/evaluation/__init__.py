"""From trained weights to numbers: features, probes, tables, reports and pictures."""

from bod_keras.evaluation.comparison import compare_runs, read_reports
from bod_keras.evaluation.embedding_statistics import embedding_statistics
from bod_keras.evaluation.factors import factor_probes
from bod_keras.evaluation.features import extract_features
from bod_keras.evaluation.knn import knn_accuracy
from bod_keras.evaluation.linear_probe import linear_probe
from bod_keras.evaluation.plots import (
    plot_factors,
    plot_history,
    plot_monitors,
    plot_spectrum,
)
from bod_keras.evaluation.provenance import file_list_hash, model_hash, provenance
from bod_keras.evaluation.report import environment, write_report
from bod_keras.evaluation.spectrum import operator_eigenvalues
from bod_keras.evaluation.tables import format_table, summarise

__all__ = [
    "compare_runs",
    "embedding_statistics",
    "environment",
    "extract_features",
    "factor_probes",
    "file_list_hash",
    "format_table",
    "knn_accuracy",
    "linear_probe",
    "model_hash",
    "operator_eigenvalues",
    "plot_factors",
    "plot_history",
    "plot_monitors",
    "plot_spectrum",
    "provenance",
    "read_reports",
    "summarise",
    "write_report",
]
