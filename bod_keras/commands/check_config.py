"""Values of a config that make no sense, refused by the name of their key before anything is read."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from numbers import Real
from typing import Any

from bod_keras.data.loading.clip_spec import with_settings
from bod_keras.errors import UserError
from bod_keras.flatten import flatten

# The least value of a key; of the second group the value must be more than this.
_AT_LEAST = {
    **dict.fromkeys(("clips.frames", "clips.views"), 2),
    **dict.fromkeys(("epochs", "clips.stride", "clips.size", "clips.device_size"), 1),
    **dict.fromkeys(("clips.batch_size", "data.fold", "probe.views", "probe.crops"), 1),
    **{f"built_in.{k}": 1 for k in ("train", "probe_train", "probe_test", "size", "frames")},
    **{f"head.{k}": 1 for k in ("hidden", "width", "depth")},
    **{f"optimizer.{k}": 1 for k in ("accumulate", "chunks", "reference_batch")},
    **dict.fromkeys(("monitors.videos", "checkpoint.every", "checkpoint.keep"), 1),
    **dict.fromkeys(("feature_cache.copies", "data.channels"), 0),
    **dict.fromkeys(("seed", "clips.cache_mb", "clips.workers", "monitors.every"), 0),
    **{"evaluate.videos": 2, "evaluate.every": 0, "evaluate.patience": 0},
    **dict.fromkeys(("clips.flip", "clips.max_bad_share", "built_in.rho"), 0),
    **{f"optimizer.{k}": 0 for k in ("warmup_epochs", "weight_decay", "momentum")},
    **{f"optimizer.{k}": 0 for k in ("warmup_learning_rate", "final_learning_rate")},
    **{f"decoupling.{k}": 0 for k in ("ridge", "dynamic_weight", "base_weight")},
    "decoupling.bilevel.inner_steps": 1,
}
_MORE_THAN = {
    **dict.fromkeys(("clips.timeout", "optimizer.learning_rate", "optimizer.clipnorm"), 0),
    **dict.fromkeys(("evaluate.most", "feature_cache.gigabytes"), 0),
    **dict.fromkeys(("framework.temperature", "framework.epsilon"), 0),
    **{f"decoupling.{k}_temperature": 0 for k in ("static", "dynamic")},
    **{f"decoupling.{k}": 0 for k in ("threshold", "swap_threshold")},
}
_AT_MOST = {
    **dict.fromkeys(("clips.flip", "clips.max_bad_share", "built_in.rho", "evaluate.most"), 1),
    "optimizer.momentum": 1,
    "seed": 2**32 - 1,
    "data.channels": 2**20,
    **{"feature_cache.copies": 10**6, "feature_cache.gigabytes": 10**6},
    # Beyond these a number is a slip of the finger: it would end in a lack of memory, or never.
    **dict.fromkeys(("clips.workers", "clips.views", "probe.views", "built_in.size"), 1024),
    **dict.fromkeys(("clips.size", "clips.device_size"), 2**13),
    **dict.fromkeys(("clips.frames", "clips.stride", "built_in.frames"), 2**16),
    **{f"head.{k}": 2**16 for k in ("hidden", "width")},
    "head.depth": 128,
    **{f"optimizer.{k}": 2**16 for k in ("accumulate", "chunks")},
    **{f"built_in.{k}": 10**6 for k in ("train", "probe_train", "probe_test")},
    **dict.fromkeys(("epochs", "clips.batch_size", "clips.timeout", "monitors.videos"), 10**6),
    **dict.fromkeys(("evaluate.every", "evaluate.videos", "evaluate.patience"), 10**6),
    **{f"optimizer.{k}": 10**6 for k in ("warmup_epochs", "reference_batch")},
    **{f"optimizer.{k}": 1e8 for k in ("learning_rate", "warmup_learning_rate")},
    "optimizer.weight_decay": 1000,
    **{f"decoupling.{k}": 10**6 for k in ("ridge", "dynamic_weight", "base_weight")},
    **{f"decoupling.{k}_temperature": 10**6 for k in ("static", "dynamic")},
    **dict.fromkeys(("framework.temperature", "decoupling.threshold"), 10**6),
    "decoupling.swap_threshold": 1,
    "decoupling.bilevel.inner_learning_rate": 1e8,
    "data.fold": 100,
    "probe.crops": 3,
    "decoupling.bilevel.inner_steps": 1000,
    "clips.cache_mb": 2**24,
}


_LONGEST_NAME = 200  # bytes; systems take 255, and the seed and names of temporary files are added


def check_config(config: Mapping[str, Any]) -> None:
    """Raise a `UserError` that names the key of the first value without sense.

    What depends on more than one key, or on the videos, is checked where it is used.

    Example:
        >>> from bod_keras.commands.check_config import check_config
        >>> check_config({"name": "run", "output": "runs", "epochs": 100})
    """
    for key, value in flatten(config).items():
        if isinstance(value, str) and key in {*_AT_LEAST, *_MORE_THAN, *_AT_MOST}:
            raise UserError(f"config.{key} must be a number. Received: {value!r}")
        if not isinstance(value, Real) or isinstance(value, bool):
            continue
        wanted = None
        if not math.isfinite(value):
            wanted = "a finite number"
        elif key in _AT_LEAST and value < _AT_LEAST[key]:
            wanted = f"at least {_AT_LEAST[key]}"
        elif key in _MORE_THAN and value <= _MORE_THAN[key]:
            wanted = f"more than {_MORE_THAN[key]}"
        elif key in _AT_MOST and value > _AT_MOST[key]:
            wanted = f"at most {_AT_MOST[key]}"
        if wanted:
            raise UserError(f"config.{key} must be {wanted}. Received: {value}")
    clips = config.get("clips", {}).items()
    try:
        with_settings(None, None, {k: v for k, v in clips if k not in ("batch_size", "shard")})
    except UserError as error:
        raise UserError(f"config.clips.{error}") from None
    name = config["name"]
    if name in ("", ".", "..") or re.search(r"[/\\\x00-\x1f\x7f]", name):
        raise UserError(
            "config.name must be the name of a folder within config.output, without slashes. "
            f"Received: {name!r}"
        )
    for key in ("name", "output"):
        try:
            length = max(map(len, os.fsencode(config[key]).split(b"/")))
        except UnicodeEncodeError:
            raise UserError(f"config.{key} must be text. Received: {config[key]!a}") from None
        if length > _LONGEST_NAME:
            raise UserError(
                f"config.{key} must have names up to {_LONGEST_NAME} bytes, not {length}"
            )
    if not config["output"].strip() or "\0" in config["output"]:
        raise UserError(f"config.output must be a folder. Received: {config['output']!r}")
