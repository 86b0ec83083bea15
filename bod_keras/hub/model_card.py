"""The card of a model: what it was trained on and how, what was measured, and how to load it."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from typing import Any

from bod_keras.evaluation.tables import CIRCUMSTANCES, numbers_of
from bod_keras.flatten import flatten

_RECIPE = ("epochs", "seed", "precision", "decoupled", "framework.", "encoder.", "clips.", "head.")
_RECIPE += ("optimizer.", "decoupling.")
_NOT_RECIPE = ("clips.workers", "clips.timeout", "clips.cache_mb", "clips.service", "clips.shard")
_BACKENDS = ("tensorflow", "jax", "torch")


def model_card(report: Mapping[str, Any], repository: str, license: str | None = None) -> str:
    """Return the card of a run as Markdown, with the head that the hub reads.

    Args:
        report: of the run, as `public_report` gives it.
        repository: ``owner/name``.
        license: identifier of the hub for the weights, such as ``"apache-2.0"``; None: none was given.

    Example:
        >>> from bod_keras.hub import model_card
        >>> card = model_card({"config": {"name": "cats", "epochs": 3}}, "ann/cats")
        >>> card.split("---")[2].strip().splitlines()[0]
        '# cats'
    """
    config = report.get("config") or {}
    head = {
        "library_name": "keras",
        "tags": ["bod-keras", "video", "self-supervised-learning", "feature-extraction"],
        **({"license": license} if license else {}),
    }
    lines = ["---", *(f"{key}: {json.dumps(value)}" for key, value in head.items()), "---", ""]
    kind = "decoupled into a static and a dynamic part" if config.get("decoupled") else "plain"
    framework = (config.get("framework") or {}).get("name", "a framework")
    lines += [
        f"# {_text(config.get('name', repository))}",
        "",
        "A video encoder, pre-trained without labels by bod_keras "
        f"({_text(framework)}, {kind}): clips to features of what is shown and of how it moves.",
        "",
        "## Load it",
        "",
        *_loading(repository),
        *_section("Data", _data(report)),
        *_section("Recipe", _recipe(config)),
        *_numbers(report),
        *_section("Provenance", _provenance(report)),
        "## License",
        "",
        f"Of the weights: {_text(license)}." if license else "None was given for the weights.",
        "",
    ]
    return "\n".join(lines)


def _loading(repository):
    frames = "clips: float (N, T, H, W, 3) in [0, 1]"
    lines = []
    for backend in _BACKENDS:
        lines += [
            "```python",
            f'import os; os.environ["KERAS_BACKEND"] = "{backend}"',
            f'import bod_keras; model = bod_keras.load("hf://{repository}")',
            f'parts = model.embed(clips)  # {{"pooled", "static", "dynamic"}}; {frames}',
            "```",
            "",
        ]
    return ["`pip install 'bod-keras[hub]'` and a backend.", "", *lines]


def _data(report):
    config, training = report.get("config") or {}, report.get("training") or {}
    data, videos = config.get("data") or {}, report.get("videos") or {}
    return {
        "source": data.get("dataset") or data.get("source"),
        "split": data.get("split"),
        "videos": videos.get("count") or training.get("videos"),
        "SHA-256 of their names": videos.get("sha256"),
        "steps taken": training.get("steps"),
    }


def _recipe(config):
    return {
        key: value
        for key, value in flatten(config).items()
        if any(key == name or (name.endswith(".") and key.startswith(name)) for name in _RECIPE)
        and key not in _NOT_RECIPE
    }


def _numbers(report):
    lines = ["## Numbers", ""]
    rows = []
    for section, content in sorted(report.items()):
        if not section.startswith("evaluation_") or not isinstance(content, Mapping):
            continue
        protocol = f"{section.removeprefix('evaluation_')} (version {content.get('version')})"
        data = (content.get("provenance") or {}).get("data") or {}
        test = ((data.get("test") or {}).get("files_sha256") or "")[:8]
        for name, number in numbers_of(content, CIRCUMSTANCES).items():
            rows.append(f"| {_text(protocol)} | {_text(name)} | {number:.4g} | {test} |")
    if not rows:
        return [*lines, "Nothing has been measured.", ""]
    head = ["| protocol | what | value | test list |", "|---|---|---|---|"]
    told = "Numbers of one protocol and version, on one test list, may be compared with each other."
    return [*lines, *head, *rows, "", told, ""]


def _provenance(report):
    environment, config = report.get("environment") or {}, report.get("config") or {}
    kept = ("bod_keras", "keras", "backend", "backend_version", "python", "time_utc")
    git = environment.get("git") or {}
    begun = (report.get("init_from") or {}).get("run")
    return {
        **{key: environment.get(key) for key in kept},
        "git revision": git.get("revision"),
        "uncommitted changes": git.get("dirty"),
        "began with the weights of": begun or (config.get("encoder") or {}).get("weights"),
    }


def _section(title, table):
    rows = [
        f"| {_text(key)} | {_text(value)} |" for key, value in table.items() if value is not None
    ]
    return [f"## {title}", "", "| | |", "|---|---|", *rows, ""]


def _text(value: object) -> str:
    """Text that is shown as it is: no markup, one line, no cell of its own."""
    text = html.escape(" ".join(str(value).split()), quote=False)
    return "".join(f"\\{c}" if c in "|`*_[]\\" else c for c in text)
