"""A config turned into objects, for train.py and evaluate.py; nothing below this level sees a config."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from bod_keras import encoders
from bod_keras.data import (
    Catalog,
    ClipDataset,
    FeatureDataset,
    find_dataset,
    read_blocklist,
    read_catalog,
    read_dataset,
    read_features,
    read_source,
    without_blocked,
    write_digit_drift,
    write_moving_discs,
)
from bod_keras.decoupling import BiLevel, Decoupling
from bod_keras.encoders import ENCODERS
from bod_keras.errors import UserError, check_choice
from bod_keras.frameworks import FRAMEWORKS, ProjectionHead
from bod_keras.registry import Registry
from bod_keras.storage.hub import hub_path, is_hub
from bod_keras.storage.remote import is_folder, is_remote
from bod_keras.storage.remote_error import without_secrets
from bod_keras.training import LARS, Distribution, RunFolder, warmup_cosine
from bod_keras.weights import load_torch
from bod_keras.weights.take_encoder import take_encoder

OPTIMIZERS = {"adamw": keras.optimizers.AdamW, "sgd": keras.optimizers.SGD, "lars": LARS}


def run_folder(config: Mapping[str, Any], stores: bool = True) -> RunFolder:
    """Where a run leaves its files: ``<output>/<name>-seed<seed>``, which may be on remote storage."""
    where = f"{config['output'].rstrip('/')}/{config['name']}-seed{config['seed']}"
    return RunFolder(where, stores)


def training_catalog(config: Mapping[str, Any]) -> Catalog:
    """The `Catalog` of the videos to pre-train on."""
    data = config["data"]
    if data["dataset"]:
        catalog = _official(data, data["split"] or "train")
    elif data["source"] == "built-in":
        catalog = Catalog(read_catalog(_built_in(config), split="train"))
    elif data["source"]:
        catalog = _read(data)(data["source"], root=data["root"], split=data["split"])
    else:
        raise UserError(
            "No videos were named. Pass --config.data.source=PATH (a folder, a list file or a CSV file), or "
            "--config.data.dataset=NAME, or use configs/demo.py for the built-in data."
        )
    return _usable(config, catalog)


def training_data(
    config: Mapping[str, Any], catalog: Catalog, distribution: Distribution | None = None
) -> ClipDataset:
    """The `ClipDataset` of a catalog to pre-train on; of a `Distribution`, this process' part of it."""
    clips = dict(config["clips"])
    if distribution is not None and distribution.replicas > 1:
        if tuple(clips["shard"]) != (0, 1):
            raise UserError(
                "clips.shard is set by the distribution. Received: "
                f"clips.shard={tuple(clips['shard'])}, distribution={distribution.kind}. Leave one of them out."
            )
        clips["batch_size"] = distribution.local_batch(clips["batch_size"])
        clips["shard"] = distribution.shard
    if clips["flip"] is None and not catalog.flip_safe:
        clips["flip"] = 0.0  # a flip would change the label
    found = _clips(config, catalog, clips)
    if isinstance(found, FeatureDataset):
        found.check_windows()  # before the run has a folder
    return found


def probe_catalog(config: Mapping[str, Any], part: str) -> Catalog:
    """The `Catalog` of a probe's labeled videos; `part` is "train" or "test"."""
    source, data = config["probe"][part], config["data"]
    if source:
        catalog = _read(data)(source, root=data["root"])
    elif data["dataset"]:
        evaluation = find_dataset(data["dataset"]).evaluation
        catalog = _official(data, "train" if part == "train" else evaluation)
    elif data["source"] == "built-in":
        catalog = Catalog(read_catalog(_built_in(config), split=f"probe_{part}"))
    else:
        raise UserError(
            f"A probe needs labeled videos. Pass --probe_{part}=PATH (a folder per class, a list "
            '"path label", or a CSV file with a label or factor columns).'
        )
    return _usable(config, catalog)


def unlabeled_catalog(config: Mapping[str, Any]) -> Catalog:
    """The `Catalog` of videos for what needs no labels: the probe's of "test", or those of the training."""
    data = config["data"]
    if config["probe"]["test"] or data["dataset"] or data["source"] in ("", "built-in"):
        return probe_catalog(config, "test")
    return training_catalog(config)


def probe_data(config: Mapping[str, Any], catalog: Catalog) -> ClipDataset:
    """The `ClipDataset` of a probe's catalog."""
    clips = dict(config["clips"])
    clips["batch_size"] = min(clips["batch_size"], len(catalog.records))
    clips.pop("shard", None)  # of training
    return _clips(config, catalog, clips)


def _read(data):
    """What reads a source: of videos, or of files of features."""
    return read_features if data.get("channels") else read_source


def _clips(config, catalog, clips):
    """The `ClipDataset` or, of files of features, the `FeatureDataset` of a catalog."""
    channels = config["data"].get("channels")
    if not channels:
        return ClipDataset(catalog.records, seed=config["seed"], **clips)
    of_features = inspect.signature(FeatureDataset.__init__).parameters
    clips = {key: value for key, value in clips.items() if key in of_features}
    return FeatureDataset(catalog.records, channels, seed=config["seed"], **clips)


def _official(data, split):
    if data["source"]:
        raise UserError(
            f"data.source and data.dataset both say where the videos are. Received: {data['source']} and "
            f"{data['dataset']}. Leave one empty; the videos of a data set are in --config.data.root."
        )
    if not data["root"]:
        raise UserError(
            f"--config.data.root is missing: the folder of the videos of {data['dataset']}."
        )
    return read_dataset(data["dataset"], data["root"], data["annotations"], split, data["fold"])


def _usable(config, catalog):
    """The catalog without the blocklist's videos; says what is left out, and stops if too much is missing."""
    print(f"Videos: {catalog.summary()}.", flush=True)
    total, missing = len(catalog.records) + len(catalog.missing), catalog.missing
    if missing:
        some = ", ".join(map(without_secrets, missing[:5]))
        named = f"{len(missing)} of {total} annotated videos have no file: {some}"
        share = config["clips"]["max_bad_share"]
        if len(missing) > share * total:
            raise UserError(
                f"{named} ... (max_bad_share={share}). Complete them, or allow more with clips.max_bad_share."
            )
        print(f"{named}{' ...' if len(missing) > 5 else ''}")
    blocklist = config["data"]["blocklist"]
    if blocklist:
        source = config["data"]["source"] or "."
        is_dir = is_folder if is_remote(source) else os.path.isdir
        root = config["data"]["root"] or (source if is_dir(source) else os.path.dirname(source))
        catalog = without_blocked(catalog, read_blocklist(blocklist, root))
        print(f"Videos left out by {blocklist}: {len(catalog.blocked)}.")
    return catalog


def built_in_discs(config: Mapping[str, Any]) -> dict[str, Any]:
    """``config.data`` of the built-in moving discs, which are written once."""
    folder = _built_in_folder(config) / "moving-discs"
    place = str(write_moving_discs(folder))
    return {"dataset": "boxes", "root": place, "annotations": None, "source": "", "fold": 1}


def _built_in_folder(config):
    folder = config["built_in"]["folder"]
    if is_remote(folder):
        raise UserError(
            f"The built-in videos are written to a local folder. Received: built_in.folder={folder}"
        )
    return Path(folder)


def _built_in(config):
    settings = dict(config["built_in"])
    # One folder a variant, so that another rho never overwrites or reuses this one.
    names = sorted(settings.keys() - {"folder", "scene"})
    variant = "-".join(f"{k}{settings[k]}" for k in names)
    if (scene := settings.get("scene", "photos")) != "photos":
        variant += f"-{scene}"
    settings.pop("folder")
    folder = _built_in_folder(config) / variant
    return write_digit_drift(folder, seed=0, **settings)


def framework_settings(name: str) -> dict[str, Any]:
    """The arguments of a framework's class that it alone has, with their defaults; epochs instead of steps."""
    framework = FRAMEWORKS[name]
    settings = framework.own_arguments()
    for key, epochs in framework.in_epochs.items():
        del settings[key]
        if epochs is None:
            settings[f"anneal_{key.removesuffix('_steps')}"] = True  # over the whole run
        else:
            settings[key.replace("_steps", "_epochs")] = epochs
    return settings


def check_settings(config: Mapping[str, Any]) -> None:
    """Raise a `UserError` for what is wrong and can be told before a long list of videos is read.

    ``config.framework`` must have the settings of the framework that it names.
    """
    decoupling_of(config)
    build_optimizer(config, steps_per_epoch=1)
    name = config["framework"]["name"]
    settings = set(config["framework"]) - {"name"}
    FRAMEWORKS[name], ENCODERS[config["encoder"]["name"]]  # unknown ones are refused
    if ":" not in name and settings != framework_settings(name).keys():
        raise UserError(
            f"config.framework holds the settings of another framework than {name}: "
            f"{', '.join(sorted(settings)) or 'none'}. Choose the framework with the config instead, such as "
            f"--config=configs/videos.py:{name}, configs/demo.py:bod,{name}, or its recipe in configs/."
        )


def build_encoder(config: Mapping[str, Any]) -> keras.Model:
    """The encoder that a config describes, with its weights; no video is needed."""
    clips = config["clips"]
    build = ENCODERS[config["encoder"]["name"]]
    channels = config["data"].get("channels")
    of_a_frame = (channels,) if channels else (clips["size"], clips["size"], 3)
    encoder = build(
        input_shape=(clips["frames"], *of_a_frame),
        **config["encoder"]["arguments"],
    )
    if config["decoupled"] and config["repeat_edges"]:
        encoders.repeat_edges(encoder)
    if file := config["encoder"]["weights"]:
        if is_hub(file) and file.endswith(".safetensors"):
            report: object = load_torch(encoder, hub_path(file))
        elif is_hub(file):
            report = f"all {take_encoder(encoder, file)} weights"
        elif is_folder(file) if is_remote(file) else os.path.isdir(file) or file.endswith(".keras"):
            report = f"all {take_encoder(encoder, file)} weights"
        else:
            report = load_torch(encoder, file)
        print(f"Encoder weights: {without_secrets(file)}, {report}", flush=True)
    return encoder


def build_model(
    config: Mapping[str, Any],
    steps_per_epoch: int,
    augmenter: keras.layers.Layer | None = None,
    encoder: keras.Model | None = None,
) -> keras.Model:
    """The framework that a config describes, not compiled; with the layer that augments, if there is one."""
    settings = dict(config["framework"])
    if encoder is None:
        encoder = build_encoder(config)
    name = settings.pop("name")
    framework = FRAMEWORKS[name]
    # One of the user's own, "module:Class", has its own defaults.
    arguments = {}
    if ":" not in name:
        arguments = _in_steps(framework, settings, steps_per_epoch, config["epochs"])
    return framework(
        encoder,
        decoupling=decoupling_of(config),
        projection_head=ProjectionHead(**config["head"]),
        augmenter=augmenter,
        **arguments,
    )


def decoupling_of(config: Mapping[str, Any]) -> Decoupling | None:
    """The `Decoupling` of a config, or None of a plain one."""
    if not config["decoupled"]:
        return None
    settings = dict(config["decoupling"])
    bilevel = dict(settings["bilevel"])
    settings["bilevel"] = BiLevel(**bilevel) if bilevel["inner_steps"] else None
    for view in ("motion_view", "static_view"):
        settings[view] = settings[view] or None
    return Decoupling(**settings)


def _in_steps(framework, settings, steps_per_epoch, epochs):
    """The framework's arguments: what the config counts in epochs, in steps."""
    for name, usual in framework.in_epochs.items():
        if usual is None:
            anneal = settings.pop(f"anneal_{name.removesuffix('_steps')}")
            settings[name] = epochs * steps_per_epoch if anneal else None
        else:
            settings[name] = round(
                settings.pop(name.replace("_steps", "_epochs")) * steps_per_epoch
            )
    return settings


def own_callbacks(config: Mapping[str, Any]) -> list[keras.callbacks.Callback]:
    """The user's Keras callbacks of a config, ``"module:Class"`` each, made without arguments."""
    found = []
    for address in config.get("callbacks", ()):
        if ":" not in str(address):
            raise UserError(
                f"config.callbacks must name classes as module:Class. Received: {address!r}"
            )
        made = Registry("callback", "")[address]
        if not (isinstance(made, type) and issubclass(made, keras.callbacks.Callback)):
            raise UserError(
                f"config.callbacks must name subclasses of keras.callbacks.Callback. Received: {address}"
            )
        try:
            found.append(made())
        except TypeError as error:
            raise UserError(
                f"config.callbacks: {address} must be made without arguments; give them defaults. "
                f"Received: {error}"
            ) from error
    return found


def build_optimizer(config: Mapping[str, Any], steps_per_epoch: int) -> keras.optimizers.Optimizer:
    """The optimizer with its schedule: linear warm-up, then a cosine that ends with the run."""
    settings = config["optimizer"]
    check_choice("config.optimizer.name", settings["name"], OPTIMIZERS)
    optimizer = OPTIMIZERS[settings["name"]]
    accumulate, chunks = settings["accumulate"], settings["chunks"]
    if accumulate < 1:
        raise UserError(f"optimizer.accumulate must be at least 1. Received: {accumulate}")
    if chunks < 1 or config["clips"]["batch_size"] % chunks:
        raise UserError(
            "optimizer.chunks must divide clips.batch_size. "
            f"Received: chunks={chunks}, batch_size={config['clips']['batch_size']}"
        )
    momentum = {} if settings["name"] == "adamw" else {"momentum": settings["momentum"]}
    return optimizer(
        _learning_rate(config, steps_per_epoch),
        weight_decay=settings["weight_decay"],
        clipnorm=settings["clipnorm"],
        gradient_accumulation_steps=accumulate if accumulate > 1 else None,
        **momentum,
    )


def _learning_rate(config, steps_per_epoch):
    """The schedule; Keras reads it with the count of batches, also where several make one update."""
    settings = config["optimizer"]
    peak, final = settings["learning_rate"], settings["final_learning_rate"]
    reference = settings["reference_batch"]
    if reference is not None:
        if reference < 1:
            raise UserError(
                "optimizer.reference_batch must be the batch size that learning_rate was found for, at "
                f"least 1, or None. Received: {reference}"
            )
        peak *= config["clips"]["batch_size"] * settings["accumulate"] / reference
    warmup = round(settings["warmup_epochs"] * steps_per_epoch)
    first = settings["warmup_learning_rate"] if warmup else peak
    for key, value in (("final_learning_rate", final), ("warmup_learning_rate", first)):
        if not 0 <= value <= peak:
            raise UserError(
                f"optimizer.{key} must lie between 0 and the peak, {peak:g} (learning_rate, times batch size "
                f"x accumulate / reference_batch if that is set). Received: {value}"
            )
    return warmup_cosine(peak, config["epochs"] * steps_per_epoch, warmup, first, final)
