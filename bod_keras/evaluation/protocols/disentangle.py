"""How far the static and the dynamic part are apart: DCI, and retrieval with swapped motions."""

from __future__ import annotations

from typing import Any

import numpy as np
from ml_collections import ConfigDict

from bod_keras.errors import UserError
from bod_keras.evaluation.probes.dci import dci
from bod_keras.evaluation.probes.swap_retrieval import swap_retrieval
from bod_keras.evaluation.protocols._kinds import kind
from bod_keras.evaluation.protocols.factors import factors_of
from bod_keras.evaluation.protocols.subject import Subject


@kind(
    "disentangle", columns=("modularity", "compactness", "explicitness", "swap"), as_in_the_run=True
)
def run_disentangle(subject: Subject, protocol: ConfigDict) -> dict[str, Any]:
    """Score the test videos' parts by `dci` and `swap_retrieval`.

    Args:
        subject: a `Subject` whose test videos have static and dynamic factors.
        protocol: with `static_factors`, `dynamic_factors`, `trees` and `pairs`.

    Returns:
        ``{"modularity", "compactness", "explicitness", "swap"}``, and ``"swap_chance"``: the share by chance.
    """
    read_out = {"kind": protocol.read_out, "time_steps": protocol.time_steps}
    views = protocol.views, protocol.crops
    features, labels, _ = subject.labeled(subject.test, *views, **read_out)
    if not {"static", "dynamic"} <= set(features):
        raise UserError(
            f"The protocol {protocol.name} compares a static and a dynamic part. Received: "
            f"{', '.join(features)}. Evaluate a framework's model.keras, not an encoder."
        )
    chosen = {sort: factors_of(protocol, sort, labels) for sort in ("static", "dynamic")}
    if not all(chosen.values()):
        raise UserError(
            f"The protocol {protocol.name} needs a column of labels of either kind. The columns of these "
            f"videos are {', '.join(labels) or 'none'}: name them, as in "
            "--set=\"static_factors=('shape',)\" --set=\"dynamic_factors=('label',)\"."
        )
    parts = {name: features[name] for name in ("static", "dynamic")}
    factors = {name: labels[name] for names in chosen.values() for name in names}
    looks, motions = (_joint([labels[name] for name in names]) for names in chosen.values())
    found = swap_retrieval(*parts.values(), looks, motions, protocol.pairs, subject.seed)
    chance = np.mean(
        [np.mean((looks == x) & (motions == y)) for x in set(looks) for y in set(motions)]
    )
    return {
        **dci(parts, factors, protocol.trees, subject.seed),
        "swap": found,
        "swap_chance": float(chance),
    }


def _joint(columns):
    """One class for each combination of several columns."""
    return np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)[1].ravel()
