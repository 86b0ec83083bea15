"""Files of frame features as a data source: what is read, what is skipped and named, and a run on them."""

import json
import os
import pickle
import zipfile

import keras
import numpy as np
import pytest

import bod_keras
from bod_keras.configs import features
from bod_keras.data import FeatureDataset, read_features
from bod_keras.data.video_identity import video_identity
from bod_keras.evaluation.protocols import Split, Subject, read_protocol, run_protocol
from bod_keras.experiment import training_data
from tests.tiers import slow
from tests.typed_commands import ROOT, run_here

PROTOCOLS = ROOT / "configs/protocols"
RNG = np.random.default_rng(0)


def array(*shape):
    return RNG.normal(size=shape).astype("float32")


def test_folders_lists_and_labels(tmp_path):
    a, b = array(3, 12, 4), array(9, 4)
    for name in ("x", "y"):
        (tmp_path / "classes" / name).mkdir(parents=True)
    np.save(tmp_path / "classes" / "x" / "a.npy", a)
    np.savez(tmp_path / "classes" / "y" / "b\n<b>.npz", b)
    found = read_features(tmp_path / "classes")
    assert [r.label for r in found.records] == [0, 0, 0, 1] and found.class_names == ["x", "y"]
    assert [(r.row, r.steps, r.channels) for r in found.records] == [
        *((i, 12, 4) for i in range(3)),
        (None, 9, 4),
    ]
    np.savez(tmp_path / "own.npz", features=a, labels=np.array([2, 0, 1]))
    assert [r.label for r in read_features(tmp_path / "own.npz").records] == [2, 0, 1]
    (tmp_path / "list.csv").write_text(
        "path,label,split\nclasses/x/a.npy,run,train\nown.npz,jump,test\n"
    )
    listed = read_features(tmp_path / "list.csv", split="train")
    assert listed.class_names == ["jump", "run"] and [r.label for r in listed.records] == [1] * 3
    identities = {json.dumps(video_identity(record)) for record in found.records}
    assert len(identities) == 4
    with pytest.raises(FileNotFoundError):
        read_features(tmp_path / "nowhere")
    with pytest.raises(bod_keras.UserError, match="no .npy or .npz file"):
        (tmp_path / "empty").mkdir()
        read_features(tmp_path / "empty")


def test_windows_are_those_of_the_file(tmp_path):
    a = array(4, 12, 4)
    np.save(tmp_path / "a.npy", a.astype("float64"))
    data = FeatureDataset(read_features(tmp_path).records, 4, frames=5, stride=2, batch_size=4)
    ((batch,),) = data.training_numpy(steps=1)
    assert batch["views"].shape == (4, 2, 5, 4) and batch["views"].dtype == np.float32
    starts = set()
    for views, path in zip(batch["views"], data.files(0, 3), strict=True):
        video = a[int(path.rpartition("#")[2])]
        for view in views:
            (start,) = [s for s in range(4) if np.array_equal(video[s : s + 9 : 2], view)]
            starts.add(start)
    assert len(starts) > 1
    (again,) = next(data.training_numpy(steps=1))
    np.testing.assert_array_equal(again["views"], batch["views"])
    even = np.concatenate([b["views"] for b in data.evaluation_numpy(views=2)])
    np.testing.assert_array_equal(even[:, 0], a[:, 0:9:2])
    np.testing.assert_array_equal(even[:, 1], a[:, 3:12:2])
    with pytest.raises(bod_keras.UserError, match="all views of a video would be the same"):
        same = FeatureDataset(read_features(tmp_path).records, 4, frames=12, batch_size=4)
        next(same.training_numpy(steps=1))
    config = features.get_config()
    config.data.update({"source": str(tmp_path), "channels": 4})
    config.clips.update({"frames": 12, "batch_size": 4})  # told before a run has a folder
    with pytest.raises(bod_keras.UserError, match="all views of a video would be the same"):
        training_data(config, read_features(tmp_path))
    with pytest.raises(bod_keras.UserError, match="have 4 channels. Received: 7"):
        FeatureDataset(read_features(tmp_path).records, 7)


def test_bad_files_are_skipped_and_named_and_nothing_is_unpickled(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    np.save(tmp_path / "good.npy", array(9, 12, 4))
    bad = array(12, 4)
    bad[5, 2] = np.nan
    np.save(tmp_path / "nan.npy", bad)
    (tmp_path / "cut.npy").write_bytes((tmp_path / "good.npy").read_bytes()[:300])
    (tmp_path / "evil.npz").write_bytes(pickle.dumps(Evil()))
    np.save(tmp_path / "object.npy", np.array([Evil()], dtype=object), allow_pickle=True)
    np.save(tmp_path / "ints.npy", np.zeros((12, 4), int))
    np.save(tmp_path / "wide.npy", array(12, 5))
    found = read_features(tmp_path)
    assert "4 files cannot be read" in found.summary()
    data = FeatureDataset(found.records, 4, frames=4, batch_size=3, max_bad_share=0.9)
    rows = np.concatenate([batch["index"] for batch in data.evaluation_numpy()])
    assert len(rows) == 9
    reasons = {os.path.basename(path): reason for path, reason in data.skipped.items()}
    assert set(reasons) == {
        *("nan.npy", "cut.npy", "evil.npz", "object.npy", "ints.npy", "wide.npy")
    }
    assert "not finite" in reasons["nan.npy"] and "not floats" in reasons["ints.npy"]
    assert "5 channels, not 4" in reasons["wide.npy"] and not (tmp_path / "ran").exists()


def named_reasons(folder):
    """What `read_features` says of a folder of one bad file."""
    with pytest.raises(bod_keras.UserError, match="No file of features in") as told:
        read_features(folder)
    return str(told.value)


@pytest.mark.parametrize(
    "name, write, reason",
    [
        (
            "a.npy",
            lambda f: np.save(f, np.zeros((3, 12, 4), int)),
            "it holds int64 (3, 12, 4), not floats",
        ),
        (
            "a.npy",
            lambda f: np.savez(f, array(3, 12, 4)),
            "its content is not that of an .npy file",
        ),
        ("a.npz", lambda f: np.save(f, array(3, 12, 4)), "its content is not that of an .npz file"),
        ("a.npz", lambda f: zip_of(f, "features"), "features is not an array of NumPy"),
        ("a.npz", lambda f: labeled(f, -np.arange(3)), "its labels go from -2 to 0"),
        ("a.npz", lambda f: labeled(f, np.full(3, 2**40)), "its labels go from 1099511627776"),
        ("a.npz", lambda f: labeled(f, np.arange(12), array(12, 4)), "its labels are (12,)"),
    ],
)
def test_what_is_wrong_with_the_only_file_is_told_at_once(tmp_path, name, write, reason):
    with open(tmp_path / name, "wb") as file:
        write(file)
    assert reason in named_reasons(tmp_path)


def zip_of(file, member):
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(member, "text")


def labeled(file, labels, features=None):
    np.savez(file, features=array(3, 12, 4) if features is None else features, labels=labels)


def test_a_video_in_a_list_and_a_number_beyond_float32_are_told(tmp_path):
    np.save(tmp_path / "good.npy", array(9, 12, 4))
    np.save(tmp_path / "large.npy", np.full((12, 4), 1e300))
    with open(tmp_path / "one.npz", "wb") as file:
        labeled(file, np.array([7]), array(12, 4))
    (tmp_path / "a.mp4").write_bytes(b"video")
    (tmp_path / "list.csv").write_text("path\ngood.npy\nlarge.npy\na.mp4\none.npz\n")
    found = read_features(tmp_path / "list.csv")
    assert [record.label for record in found.records if record.label is not None] == [7]
    data = FeatureDataset(found.records, 4, frames=4, batch_size=3, max_bad_share=0.9)
    assert sum(len(batch["index"]) for batch in data.evaluation_numpy()) == 10
    reasons = {os.path.basename(path): reason for path, reason in data.skipped.items()}
    assert "not finite in float32" in reasons["large.npy"]
    assert "no .npy or .npz file" in reasons["a.mp4"] and len(reasons) == 2


def test_features_in_the_place_of_videos_are_told(tmp_path):
    np.save(tmp_path / "a.npy", array(9, 12, 4))
    with pytest.raises(bod_keras.UserError, match="file of arrays.*configs/features.py"):
        bod_keras.data.read_source(tmp_path / "a.npy")


def test_many_files_are_not_all_open_at_once(tmp_path):
    for n in range(80):
        np.save(tmp_path / f"{n}.npy", array(6, 2))
    data = FeatureDataset(read_features(tmp_path).records, 2, frames=4, batch_size=4)
    before = len(os.listdir("/proc/self/fd"))
    stream = data.training_numpy(steps=20)
    seen = [batch["position"] for (batch,) in stream]
    assert len(np.concatenate(seen)) == 80 and not data.skipped
    assert len(os.listdir("/proc/self/fd")) - before <= 64


def test_views_of_pixels_are_refused():
    encoder = bod_keras.encoders.Features((4, 6))
    with pytest.raises(bod_keras.UserError, match="change the pixels of clips.*static_mix=0.0"):
        bod_keras.VSimCLR(encoder, decoupling=True)
    with pytest.raises(bod_keras.UserError, match="data.channels"):
        bod_keras.encoders.Features((4, 6, 6, 3))
    settings = bod_keras.Decoupling(motion_view=None, static_mix=0.0)
    model = bod_keras.VSimCLR(encoder, settings, bod_keras.ProjectionHead(8, 6))
    x = 5 * array(3, 4, 6)
    np.testing.assert_allclose(model.embed(x)["pooled"], x.mean(axis=1), rtol=1e-4, atol=1e-5)
    assert model.embed(x[0])["static"].shape == (1, 6)
    with pytest.raises(bod_keras.UserError, match="features must be finite"):
        model.embed(x * np.nan)
    model.compile("sgd")
    with pytest.raises(bod_keras.UserError, match="batch, views, time, channels"):
        model.train_on_batch(np.zeros((4, 2, 4, 6, 6, 3), "float32"))


@slow
def test_protocols_of_frozen_features_run_and_others_are_refused(tmp_path):
    np.savez(tmp_path / "all.npz", features=array(8, 6, 4), labels=np.arange(8) % 2)
    catalog = read_features(tmp_path / "all.npz")

    def windows(catalog, **settings):
        return FeatureDataset(catalog.records, 4, frames=4, batch_size=4)

    settings = bod_keras.Decoupling(motion_view=None, static_mix=0.0)
    encoder = bod_keras.encoders.Features((4, 4))
    model = bod_keras.VSimCLR(encoder, settings, bod_keras.ProjectionHead(8, 6))
    splits = [Split(catalog, windows, name) for name in ("train", "test")]
    subject = Subject(model, {}, *splits, tmp_path / "results", seed=0)
    found = run_protocol(subject, read_protocol("retrieval", PROTOCOLS))
    assert found["gallery"] == 8 and all(name.endswith(".csv") for name in found["files"])
    for name in ("diagnose", "bias", "factors-real", "finetune", "detect-ava"):
        with pytest.raises(bod_keras.UserError, match=f"The protocol {name} needs videos.*linear"):
            run_protocol(subject, read_protocol(name, PROTOCOLS))


@slow
def test_a_run_learns_evaluates_and_resumes_on_files(tmp_path, capsys):
    """Static channels name a class, a rotation in the others has a direction: known answers of both parts."""
    labels = np.arange(96) % 2
    angle = np.linspace(0, 6, 20) * np.where(labels, 1, -1)[:, None] + RNG.uniform(0, 6, (96, 1))
    still = array(96, 1, 6).repeat(20, axis=1)
    moving = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    np.savez(tmp_path / "all.npz", features=np.concatenate([still, moving], -1), labels=labels)
    arguments = [
        "--config=configs/features.py",
        f"--config.data.source={tmp_path / 'all.npz'}",
        "--config.data.channels=8",
        f"--config.output={tmp_path}",
        "--config.clips.batch_size=32",
    ]
    done = run_here(capsys, "train.py", *arguments, "--config.epochs=20")
    assert done.returncode == 0, done.stderr
    model = bod_keras.load(tmp_path / "features-seed0")
    assert isinstance(model, keras.Model) and model.encoder.input_shape == (None, 8, 8)
    done = run_here(capsys, "train.py", *arguments, "--config.epochs=21")
    assert done.returncode == 0 and "resumed at step 60" in done.stdout, done.stderr
    flags = [f"--probe_{part}={tmp_path / 'all.npz'}" for part in ("train", "test")]
    done = run_here(
        capsys,
        "evaluate.py",
        f"--model={tmp_path / 'features-seed0'}",
        "--protocol=linear",
        "--allow_overlap",
        *flags,
    )
    assert done.returncode == 0, done.stderr
    accuracy = {
        part: float(line.split()[5])
        for line in done.stdout.splitlines()
        for part in ("pooled", "static", "dynamic")
        if line.startswith("features") and f" {part} " in line
    }
    assert accuracy["dynamic"] > 0.7
