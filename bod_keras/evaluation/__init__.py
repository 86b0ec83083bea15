"""From trained weights to numbers: features, probes, tables, reports and pictures."""

from bod_keras.evaluation.comparison import compare_runs, read_reports
from bod_keras.evaluation.dimension_shares import dimension_shares
from bod_keras.evaluation.factor_table import factor_table
from bod_keras.evaluation.online import OnlineEvaluation
from bod_keras.evaluation.part_energy import part_energy
from bod_keras.evaluation.pictures.confusion_plot import plot_confusion
from bod_keras.evaluation.pictures.contact_sheet import contact_sheet
from bod_keras.evaluation.pictures.factor_table_plot import plot_factor_table
from bod_keras.evaluation.pictures.moving_sheet import moving_sheet
from bod_keras.evaluation.pictures.plots import (
    plot_factors,
    plot_history,
    plot_monitors,
    plot_online,
    plot_spectrum,
)
from bod_keras.evaluation.probes.classification import classification_scores, write_classification
from bod_keras.evaluation.probes.dci import dci
from bod_keras.evaluation.probes.factors import factor_probes
from bod_keras.evaluation.probes.knn import knn_accuracy, knn_scores
from bod_keras.evaluation.probes.linear_probe import linear_probe, linear_scores
from bod_keras.evaluation.probes.low_shot import low_shot
from bod_keras.evaluation.probes.mlp_probe import mlp_probe
from bod_keras.evaluation.probes.neighbors import nearest_neighbors
from bod_keras.evaluation.probes.retrieval import retrieval_recalls
from bod_keras.evaluation.probes.swap_retrieval import swap_retrieval
from bod_keras.evaluation.provenance import file_list_hash, model_hash, provenance
from bod_keras.evaluation.report import environment, read_report, write_report
from bod_keras.evaluation.sensitivity import sensitivity, shuffle_frames
from bod_keras.evaluation.spectrum import chosen_eigenvalues, operator_eigenvalues
from bod_keras.evaluation.tables import format_table, summarize
from bod_keras.evaluation.training_features import TrainingFeatures
from bod_keras.training.embedding_statistics import embedding_statistics

__all__ = [
    "OnlineEvaluation",
    "TrainingFeatures",
    "classification_scores",
    "compare_runs",
    "chosen_eigenvalues",
    "contact_sheet",
    "embedding_statistics",
    "dci",
    "dimension_shares",
    "environment",
    "factor_probes",
    "factor_table",
    "file_list_hash",
    "format_table",
    "knn_accuracy",
    "knn_scores",
    "linear_probe",
    "linear_scores",
    "low_shot",
    "mlp_probe",
    "model_hash",
    "nearest_neighbors",
    "moving_sheet",
    "operator_eigenvalues",
    "part_energy",
    "plot_confusion",
    "plot_factor_table",
    "plot_factors",
    "plot_history",
    "plot_monitors",
    "plot_online",
    "plot_spectrum",
    "provenance",
    "read_reports",
    "retrieval_recalls",
    "sensitivity",
    "shuffle_frames",
    "summarize",
    "swap_retrieval",
    "write_classification",
    "read_report",
    "write_report",
]
