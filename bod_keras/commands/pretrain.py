"""A config pre-trained: catalog, model, fit, and a folder that resumes."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from bod_keras import evaluation, experiment, training
from bod_keras.commands.check_config import check_config
from bod_keras.commands.online_videos import online_evaluation
from bod_keras.commands.run_settings import (
    apply_settings,
    changed_settings,
    check_same_videos,
    list_of_videos,
    refused_settings,
    shown,
)
from bod_keras.commands.run_state import (
    RunReport,
    check_folder,
    clear_way,
    is_finished,
    read_begun,
    section,
)
from bod_keras.commands.tracking import check_tracker, make_tracker, pictures_of
from bod_keras.errors import UserError, check_choice
from bod_keras.storage.atomic_file import atomic_file, sweep_parts
from bod_keras.storage.lock import lock
from bod_keras.storage.remote_error import RemoteError, without_secrets
from bod_keras.storage.run_folder import RunFolder
from bod_keras.trackers import Tracker


def pretrain(
    config: Mapping[str, Any],
    distribution: training.Distribution | None = None,
    init_from: str = "",
    run: str = "",
) -> int | None:
    """Run, or continue, the experiment that a config describes.

    Args:
        config: as a file of configs/ gives it, ``to_dict()``.
        distribution: over which devices and processes; None for this process alone.
        init_from: folder of another run whose weights a new run begins with; it may be remote.
        run: folder of a run to continue; if not given, the one that the config names.

    Returns:
        The signal that stopped it early, or None.

    Raises:
        UserError: a wrong setting, or a folder that belongs to another run.
        OSError: files or storage that cannot be read or written.
    """
    check_config(config)
    experiment.check_settings(config)
    _set_precision(config["precision"])
    callbacks = experiment.own_callbacks(config)
    check_tracker(config)
    distribution = distribution or training.choose_distribution("none")
    stores = distribution.is_chief
    folder = RunFolder(run, stores) if run else experiment.run_folder(config, stores)
    advice = "Wait until it has ended, stop it, or choose another --config.name or --config.output."
    check_folder(folder)
    with lock(str(folder), advice) if distribution.is_chief else contextlib.nullcontext():
        try:
            with contextlib.ExitStack() as closing:
                received, message = _pretrain(
                    config, folder, distribution, init_from, callbacks, closing
                )
        except Exception:
            with contextlib.suppress(RemoteError):  # what stopped the run is what to tell
                folder.push()
                folder.close()
            raise
        try:
            folder.push()
        except RemoteError as error:
            raise OSError(
                f"{error}. What the run left lies in {folder.path}: copy it to {folder}, or repeat the "
                "command, which resumes from what is stored there."
            ) from error
        folder.close()
        print(message)
        return received


def _pretrain(config, folder, distribution, init_from, own_callbacks, closing):
    """The run itself: the signal that stopped it or None, and the last line to print."""
    sweep_parts(folder.path)
    before = read_begun(folder)
    changes = {}
    if before:
        changes = changed_settings(before["config"], config, folder)
        _check_init(before.get("init_from"), init_from, folder)
        if finished := is_finished(folder, before, config):
            report = folder.path / "report.json"
            if not report.exists():  # it was damaged or gone, and evaluation needs the config
                RunReport(report, {}).write(config=before["config"])
            return None, finished
    keras.utils.set_random_seed(config["seed"])

    with distribution.scope():
        model = _load(folder, config)
        # Its settings are checked before a long list of videos is read.
        encoder = experiment.build_encoder(config) if model is None else None
    catalog = experiment.training_catalog(config)
    videos = list_of_videos(catalog.records)
    check_same_videos(section(before, "videos") or None, videos, folder)
    data = experiment.training_data(config, catalog, distribution)
    steps = data.steps_per_epoch
    total = config["epochs"] * steps
    started = {}
    with distribution.scope():
        if model is not None:
            apply_settings(model, config, steps)
        else:
            model = experiment.build_model(config, steps, data.augmenter(), encoder)
            if init_from:
                started = {"init_from": _start_from(model, init_from)}
            chunks = config["optimizer"]["chunks"]
            model.compile(experiment.build_optimizer(config, steps), chunks=chunks)
    done = training.steps_taken(model)
    distribution.check_same(done, "checkpoint")  # all have read it, so that the chief may write now
    if changes:
        tell_changes(changes)
        earlier = before.get("changes")
        started["changes"] = [
            *(earlier if isinstance(earlier, list) else []),
            {"step": done, **{key: list(values) for key, values in changes.items()}},
        ]
    clear_way(folder)
    _begin_again(folder)
    known = section(before, "tracker")
    tracker, kept = make_tracker(config, str(folder), known, distribution.is_chief)
    if isinstance(tracker, Tracker):
        started["tracker"] = kept
        closing.callback(tracker.end)
    report = RunReport(folder.path / "report.json", before)
    report.write(config=config, environment=evaluation.environment(), videos=videos, **started)
    folder.push()  # storage that cannot be written is found out now, not after an epoch
    print(
        f"{folder}: {len(data)} videos, {steps} steps an epoch, {config['epochs']} epochs, "
        f"{model.encoder.count_params():,} encoder parameters, Keras on {keras.backend.backend()}"
        + (f", {distribution.replicas} replicas" if distribution.replicas > 1 else "")
        + (f", resumed at step {done}" if done else ""),
        flush=True,
    )

    # Each process measures on the whole first batch, not on its block of it.
    whole = data if distribution.processes == 1 else experiment.training_data(config, catalog)
    progress = training.Progress(total, done, show=distribution.is_chief)
    settings = {"settings": config, **config["checkpoint"]}
    checkpoint = training.Checkpoint(folder.path / "checkpoints", **settings)
    stop = training.StopOnSignal(distribution.largest if distribution.processes > 1 else None)
    earlier = section(before, "training")

    def write_training(found=None):
        """What was met so far, by this process and by those that the run had before."""
        skipped, looped = _joined(found or [[data.skipped, data.looped]], earlier)
        report.write(
            training={
                "steps": training.steps_taken(model),
                "of": total,
                "seconds_per_step": _known(progress.seconds_per_step, earlier),
                "videos": len(data),
                "missing": catalog.missing,
                "blocked": catalog.blocked,
                "skipped": skipped,
                "shorter_than_a_clip": looped,
            }
        )
        return skipped

    features = _features(config, model, data, distribution)
    online, chance = [], {}
    if config["evaluate"]["every"]:
        if distribution.processes > 1:
            print("Online evaluation is left out of runs of several processes.", flush=True)
        else:
            online, chance = online_evaluation(config, catalog)
    callbacks = [
        stop,
        training.StopOnNonFinite((features or data).files),
        progress,
        *_monitors(whole, config, model),
        *online,
        *_keep_best(folder.path, config, online),
        training.HistoryFile(folder.path / "history.csv"),
        *_tensorboard(folder.path / "tensorboard"),
        *([tracker] if tracker else []),
        *own_callbacks,
        keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: write_training()),
        checkpoint,
        keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: _store(folder)),
    ]
    found = None
    try:
        with data.clear_errors(), distribution.clear_errors():
            stream = functools.partial(distribution.stream, data)
            if features:
                stream = features.training_numpy
            training.fit_rest(model, stream, steps, config["epochs"], callbacks)
            found = distribution.gather_objects([data.skipped, sorted(data.looped)])
    finally:
        tell_skipped(write_training(found), len(data))
    if stop.received is not None:
        checkpoint.save()
        steps = training.steps_taken(model)
        return stop.received, f"Saved step {steps}. The same command resumes here."
    _finish(model, data, config, folder.path, report, online, chance)
    if isinstance(tracker, Tracker):
        tracker.tell({}, training.steps_taken(model), pictures_of(folder.path))
    return (
        None,
        f"Finished: {folder}/encoder.keras is the encoder, {folder}/report.json the record.",
    )


def _features(config, model, data, distribution):
    """The features of a frozen encoder that `config.feature_cache` keeps; None if it keeps none."""
    settings = config["feature_cache"]
    if not settings["copies"]:
        return None
    if distribution.processes > 1 or distribution.replicas > 1:
        raise UserError(
            "config.feature_cache is for one process and one device: a step on features is a small one. Leave "
            "--distribute out, or set --config.feature_cache.copies=0."
        )
    return evaluation.TrainingFeatures(model, data, **settings)


def _store(folder):
    """Store a remote run's files after an epoch; a failure is tried again after the next one."""
    try:
        folder.push()
    except RemoteError as error:
        print(f"\nNot stored, to be tried again after the next epoch: {error}", flush=True)


def _tensorboard(folder):
    """The callback that writes TensorBoard's logs, which only TensorFlow can."""
    if importlib.util.find_spec("tensorflow") is None:
        print("Without TensorFlow there are no TensorBoard logs; history.csv has the same numbers.")
        return []
    return [keras.callbacks.TensorBoard(folder, write_graph=False)]


def _monitors(data, config, model):
    """The callback on the first training batch, which a resumed run finds again; none if it is turned off."""
    if not config["monitors"]["every"]:
        return []
    with data.clear_errors():
        ((batch,),) = data.training_numpy(steps=1)
    views = batch["views"][: config["monitors"]["videos"]]
    if model.augmenter is not None:
        views = keras.ops.convert_to_numpy(model.augmenter(views))  # centered squares
    return [training.Monitors(views, config["monitors"]["every"])]


def _keep_best(folder, config, online):
    """The callback of `evaluate.best`, none without it; a wrong name is an error before the first epoch."""
    settings = config["evaluate"]
    if not settings["best"]:
        if settings["patience"]:
            raise UserError(
                "config.evaluate.patience needs a number to watch: --config.evaluate.best=linear_static, "
                "or another column of history.csv."
            )
        return []
    if settings["best"].startswith(("linear_", "knn_", "rankme_")):
        if not online:
            raise UserError(
                f"config.evaluate.best={settings['best']} needs the online evaluation, which this run has not "
                "(see above, and config.evaluate.every). Choose a column that it logs, such as loss."
            )
        check_choice("config.evaluate.best", settings["best"], online[0].columns)
    save = functools.partial(training.save_model, settings=config)
    history = folder / "history.csv"
    return [
        training.KeepBest(
            folder / "best.keras", settings["best"], history, save, settings["patience"]
        )
    ]


def _finish(model, data, config, folder, report, online, chance):
    """Write the pictures, the encoder and the model."""
    with data.clear_errors():
        eigenvalues, static = evaluation.chosen_eigenvalues(model, data.evaluation_numpy())
    threshold = model.reading_split().threshold
    evaluation.plot_spectrum(eigenvalues, threshold, folder / "spectrum.png", static)
    if history := training.HistoryFile.summary(folder / "history.csv"):
        evaluation.plot_history(
            folder / "history.csv",
            folder / "losses.png",
            model.chance_losses(config["clips"]["batch_size"]),
            model.loss_weights,
        )
        if config["monitors"]["every"]:
            evaluation.plot_monitors(folder / "history.csv", folder / "monitors.png")
        measured = [
            history[name]["last"] for one in online for name in one.columns if name in history
        ]
        if any(map(math.isfinite, measured)):
            evaluation.plot_online(folder / "history.csv", folder / "online.png", chance)
        report.write(history=history)
    training.save_model(model.encoder, folder / "encoder.keras")
    training.save_model(model, folder / "model.keras", config)
    # model.keras holds the same state; there are none if checkpoint.every is more than the run's epochs.
    for path in (folder / "checkpoints").glob("step-*.keras"):
        path.unlink()
    with contextlib.suppress(OSError):  # it holds what was set aside
        (folder / "checkpoints").rmdir()


def _set_precision(name):
    try:
        keras.config.set_dtype_policy(name)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"config.precision must be float32, mixed_bfloat16 or mixed_float16. Received: {name!r}"
        ) from error


def _load(folder, config):
    """The newest state of the run in a folder, or None."""

    def foreign(settings):
        lines = refused_settings(settings, config) if settings else []
        return f"it is of a run with other settings ({'; '.join(lines)})." if lines else None

    folder.pull("history.csv", "checkpoints/step-*")
    model, passed = training.load_checkpoint(folder.path / "checkpoints", foreign, print)
    if model is None and folder.last in folder.names():
        folder.pull(folder.last)
        path = folder.path / folder.last
        if reason := foreign(training.saved_settings(path)):
            raise UserError(f"{path} cannot be trained on: {reason} Restore the run's own.")
        return training.load_model(path)
    if model is None and passed:
        raise UserError(
            f"No checkpoint in {folder}/checkpoints is complete. Restore one, or choose another --config.name "
            "for a new run."
        )
    return model


def _begin_again(folder):
    """Of a finished run that is to be trained on: its state as a checkpoint, so that it is unfinished again."""
    model, checkpoints = folder.path / folder.last, folder.path / "checkpoints"
    if model.exists() and not any(checkpoints.glob("step-*.keras")):
        with atomic_file(checkpoints / "step-00000000.keras") as part:
            shutil.copyfile(model, part)


def _start_from(model, run):
    """Give a new model the weights of a run, and say what was taken: the report's section."""
    source = training.RunFolder(run)
    try:
        names = source.names()
        if source.last in names:
            source.pull(source.last)
            path = source.path / source.last
        else:
            source.pull("checkpoints/*")
            path = training.newest_checkpoint(source.path / "checkpoints")
        if path is None:
            raise UserError(
                f"--init_from={run} is no run of train.py with weights: it must hold {source.last} or complete "
                "checkpoints."
            )
        taken = training.take_weights(model, path)
    finally:
        source.close()
    missing = taken["not_taken"]
    print(f"Weights of {run}: {taken['taken']} of {taken['of']} taken.", flush=True)
    for name, reason in list(missing.items())[:5]:
        print(f"  not {name}: {reason}")
    if len(missing) > 5:
        print(f"  and {len(missing) - 5} more (all in report.json)")
    return {"run": str(source), **taken}


def _check_init(before, now, folder):
    """Refuse to continue a run from another run's weights than it began with."""
    run = before["run"] if before else None
    if now and (run is None or Path(now).name != Path(run).name):  # it may have been moved
        raise UserError(
            f"{folder} holds a run that began {f'with the weights of {run}' if run else 'afresh'}. "
            f"Received: --init_from={now}. Choose another --config.name for a new run."
        )


def tell_changes(changes):
    print("Continued with other settings:")
    for key, (old, new) in changes.items():
        print(f"  {key}: {shown(new)}, {shown(old)} before")


def _joined(found, earlier):
    """Of all processes, and of those before: the skipped files with their reasons, and the short videos."""
    skipped = dict(section(earlier, "skipped"))
    skipped |= {path: reason for files, _ in found for path, reason in files.items()}
    looped = {path for _, looped in found for path in looped}
    return skipped, sorted(looped | set(map(str, earlier.get("shorter_than_a_clip") or ())))


def _known(seconds, earlier):
    """Seconds per step, of the processes before where this one has taken too few steps."""
    return seconds if math.isfinite(seconds) else earlier.get("seconds_per_step")


def tell_skipped(skipped, total):
    if skipped:
        print(f"{len(skipped)} of {total} videos were skipped (all in report.json):")
        for path, reason in list(skipped.items())[:5]:
            print(f"  {without_secrets(path)}: {reason}")
