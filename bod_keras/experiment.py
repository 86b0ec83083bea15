"""A config turned into objects, for train.py and evaluate.py; nothing below this level sees a config."""

import difflib
from pathlib import Path

import keras

from bod_keras import encoders
from bod_keras.data import ClipDataset, read_catalog, write_digit_drift
from bod_keras.frameworks import (
    VBYOL,
    ProjectionHead,
    VBarlowTwins,
    VMoCo,
    VSimCLR,
    VSimSiam,
    VSwAV,
    VVICReg,
)
from bod_keras.koopman import KoopmanSplit
from bod_keras.training import LARS, BiLevel

ENCODERS = {
    "frame_cnn": encoders.FrameCNN,
    "r3d18": encoders.R3D18,
    "slow_only_r50": encoders.SlowOnlyR50,
}
FRAMEWORKS = {
    "vsimclr": VSimCLR,
    "vmoco": VMoCo,
    "vbyol": VBYOL,
    "vswav": VSwAV,
    "vsimsiam": VSimSiam,
    "vvicreg": VVICReg,
    "vbarlow_twins": VBarlowTwins,
}
OPTIMIZERS = {"adamw": keras.optimizers.AdamW, "sgd": keras.optimizers.SGD, "lars": LARS}


def run_folder(config):
    """Where a run leaves its files: ``<output>/<name>-seed<seed>``."""
    return Path(config["output"]) / f"{config['name']}-seed{config['seed']}"


def training_data(config):
    """The `ClipDataset` to pre-train on."""
    source, split = config["data"]["source"], config["data"]["split"]
    if source == "built-in":
        source, split = _built_in(config), "train"
    elif not source:
        raise ValueError(
            "No videos were named. Pass --config.data.source=PATH (a folder, a list file or a CSV file), or "
            "use configs/demo.py for the built-in data."
        )
    records = read_catalog(source, root=config["data"]["root"], split=split)
    if config["data"]["mix"]:
        records = [records, *(read_catalog(other) for other in config["data"]["mix"])]
    return ClipDataset(records, seed=config["seed"], **config["clips"])


def probe_data(config, part):
    """The labelled `ClipDataset` of a probe; `part` is "train" or "test"."""
    source, split = config["probe"][part], None
    if not source:
        if config["data"]["source"] != "built-in":
            raise ValueError(
                f"A probe needs labelled videos. Pass --probe_{part}=PATH (a folder per class, a list "
                '"path label", or a CSV file with a label or factor columns).'
            )
        source, split = _built_in(config), f"probe_{part}"
    records = read_catalog(source, root=config["data"]["root"], split=split)
    clips = dict(config["clips"])
    clips["batch_size"] = min(clips["batch_size"], len(records))
    for name in ("weights", "shard", "class_balanced"):  # of training
        clips.pop(name, None)
    return ClipDataset(records, seed=config["seed"], **clips)


def _built_in(config):
    settings = dict(config["built_in"])
    # One folder a variant, so that another rho never overwrites or reuses this one.
    variant = "-".join(f"{k}{settings[k]}" for k in sorted(settings) if k != "folder")
    folder = Path(settings.pop("folder")) / variant
    return write_digit_drift(folder, seed=0, **settings)


def build_model(config, steps_per_epoch, augmenter=None):
    """The framework that a config describes, not compiled; with the layer that augments, if there is one."""
    clips, settings = config["clips"], _in_steps(config, steps_per_epoch)
    encoder = _choose("encoder.name", config["encoder"]["name"], ENCODERS)(
        input_shape=(clips["frames"], clips["size"], clips["size"], 3),
        **config["encoder"]["arguments"],
    )
    framework = _choose("framework.name", settings.pop("name"), FRAMEWORKS)
    if config["decoupled"]:
        parts = {
            "decoupling": KoopmanSplit(**config["koopman"]),
            "bilevel": BiLevel(**config["bilevel"]) if config["bilevel"]["inner_steps"] else None,
        }
    else:
        parts = {}
        for name in ("static_weight", "dynamic_weight", "base_weight"):
            settings.pop(name)
    head = ProjectionHead(**config["head"])
    return framework(encoder, projection_head=head, augmenter=augmenter, **parts, **settings)


def _in_steps(config, steps_per_epoch):
    """The framework's arguments: what the config counts in epochs, or in runs, in steps."""
    settings = dict(config["framework"])
    for name in ("freeze", "queue"):
        if f"{name}_epochs" in settings:
            settings[f"{name}_steps"] = round(settings.pop(f"{name}_epochs") * steps_per_epoch)
    if settings.pop("anneal_momentum", False):
        settings["momentum_steps"] = config["epochs"] * steps_per_epoch
    return settings


def build_optimizer(config, steps_per_epoch):
    """The optimizer with its schedule: linear warm-up, then a cosine that ends with the run."""
    settings = config["optimizer"]
    optimizer = _choose("optimizer.name", settings["name"], OPTIMIZERS)
    accumulate = settings["accumulate"]
    if accumulate < 1:
        raise ValueError(f"optimizer.accumulate must be at least 1. Received: {accumulate}")
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
            raise ValueError(
                "optimizer.reference_batch must be the batch size that learning_rate was found for, at "
                f"least 1, or None. Received: {reference}"
            )
        peak *= config["clips"]["batch_size"] * settings["accumulate"] / reference
    warmup = round(settings["warmup_epochs"] * steps_per_epoch)
    first = settings["warmup_learning_rate"] if warmup else peak
    for key, value in (("final_learning_rate", final), ("warmup_learning_rate", first)):
        if not 0 <= value <= peak:
            raise ValueError(
                f"optimizer.{key} must lie between 0 and the peak, {peak:g} (learning_rate, times batch size "
                f"x accumulate / reference_batch if that is set). Received: {value}"
            )
    return keras.optimizers.schedules.CosineDecay(
        first,
        max(1, config["epochs"] * steps_per_epoch - warmup),
        alpha=final / peak if final else 0.0,
        warmup_target=peak if warmup else None,
        warmup_steps=warmup,
    )


def _choose(key, name, choices):
    if name in choices:
        return choices[name]
    near = difflib.get_close_matches(name, choices, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise ValueError(f"config.{key} must be one of {', '.join(choices)}. Received: {name}.{hint}")
