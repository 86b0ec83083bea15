"""One training run and its probes, in a process of its own: prints its result as the last line of JSON.

python -m benchmarks.cooccurrence.run_case '{"variant": "default", "regime": "static-easy", ...}' CACHE FILES
"""

import dataclasses
import json
import os
import sys
import time
from pathlib import Path

# One thread a run, and several runs side by side.
for _name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # noqa: E402
import numpy as np  # noqa: E402
from keras import layers, ops  # noqa: E402

from benchmarks.cooccurrence.lpc_sprites import ATTRIBUTES  # noqa: E402
from benchmarks.cooccurrence.scenes import (  # noqa: E402
    PROBE_VIDEOS,
    SPRITES,
    clip_shape,
    factors,
    load_scenes,
)
from benchmarks.cooccurrence.variants import build_model  # noqa: E402
from bod_keras.evaluation import linear_probe  # noqa: E402
from bod_keras.evaluation.probes.classification import chance  # noqa: E402
from bod_keras.evaluation.probes.dci import dci  # noqa: E402
from bod_keras.evaluation.probes.swap_retrieval import swap_retrieval  # noqa: E402
from bod_keras.training import Monitors  # noqa: E402

LEARNING_RATE = 2e-3
_PROBE_BATCH = 80


@dataclasses.dataclass(frozen=True)
class Case:
    """One run of the study; equal cases are run once.

    Attributes:
        variant: a key of `VARIANTS`; "supervised", the ceiling; or "untrained", the default before training.
        regime, rho, seed: of the data; the seed of the weights and batches, too.
        encoder: a key of `ENCODERS`.
        framework: a key of `FRAMEWORKS`.
        steps: of training.
        batch: videos a step, two clips each.
        curve: measure probes and gradients every this many steps; 0: only the probes, at the end.
        probe_videos: labeled videos that a probe is fitted to, and as many on which it is tested.
    """

    variant: str
    regime: str
    encoder: str = "per-frame"
    framework: str = "VSimCLR"
    rho: float = 0.95
    seed: int = 0
    steps: int = 800
    batch: int = 64
    curve: int = 0
    probe_videos: int = PROBE_VIDEOS


def run(case, cache, files):
    """Train and probe one case; a dict of plain numbers."""
    # The ceiling learns from videos in which the factors are independent: labels that co-occur mislead it, too.
    rho = 0.0 if case.variant == "supervised" else case.rho
    scenes = load_scenes(
        case.regime, rho, case.seed, cache, probe_videos=case.probe_videos, files=files
    )
    keras.utils.set_random_seed(case.seed)
    train = _supervised if case.variant == "supervised" else _contrastive
    return {"case": dataclasses.asdict(case), **train(case, scenes)}


def _contrastive(case, scenes):
    untrained = case.variant == "untrained"
    variant = "default" if untrained else case.variant
    model = build_model(variant, case.framework, case.encoder, case.steps, clip_shape(case.regime))
    if untrained:
        return _probes(model, scenes, case.regime)
    model.compile(_optimizer(case.steps))
    monitors, curve = None, []
    if case.curve:
        first = np.arange(case.batch)
        monitors = Monitors(_views(scenes, first, np.zeros_like(first)), floor=0)
        monitors.set_model(model)
        monitors.on_train_begin()
    seconds = []
    for step, views in enumerate(_batches(scenes, case)):
        if case.curve and step % case.curve == 0:
            curve.append({"step": step, **_measure(monitors, model, scenes, case.regime)})
        start = time.perf_counter()
        logs = model.train_on_batch(views, return_dict=True)
        seconds.append(time.perf_counter() - start)
    if case.curve:
        curve.append({"step": case.steps, **_measure(monitors, model, scenes, case.regime)})
    return {
        **_probes(model, scenes, case.regime),
        "logs": {name: float(value) for name, value in logs.items()},
        "seconds_per_step": float(np.median(seconds)),
        **({"curve": curve} if curve else {}),
    }


def _supervised(case, scenes):
    """The same networks with labels: a linear classifier a factor, of pooled features or the dynamic part."""
    model = build_model(
        "default", case.framework, case.encoder, case.steps, clip_shape(case.regime)
    )
    clips = keras.Input(model.encoder.input_shape[1:])
    features = model.encoder(clips)
    motion = layers.BatchNormalization()(
        model.split(model.part_embeddings(model.projection_head(features))[-1])[1]
    )
    parts = {"static": ops.mean(features, axis=1), "dynamic": motion}
    outputs = {
        name: layers.Dense(count)(layers.Dropout(0.3)(parts[part]))
        for name, (part, count) in factors(case.regime).items()
    }
    model = keras.Model(clips, outputs)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(_optimizer(case.steps), loss={name: loss for name in outputs})
    for videos, views in zip(training_videos(scenes, case), _batches(scenes, case)):
        clips = np.concatenate([views[:, 0], views[:, 1]])
        labels = {name: np.tile(scenes[f"train_{name}"][videos], 2) for name in outputs}
        model.train_on_batch(clips, labels)
    test = scenes["probe_test"][0].astype("float32") / 255
    predicted = model.predict(test, batch_size=_PROBE_BATCH, verbose=0)
    accuracies = {}
    for name in outputs:
        right = predicted[name].argmax(axis=1) == scenes[f"probe_test_{name}"]
        accuracies[name] = {"supervised": float(right.mean())}
    return _by_part(accuracies, scenes, case.regime)


def _optimizer(steps):
    schedule = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)
    return keras.optimizers.AdamW(schedule, weight_decay=1e-4)


def training_videos(scenes, case):
    """Indices (`case.batch`,) of the videos of every step, by epochs."""
    rng, waiting = np.random.default_rng([case.seed, 1]), []
    for _ in range(case.steps):
        if len(waiting) < case.batch:
            waiting = list(rng.permutation(scenes["train"].shape[1]))
        yield np.array([waiting.pop() for _ in range(case.batch)])


def _batches(scenes, case):
    rng = np.random.default_rng([case.seed, 2])
    pairs = len(scenes["train"]) // 2
    for videos in training_videos(scenes, case):
        yield _views(scenes, videos, rng.integers(pairs, size=case.batch))


def _views(scenes, videos, pair):
    clips = [scenes["train"][2 * pair + view, videos] for view in (0, 1)]
    return np.stack(clips, axis=1).astype("float32") / 255


def _measure(monitors, model, scenes, regime):
    logs = {}
    monitors.on_epoch_end(0, logs)
    logs = {name: float(value) for name, value in logs.items()}
    return {**_probes(model, scenes, regime), "monitors": logs}


def _probes(model, scenes, regime):
    """Accuracy of a linear probe for each factor and part, on videos in which the factors are independent."""
    features = {
        name: model.embed(scenes[name][0], _PROBE_BATCH) for name in ("probe_train", "probe_test")
    }
    accuracies = {
        factor: {
            part: linear_probe(
                features["probe_train"][part],
                scenes[f"probe_train_{factor}"],
                features["probe_test"][part],
                scenes[f"probe_test_{factor}"],
            )
            for part in features["probe_train"]
        }
        for factor in factors(regime)
    }
    result = _by_part(accuracies, scenes, regime)
    if regime == SPRITES:
        looks = np.stack([scenes[f"probe_test_{name}"] for name in ATTRIBUTES], axis=1)
        looks = np.unique(looks, axis=0, return_inverse=True)[1].ravel()
        parts = {part: features["probe_test"][part] for part in ("static", "dynamic")}
        result["swap"] = swap_retrieval(*parts.values(), looks, scenes["probe_test_action"])
        labels = {name: scenes[f"probe_test_{name}"] for name in factors(regime)}
        result["dci"] = dci(parts, labels)
    return result


def _by_part(accuracies, scenes, regime):
    """The factors' accuracies, their means over the factors of each part, and the chance of these means."""
    members = {}
    for factor, (part, _) in factors(regime).items():
        level = {"chance": chance(scenes[f"probe_test_{factor}"])}
        members.setdefault(part, []).append({**accuracies[factor], **level})
    probes = {
        part: {key: float(np.mean([member[key] for member in group])) for key in group[0]}
        for part, group in members.items()
    }
    levels = {part: means.pop("chance") for part, means in probes.items()}
    return {"probes": probes, "chance": levels, "factors": accuracies}


if __name__ == "__main__":
    case, cache, files = sys.argv[1:]
    print(json.dumps(run(Case(**json.loads(case)), Path(cache), Path(files))))
