"""Kept features of a frozen encoder: the run they give is the run without them; kills, damage, budgets."""

import keras
import numpy as np
import pytest

import bod_keras
from bod_keras.data import ClipDataset, array_records
from bod_keras.evaluation import TrainingFeatures
from bod_keras.training import load_model, save_model
from tests.tiers import slow
from tests.typed_commands import run_here

BUILT_IN = {"train": 16, "probe_train": 8, "probe_test": 8, "frames": 12}
SHAPE = (4, 8, 8, 3)
VIDEOS = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 8, 3), "uint8")


def make_model(framework=bod_keras.VSimCLR, seed=0, frozen=True, **arguments):
    keras.utils.set_random_seed(seed)
    images = keras.Sequential(
        [keras.Input(SHAPE[1:]), keras.layers.Conv2D(6, 3), keras.layers.Dropout(0.5)]
    )
    encoder = bod_keras.encoders.FrameEncoder(images, "unit", SHAPE, frozen=frozen, regions=2)
    # The background swap draws nothing, so that runs with and without kept features can be equal.
    decoupling = bod_keras.Decoupling(motion_view="background_swap")
    model = framework(encoder, decoupling, bod_keras.ProjectionHead(8, 6), **arguments)
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    return model


def make_data(videos=VIDEOS, seed=0):
    return ClipDataset(array_records(videos), frames=4, size=8, batch_size=4, seed=seed)


def losses(model, stream, epochs=2):
    history = model.fit(stream, steps_per_epoch=2, epochs=epochs, shuffle=False, verbose=0).history
    return history["loss"]


@slow
@pytest.mark.parametrize("framework", ["VSimCLR", "VMoCo"])
def test_a_run_on_kept_features_is_the_run_without(framework, tmp_path, capsys):
    arguments = {"queue_size": 8} if framework == "VMoCo" else {}
    framework = getattr(bod_keras, framework)
    one, other = make_model(framework, **arguments), make_model(framework, **arguments)
    want = losses(one, make_data().training_numpy())
    features = TrainingFeatures(other, make_data(), tmp_path, copies=2)
    assert "2 copies of 8 videos: features are extracted" in capsys.readouterr().out
    np.testing.assert_allclose(losses(other, features.training_numpy()), want, rtol=1e-4)
    assert want[0] != want[1]
    for a, b in zip(one.trainable_variables, other.trainable_variables, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-3, atol=1e-5)
    assert not one.encoder.trainable_variables and one.projection_head.trainable_variables


def read(features, steps, position=0):
    return [batch for (batch,) in features.training_numpy(position, steps)]


def test_what_was_killed_goes_on_and_damage_is_computed_again(tmp_path, capsys, monkeypatch):
    model = make_model()
    features = TrainingFeatures(model, make_data(), tmp_path, copies=2)
    files = sorted(features.folder.glob("*.npz"))
    # What is kept are the features of the clips that training would read, and of the model's own views.
    ((batch,),) = make_data().training_numpy(steps=1)
    views = keras.ops.convert_to_numpy(model.all_views(batch["views"]))
    direct = model.encoder(views.reshape(-1, *SHAPE), training=True)
    kept = read(features, 1)[0]["features"]
    assert kept.shape == (4, 3, 4, 24)
    np.testing.assert_allclose(
        kept.reshape(-1, 4, 24), keras.ops.convert_to_numpy(direct), rtol=1e-4, atol=1e-5
    )
    want = [batch["features"] for batch in read(features, 4)]
    assert len(files) == 4 and features.bytes == sum(file.stat().st_size for file in files)
    stamps = [file.stat().st_mtime_ns for file in files]
    files[2].write_bytes(files[2].read_bytes()[:100])
    with open(files[3], "wb") as file:
        np.savez(file, features=np.zeros(3), position=np.zeros(0, int))
    (features.folder / ".part-1-00000003.npz").write_bytes(b"half")
    capsys.readouterr()
    again = TrainingFeatures(model, make_data(), tmp_path, copies=2)
    text = capsys.readouterr().out
    assert f"{files[2]} is damaged" in text and "2 of 4 batches" in text
    for got, kept in zip(read(again, 4), want, strict=True):
        np.testing.assert_array_equal(got["features"], kept)
    assert [file.stat().st_mtime_ns for file in files[:2]] == stamps[:2]
    assert not list(features.folder.glob(".part-*"))
    TrainingFeatures(model, make_data(), tmp_path, copies=2)
    assert "features are from the cache" in capsys.readouterr().out
    # Damage that is met in training names its file.
    files[1].write_bytes(files[1].read_bytes()[:100])
    with pytest.raises(bod_keras.UserError, match="00000001.npz is damaged.*Delete it"):
        read(again, 4)


@slow
def test_other_weights_videos_or_seeds_are_other_features(tmp_path):
    def folder(**settings):
        model = make_model(seed=settings.pop("weights", 0))
        return TrainingFeatures(model, make_data(**settings), tmp_path, copies=1).folder

    changed = VIDEOS.copy()
    changed[0, 0, 0, 0, 0] ^= 1
    others = [folder(weights=1), folder(videos=changed), folder(seed=1)]
    assert len({folder(), *others}) == 4 and folder() == folder()


@slow
def test_later_epochs_are_the_same_batches_in_another_order(tmp_path):
    data = make_data()
    features = TrainingFeatures(make_model(), data, tmp_path, copies=3)
    first, second = (read(features, 6, position) for position in (0, 24))

    def sums(batches):
        return [float(batch["features"].sum()) for batch in batches]

    assert sorted(sums(first)) == sorted(sums(second)) and sums(first) != sums(second)
    assert [batch["position"].tolist() for batch in second[:2]] == [
        [24, 25, 26, 27],
        [28, 29, 30, 31],
    ]
    # A resumed run goes on where it was, and a bad batch is traced to its files.
    assert sums(read(features, 2, 32)) == sums(second)[2:4]
    place = sums(first).index(sums(second)[0])
    assert features.files(24, 27) == data.files(4 * place, 4 * place + 3)


@slow
def test_a_budget_leaves_copies_out_and_says_so(tmp_path, capsys):
    one = TrainingFeatures(make_model(), make_data(), tmp_path / "a", copies=1)
    room = 2.5 * one.bytes / 2**30
    features = TrainingFeatures(make_model(), make_data(), tmp_path / "b", copies=8, gigabytes=room)
    assert features.copies == 2 and "2 of 8 copies fit" in capsys.readouterr().out
    assert len(list(features.folder.glob("*.npz"))) == 4
    with pytest.raises(bod_keras.UserError, match="One copy of the features takes"):
        TrainingFeatures(make_model(), make_data(), tmp_path / "c", gigabytes=room / 10)


def test_wrong_use_is_told(tmp_path):
    with pytest.raises(bod_keras.UserError, match="has weights to train.*frozen=True"):
        TrainingFeatures(make_model(frozen=False), make_data(), tmp_path)
    for copies in (0, 1.5, "2"):
        with pytest.raises(bod_keras.UserError, match="copies must be an integer from 1"):
            TrainingFeatures(make_model(), make_data(), tmp_path, copies=copies)
    for gigabytes in (-1, float("nan"), float("inf")):
        with pytest.raises(bod_keras.UserError, match="gigabytes must be a positive number"):
            TrainingFeatures(make_model(), make_data(), tmp_path, gigabytes=gigabytes)
    model = make_model()
    with pytest.raises(bod_keras.UserError, match="kept in a local folder. Received: s3://a"):
        TrainingFeatures(model, make_data(), "s3://a")
    with pytest.raises(bod_keras.UserError, match="must be a ClipDataset. Received: a ndarray"):
        TrainingFeatures(model, VIDEOS, tmp_path)
    with pytest.raises(bod_keras.UserError, match="must be a framework.* Received: a FoldTime"):
        TrainingFeatures(model.encoder.layers[1], make_data(), tmp_path)
    for weight in model.encoder.weights:
        weight.assign(1e-6 * weight)
    with pytest.raises(bod_keras.UserError, match="features hardly differ"):
        TrainingFeatures(model, make_data(), tmp_path)
    features = np.zeros((4, 3, 4, 24), "float32")
    with pytest.raises(bod_keras.UserError, match="train no backbone"):
        make_model(frozen=False).train_on_batch({"features": features})
    with pytest.raises(
        bod_keras.UserError, match=r"\(batch, views, 4, 24\). Received: \(4, 3, 4, 9"
    ):
        make_model().train_on_batch({"features": features[..., :9]})


def test_a_frozen_model_comes_back_frozen(tmp_path):
    model = make_model()
    save_model(model, tmp_path / "model.keras")
    again = load_model(tmp_path / "model.keras")
    assert again.encoder.weights and not again.encoder.trainable_variables
    parts = [one.embed(VIDEOS[:2, :4]) for one in (model, again)]
    for name in parts[0]:
        np.testing.assert_allclose(parts[0][name], parts[1][name], rtol=1e-5, atol=1e-6)


@slow
def test_a_run_by_config_keeps_features_resumes_and_embeds(tmp_path, capsys):
    images = keras.Sequential(
        [keras.Input((32, 32, 3)), keras.layers.Conv2D(8, 5, 4), keras.layers.Activation("relu")]
    )
    images.save(tmp_path / "images.keras")
    arguments = [
        "--config=configs/frozen.py",
        "--config.data.source=built-in",
        *(f"--config.built_in.{k}={v}" for k, v in BUILT_IN.items()),
        f"--config.built_in.folder={tmp_path / 'videos'}",
        "--config.clips.size=32",
        "--config.clips.batch_size=8",
        f"--config.encoder.arguments.model={tmp_path / 'images.keras'}",
        "--config.encoder.arguments.preprocessing=unit",
        "--config.feature_cache.copies=2",
        f"--config.feature_cache.folder={tmp_path / 'features'}",
        f"--config.output={tmp_path}",
        "--config.evaluate.every=0",
    ]
    done = run_here(capsys, "train.py", *arguments, "--config.epochs=3")
    assert done.returncode == 0 and "features are extracted" in done.stdout, done.stderr
    done = run_here(capsys, "train.py", *arguments, "--config.epochs=4")
    assert done.returncode == 0 and "features are from the cache" in done.stdout, done.stderr
    assert "resumed at step 6" in done.stdout
    model = bod_keras.load(tmp_path / "frozen-seed0")
    clips = np.random.default_rng(0).integers(0, 256, (2, 8, 32, 32, 3), "uint8")
    want = np.asarray(images(clips.reshape(-1, 32, 32, 3).astype("float32") / 255)).mean((1, 2))
    got = model.embed(clips)["pooled"]
    np.testing.assert_allclose(got, want.reshape(2, 8, -1).mean(1), rtol=1e-4, atol=1e-5)
    trained = run_here(
        capsys,
        "train.py",
        *arguments,
        "--config.encoder.arguments.frozen=False",
        "--config.name=other",
    )
    assert trained.returncode == 1 and "has weights to train" in trained.stderr
