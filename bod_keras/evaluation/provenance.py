"""Where a number comes from: protocol, videos, model, software, machine."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from bod_keras.data.record import Record
from bod_keras.errors import UserError
from bod_keras.evaluation.report import environment


def provenance(protocol: Mapping, subject: Any, seconds: float) -> dict:
    """Return what a report must say of a number, so that it can be compared with another.

    Args:
        protocol: the protocol's settings with `name` and `version`; under `modified` those that were
            changed, from key to `[what the file says, what it is now]`.
        subject: what was evaluated, a `protocols.Subject`. A split may be None.
        seconds: how long it took.

    Returns:
        A dict of plain values: `protocol`, with all settings as they were used; `data`: the source, and of
        both splits the list that was given, the number of videos, their `file_list_hash` and the clips that
        were cut; `model`: `model_hash` and number of parameters; `seed`, `seconds`, and the `environment()`.

    Raises:
        UserError: the protocol has no name or no version.

    Example:
        >>> from types import SimpleNamespace
        >>> import keras
        >>> from bod_keras.evaluation import provenance
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> subject = SimpleNamespace(model=model, config={}, train=None, test=None, seed=0)
        >>> found = provenance({"name": "linear", "version": 1}, subject, seconds=2.5)
        >>> found["protocol"]["name"], found["model"]["parameters"], found["seconds"]
        ('linear', 3, 2.5)
    """
    settings = protocol.to_dict() if hasattr(protocol, "to_dict") else dict(protocol)
    absent = [name for name in ("name", "version") if name not in settings]
    if absent:
        raise UserError(
            f"a protocol must have a name and a version. Received: {sorted(settings)} without "
            f"{' and '.join(absent)}. Give it both: a number without them cannot be compared."
        )
    data, lists = subject.config.get("data", {}), subject.config.get("probe", {})
    return {
        "protocol": {
            "name": settings.pop("name"),
            "version": settings.pop("version"),
            "modified": settings.pop("modified", {}),
            "settings": settings,
        },
        "data": {
            "source": data.get("dataset") or data.get("source"),
            "fold": data.get("fold") if data.get("dataset") else None,
            "train": _split(subject.train, lists.get("train")),
            "test": _split(subject.test, lists.get("test")),
        },
        "model": {"sha256": model_hash(subject.model), "parameters": subject.model.count_params()},
        "seed": subject.seed,
        "seconds": seconds,
        "environment": environment(),
    }


def content_hash(value: object) -> str:
    """Return the SHA-256 of a value that JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def file_list_hash(records: Sequence[Record]) -> str:
    """Return the SHA-256 of a list of videos and labels, 64 hexadecimal digits.

    Paths count without the folders that all have in common, and their order does not count. So copies of a
    data set on two machines have one hash, and a missing video, another label or another fold changes it.
    What is inside of the files is not read.

    Raises:
        UserError: there is no record.

    Example:
        >>> from bod_keras.data import Record
        >>> from bod_keras.evaluation import file_list_hash
        >>> here = file_list_hash([Record("/data/run/a.avi", label=0), Record("/data/jump/b.avi", label=1)])
        >>> here == file_list_hash([Record("jump/b.avi", label=1), Record("run/a.avi", label=0)])
        True
    """
    if not records:
        raise UserError("records must hold at least one video. Received: an empty list.")
    paths = [record.path.replace("\\", "/").split("/") for record in records]
    shared = len(os.path.commonprefix([path[:-1] for path in paths]))
    lines = [
        json.dumps([path[shared:], r.label, r.labels, r.span, sorted(r.factors.items())])
        for path, r in zip(paths, records)
    ]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def model_hash(model: keras.Model) -> str:
    """Return the SHA-256 of a model: its config and the values of all its variables, 64 hexadecimal digits.

    Names of variables do not count, and neither does an optimizer's state. A model whose class has no
    config is known by its variables alone. The hash is the same on every backend.

    Raises:
        UserError: the model has no variables, or is not built.

    Example:
        >>> import keras, numpy as np
        >>> from bod_keras.evaluation import model_hash
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> before = model_hash(model)
        >>> model.set_weights([np.ones((2, 1)), np.ones(1)])
        >>> model_hash(model) == before
        False
    """
    if not model.weights:
        raise UserError(
            f"model must have variables. Received: {model.name!r} with none. Build it first, by a call."
        )
    digest = hashlib.sha256()
    try:
        config = keras.saving.serialize_keras_object(model)
        config.pop("compile_config", None)
    except NotImplementedError:  # what Keras raises of a class without get_config
        config = None
    digest.update(json.dumps(config, sort_keys=True).encode())
    for variable in model.weights:
        values = np.ascontiguousarray(keras.ops.convert_to_numpy(variable))
        digest.update(f"{variable.dtype} {values.shape}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()


def _split(split, source: str | None) -> dict | None:
    """Return what identifies one split of the videos."""
    if split is None:
        return None
    clips = {name: getattr(split.data.clips, name) for name in ("frames", "stride", "size")}
    return {
        "list": source or None,
        "videos": len(split.records),
        "files_sha256": file_list_hash(split.records),
        "clips": clips,
    }
