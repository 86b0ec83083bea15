"""What a model's static and dynamic part are like, as one page: no labels, no probes."""

from __future__ import annotations

import collections
from typing import Any

import numpy as np
from keras import ops
from ml_collections import ConfigDict

from bod_keras.decoupling import USUAL_THRESHOLD
from bod_keras.errors import UserError
from bod_keras.evaluation.dimension_shares import all_shares
from bod_keras.evaluation.part_energy import part_energy
from bod_keras.evaluation.pictures.diagnose_page import diagnose_page
from bod_keras.evaluation.pictures.diagnose_plots import (
    plot_distances,
    plot_energy,
    plot_sensitivity,
)
from bod_keras.evaluation.pictures.plots import plot_spectrum
from bod_keras.evaluation.protocols._kinds import kind
from bod_keras.evaluation.protocols.subject import Subject
from bod_keras.evaluation.read_out import ReadOut
from bod_keras.evaluation.sensitivity import sensitivity, shuffle_frames
from bod_keras.evaluation.spectrum import eigenvalues_of, named_embeddings
from bod_keras.evaluation.stage_means import StageMeans
from bod_keras.evaluation.verdicts import sensitivity_verdicts
from bod_keras.progress_bar import progress_bar
from bod_keras.storage.atomic_file import atomic_file
from bod_keras.training.embedding_statistics import embedding_statistics
from bod_keras.training.predict_filled_up import predict_filled_up
from bod_keras.views.appearance_swap import AppearanceSwap
from bod_keras.views.background_swap import BackgroundSwap

_AT_ONCE = 16  # videos
_OF_SHARES = ("original", "shuffled", "appearance")
_UNTRAINED = (
    "This is a plain run: it has no static and no dynamic part of its own. The parts here are those of an "
    "untrained split of its embeddings with default settings, for comparison with a decoupled run."
)


@kind("diagnose", columns=("sensitivity", "energy"))
def run_diagnose(subject: Subject, protocol: ConfigDict) -> dict[str, Any]:
    """Measure spectrum, energy, embeddings and sensitivity of a framework, and write diagnose.html.

    Args:
        subject: a `Subject`; its `test` videos are used, their labels are not.
        protocol: with `most_videos` (as many are drawn), `swap_threshold` (of `BackgroundSwap`), `changed` and
            `unchanged` (`sensitivity_verdicts`).

    Returns:
        `"sensitivity"` (from a change to part to `sensitivity`), `"shares"` (from a stage of the encoder or a
        part to `dimension_shares`), `"replaced"` (share of the pixels that another
        background replaced), `"energy"` (means of `part_energy`), `"embeddings"` (from part to
        `embedding_statistics`), `"eigenvalues"`, `"threshold"`, `"used"` (the videos), `"verdicts"`,
        `"warnings"` and `"files"`.
    """
    model = subject.model
    if not hasattr(model, "reading_split"):
        raise UserError(
            f"{protocol.name} reads the parts of a framework (bod_keras.VSimCLR, ...). Received: the encoder "
            f"{model.name!r}. Give the run's folder with its model.keras."
        )
    parts, clips = _measure(subject, protocol)
    shares = all_shares({name: clips["stages"].pop(name, {}) | parts[name] for name in _OF_SHARES})
    original = parts["original"]
    moved = {
        change: {part: sensitivity(original[part], parts[change][part]) for part in original}
        for change in ("shuffled", "background")
    }
    replaced = float(np.mean(clips["replaced"]))
    split = model.reading_split()
    threshold = split.threshold or USUAL_THRESHOLD
    result = {
        "sensitivity": moved,
        "shares": shares,
        "replaced": replaced,
        "energy": {name: float(np.mean(clips[name])) for name in ("static", "dynamic", "overlap")},
        "embeddings": {
            part: embedding_statistics([original[part], parts["second clip"][part]])
            for part in original
        },
        "eigenvalues": {
            name: _spectrum(values, threshold) for name, values in clips["eigenvalues"].items()
        },
        "threshold": threshold,
        "used": len(clips["replaced"]),
        "verdicts": sensitivity_verdicts(moved, replaced, protocol.changed, protocol.unchanged),
        "warnings": [] if model.decoupling is not None else [_UNTRAINED],
    }
    pictures = draw_pictures(result, clips, protocol, subject.folder)
    page = diagnose_page(result, pictures, subject.config.get("name", model.name), split)
    with atomic_file(subject.folder / "diagnose.html") as part:
        part.write_text(page, encoding="utf-8")
    return {**result, "files": ["diagnose.html", *[p.name for p in pictures.values()]]}


def _measure(subject, protocol) -> tuple[dict, dict]:
    """The parts of every video's clip as it is and changed, (N, K) each; and what is measured of clips."""
    split, model, seed = subject.test, subject.model, subject.seed
    order = np.random.default_rng(seed).permutation(len(split.records))
    rows = np.sort(order[: protocol.most_videos])
    data = split.clips(rows, batch_size=min(_AT_ONCE, len(rows)))
    read_out, swap = ReadOut(model), BackgroundSwap(protocol.swap_threshold)
    recolor, stages = AppearanceSwap(protocol.swap_threshold, seed), StageMeans(model.encoder)
    rng = np.random.default_rng(seed)
    layer = model.reading_split()
    parts: dict = collections.defaultdict(lambda: collections.defaultdict(list))
    clips: dict = collections.defaultdict(list)
    seen_stages: dict = collections.defaultdict(lambda: collections.defaultdict(list))
    spectra: dict = collections.defaultdict(list)
    chosen: dict = collections.defaultdict(list)
    partner = None  # a clip of another video, whose background the last one of a batch gets
    with progress_bar(len(rows), f"{len(rows)} videos") as bar, data.clear_errors():
        for batch in data.evaluation_numpy(views=2):
            first, second = batch["views"][:, 0], batch["views"][:, 1]
            partner = first[:1] if partner is None else partner
            both = np.concatenate([first, partner])
            swapped = ops.convert_to_numpy(swap(both))[: len(first)]
            recolored = ops.convert_to_numpy(recolor(both, training=True))[: len(first)]
            changed = {
                "original": first,
                "second clip": second,
                "shuffled": shuffle_frames(first, rng),
                "background": swapped,
                "appearance": recolored,
            }
            for name, some in changed.items():
                found = predict_filled_up(read_out, some, data.batch_size)
                for part in read_out.order:
                    parts[name][part].append(found[part])
            for name in _OF_SHARES:
                for stage, values in stages(changed[name]).items():
                    seen_stages[name][stage].append(values)
            clips["replaced"].append((swapped != first).any(axis=-1).mean(axis=(1, 2, 3)))
            embeddings = named_embeddings(model, model(first, training=False))
            energies = [part_energy(layer, part) for part in embeddings.values()]
            clips["static"].append(energies[0]["static"])
            clips["dynamic"].append(energies[-1]["dynamic"])
            clips["overlap"].append(np.mean([energy["overlap"] for energy in energies], axis=0))
            for name, part in embeddings.items():
                values, static = eigenvalues_of(layer, part)
                spectra[name].append(values)
                chosen[name].append(static)
            bar.update(len(first))
    seen = sum(map(len, clips["replaced"]))
    if seen < 2:
        raise UserError(
            f"{protocol.name} compares different videos and needs at least 2 that can be read. Received: "
            f"{seen} of {len(rows)}."
        )
    clips = {**_joined(clips), "eigenvalues": _joined(spectra), "chosen": _joined(chosen)}
    clips["rule"] = layer.threshold
    clips["stages"] = {name: _joined(of) for name, of in seen_stages.items()}
    return {name: _joined(of) for name, of in parts.items()}, clips


def _joined(lists: dict[str, list[np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate(arrays) for name, arrays in lists.items()}


def _spectrum(eigenvalues: np.ndarray, threshold: float) -> dict:
    """What the pictures show, in numbers."""
    distance = np.abs(eigenvalues - 1)
    return {
        "number": len(eigenvalues),
        "within_threshold": float(np.mean(distance <= threshold)),
        "median_distance": float(np.median(distance)),
        "largest": float(np.abs(eigenvalues).max()),
    }


def draw_pictures(result: dict, clips: dict, protocol, folder) -> dict:
    """Every picture, by the name of its section."""
    names = ("spectrum", "distances", "energy", "sensitivity")
    pictures = {name: folder / f"{name}.png" for name in names}
    plot_spectrum(clips["eigenvalues"], clips["rule"], pictures["spectrum"], clips["chosen"])
    plot_distances(clips["eigenvalues"], result["threshold"], pictures["distances"])
    plot_energy({part: clips[part] for part in ("static", "dynamic")}, pictures["energy"])
    levels = protocol.unchanged, protocol.changed
    plot_sensitivity(result["sensitivity"], levels, pictures["sensitivity"])
    return pictures
