"""From which part of a read-out which label or factor of the videos can be predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from bod_keras.errors import UserError
from bod_keras.evaluation.factor_table import factor_table
from bod_keras.evaluation.pictures.factor_table_plot import plot_factor_table
from bod_keras.evaluation.probes.factors import factor_probes
from bod_keras.evaluation.protocols._kinds import kind
from bod_keras.evaluation.protocols.classify import labeled_splits
from bod_keras.evaluation.protocols.subject import Subject


@kind("factors", by_part=True, as_in_the_run=True)
def run_factors(subject: Subject, protocol: ConfigDict) -> dict[str, Any]:
    """Probe every label column from every part (`factor_probes`), and tabulate static and dynamic factors.

    If the columns have factors of both kinds (`static_factors` and `dynamic_factors` of the protocol) and the
    features both parts, `tabulate` adds a table.
    """
    train, test = (split[:2] for split in labeled_splits(subject, protocol))
    kinds = {kind: factors_of(protocol, kind, train[1]) for kind in ("static", "dynamic")}
    found = factor_probes(train, test, subject.seed, protocol.measures)
    result = {"factors": found}
    if all(kinds.values()) and {"static", "dynamic"} <= set(train[0]):
        result |= tabulate(found, kinds, protocol.measures, subject.folder)
    return result


def tabulate(
    found: Mapping[str, Any],
    kinds: Mapping[str, Sequence[str]],
    measures: Sequence[str],
    folder: Path,
) -> dict:
    """Return the table of `factor_table` of the probes but k-NN, in words, and draw it as factor_table.png.

    `kinds` maps "static" and "dynamic" to the factors of that kind.
    """
    shown = [measure for measure in measures if measure != "knn"] or list(measures)
    table, sentences = factor_table(found, kinds["static"], kinds["dynamic"], shown)
    own = {factor: kind for kind, factors in kinds.items() for factor in factors}
    plot_factor_table(table, own, folder / "factor_table.png")
    return {"table": table, "verdicts": sentences, "files": ["factor_table.png"]}


def factors_of(protocol: ConfigDict, kind: str, labels: Mapping[str, Any]) -> list[str]:
    """Return those of the protocol's "static" or "dynamic" factors that the videos have."""
    key = f"{kind}_factors"
    absent = [name for name in protocol[key] if name not in labels]
    if absent and key in protocol.modified:
        raise UserError(
            f"--set={key} names {', '.join(absent)}; the columns of these videos are {', '.join(labels)}"
            + (
                " (label: whatever a list calls it, such as class or action)."
                if "label" in labels
                else "."
            )
        )
    return [name for name in protocol[key] if name in labels]
