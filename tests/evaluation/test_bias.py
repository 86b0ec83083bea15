"""The static-bias suite: models that see a still, motion, the scene, the actor, and what each must be told."""

import csv
import dataclasses
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest
from keras import ops

import bod_keras
from bod_keras.data import Box, Catalog, ClipDataset, Record, array_records
from bod_keras.evaluation.bias import Foreground, flow_noise, stripes
from bod_keras.evaluation.bias.changed_clips import ChangedClips
from bod_keras.evaluation.protocols import (
    Split,
    Subject,
    change_protocol,
    read_protocol,
    result_tables,
    run_protocol,
)
from bod_keras.evaluation.verdicts import bias_verdicts, sensitivity_verdicts
from tests.tiers import slow
from tests.video_files import save_video

FOLDER = Path(__file__).parents[2] / "configs" / "protocols"
FRAMES, SIZE = 5, 24


def texture(rng, height=SIZE, width=SIZE):
    image = cv2.GaussianBlur(rng.random((height, width), "float32"), (0, 0), 1.5)
    return (image - image.min()) / (image.max() - image.min())


def scrolling(videos=16, seed=0):
    """Two classes: red scenes that scroll to the right, blue ones that scroll to the left."""
    rng = np.random.default_rng(seed)
    labels = np.arange(videos) % 2
    clips = np.zeros((videos, FRAMES, SIZE, SIZE, 3), "float32")
    for video, label in enumerate(labels):
        scene = texture(rng)
        for t in range(FRAMES):
            moved = np.roll(scene, (1 - 2 * label) * t, axis=1)
            clips[video, t] = 0.6 * moved[..., None]
        clips[video, ..., 2 * label] += 0.3
    return np.round(255 * clips).astype(np.uint8), labels


def first_frame(clips):
    """The mean color of the first frame, in every frame."""
    color = ops.mean(clips[:, :1], axis=(2, 3))
    return ops.repeat(color, FRAMES, axis=1)


def motion(clips):
    """How well each shift to the side explains the next frame; what is shown does not count."""
    gray = ops.mean(clips, axis=-1)
    before = gray[:, :-1, :, 2:-2]
    errors = [
        ops.mean(ops.square(gray[:, 1:, :, 2 + s : SIZE - 2 + s] - before), axis=(1, 2, 3))
        for s in (-2, -1, 0, 1, 2)
    ]
    errors = ops.stack(errors, axis=-1) + 1e-6
    return ops.repeat((errors / ops.sum(errors, axis=-1, keepdims=True))[:, None], FRAMES, axis=1)


def encoder(*readers):
    """A model with weights that gives what the readers see."""
    clips = keras.Input((FRAMES, SIZE, SIZE, 3))
    seen = [reader(clips) for reader in readers]
    seen = ops.concatenate(seen, axis=-1) if len(seen) > 1 else seen[0]
    same = keras.layers.Dense(seen.shape[-1], use_bias=False, kernel_initializer="identity")
    return keras.Model(clips, same(seen))


def split_of(clips, labels, name, change=lambda record, i: record):
    records = [
        change(dataclasses.replace(record, label=int(labels[i])), i)
        for i, record in enumerate(array_records(clips))
    ]

    def make(catalog, **changes):
        settings = {"frames": FRAMES, "size": SIZE, "batch_size": 6, "views": 1, "workers": 0}
        chosen = {**settings, **changes}
        chosen["batch_size"] = min(chosen["batch_size"], len(catalog.records))
        return ClipDataset(catalog.records, **chosen)

    return Split(Catalog(records, ["red", "blue"]), make, name)


def bias(folder, model, train, test, *changes):
    protocol = change_protocol(read_protocol("bias", FOLDER), list(changes))
    return run_protocol(Subject(model, {}, train, test, folder / "out"), protocol)


def accuracies(found, part="pooled"):
    return {name: of[part]["top1"] for name, of in found["factors"].items()}


@pytest.mark.parametrize(
    ("readers", "verdict", "limits"),
    [
        pytest.param(
            (first_frame,),
            "appearance",
            {"first_frame": (1, 1), "appearance_free": (0, 0.74)},
            marks=slow,
        ),
        pytest.param(
            (motion,), "motion", {"first_frame": (0, 0.74), "appearance_free": (0.9, 1)}, marks=slow
        ),
        (
            (first_frame, motion),
            "appearance and motion",
            {"first_frame": (0.9, 1), "appearance_free": (0.9, 1)},
        ),
    ],
)
def test_each_model_gets_the_verdict_that_it_must(tmp_path, readers, verdict, limits):
    splits = split_of(*scrolling(16, 0), "train"), split_of(*scrolling(16, 1), "test")
    found = bias(tmp_path, encoder(*readers), *splits)
    top1 = accuracies(found)
    assert top1["ordered"] == 1.0
    for name, (low, high) in limits.items():
        assert low <= top1[name] <= high, top1
    assert found["verdicts"][0].startswith(f"pooled: {verdict} (of 1.00, chance 0.50: ")
    if readers == (first_frame,):
        assert top1["shuffled"] == 1.0  # order does not count
    assert "no boxes and no masks" in found["warnings"][0]
    table = result_tables([("run", [found])], "bias")
    assert "appearance_free" in table and "top1: pooled" in table
    with open(tmp_path / "out" / "predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 16 * 5 and {row["class"] for row in rows} == {"red", "blue"}
    share = np.mean([r["class"] == r["pooled"] for r in rows if r["condition"] == "first_frame"])
    assert share == top1["first_frame"]


def staged(videos=12, seed=0):
    """A bright or dark actor, in rows and columns 8 to 15, before a bright or dark scene of the same class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(videos) % 2
    clips = np.zeros((videos, FRAMES, SIZE, SIZE, 3))
    clips += (70 + 100 * labels)[:, None, None, None, None]
    clips[:, :, 8:16, 8:16] += 60 * (2 * labels - 1)[:, None, None, None, None]
    return (clips + rng.integers(0, 9, clips.shape)).astype(np.uint8), labels


def with_boxes(record, i):
    box = (8 / SIZE, 8 / SIZE, 16 / SIZE, 16 / SIZE)
    return dataclasses.replace(record, boxes=tuple(Box(box, frame=t) for t in range(FRAMES)))


def actor(clips):
    return ops.mean(clips[:, :, 9:15, 9:15], axis=(2, 3))


def scene(clips):
    return ops.mean(clips[:, :, :4], axis=(2, 3))


@pytest.mark.parametrize("reader", [actor, pytest.param(scene, marks=slow)])
def test_who_sees_the_actor_and_who_the_scene(tmp_path, reader):
    photos = tmp_path / "photos"
    photos.mkdir()
    cv2.imwrite(str(photos / "gray.png"), np.full((30, 40, 3), 120, np.uint8))
    splits = split_of(*staged(12, 0), "train"), split_of(*staged(12, 1), "test", with_boxes)
    found = bias(tmp_path, encoder(reader), *splits, "appearance_free=False", f"photos='{photos}'")
    top1 = accuracies(found)
    assert top1["ordered"] == 1.0 and found["warnings"] == []
    sees_actor = reader is actor
    assert top1["action_swap"] == (1.0 if sees_actor else 0.0)
    assert top1["action_swap: background's class"] == (0.0 if sees_actor else 1.0)
    assert top1["human_only"] == (1.0 if sees_actor else top1["human_only"])
    assert top1["scuba_photos"] == (1.0 if sees_actor else 0.5)
    assert top1["scuba_stripes"] == top1["scufo_stripes"]  # nothing moves
    assert top1["scuba_stripes right, scufo_stripes wrong"] == 0.0
    assert top1["background_only"] == (1.0 if not sees_actor else top1["background_only"])
    assert top1["harmonic mean of ordered, action_swap"] == (1.0 if sees_actor else 0.0)
    left = "1.00" if sees_actor else "0.00"
    assert f"another background {left} of 1.00 is left (action_swap)" in found["verdicts"][1]
    # The first action may come before any scene of another class.
    assert 10 <= found["tested"]["action_swap"] <= 12 == found["tested"]["human_only"]


@slow
def test_a_harmonic_mean_is_of_the_videos_of_both_conditions(tmp_path):
    """Half of the test videos have boxes; of the others ordered clips are wrong, their labels are changed."""
    clips, labels = staged(seed=1)
    known = np.arange(len(labels)) < len(labels) // 2
    test = split_of(
        clips,
        np.where(known, labels, 1 - labels),
        "test",
        lambda record, i: with_boxes(record, i) if known[i] else record,
    )
    found = bias(
        tmp_path, encoder(actor), split_of(*staged(), "train"), test, "appearance_free=False"
    )
    rows = accuracies({"factors": {k: v for k, v in found["factors"].items() if "pooled" in v}})
    assert rows["ordered"] == 0.5 and rows["action_swap"] == 1.0
    assert rows["harmonic mean of ordered, action_swap"] == 1.0


@slow
def test_lists_of_classes_and_of_videos(tmp_path):
    splits = split_of(*scrolling(8, 0), "train"), split_of(*scrolling(8, 1), "test")
    names = tmp_path / "ids.csv"
    names.write_text('id,why\n"array#0",x\n"array#1",y\n"array#3",z\nelsewhere,w\n')
    changes = ["appearance_free=False", "temporal_classes=('blue',)", f"subset='{names}'"]
    found = bias(tmp_path, encoder(first_frame), *splits, *changes)
    assert found["tested"]["ordered"] == 3
    assert f"1 names of {names} are of no test video: elsewhere" in found["warnings"]
    assert found["factors"]["shuffled, temporal classes"]["chance"] == 1.0
    assert found["factors"]["ordered"]["chance"] == pytest.approx(2 / 3)
    with pytest.raises(bod_keras.UserError, match="names of classes: red, blue. Received: 'green'"):
        bias(tmp_path, encoder(first_frame), *splits, *changes[:1], "static_classes=('green',)")
    names.write_text("id\nnowhere\n")
    with pytest.raises(bod_keras.UserError, match="None of the 8 test videos is in"):
        bias(tmp_path, encoder(first_frame), *splits, *changes)


def test_noise_moves_as_the_clip_does_and_no_frame_tells_of_it():
    clips, _ = scrolling(2)
    moved = flow_noise(clips[0] / 255.0, np.random.default_rng(0))
    inside = slice(6, -6)
    for t in range(1, FRAMES):
        there = np.roll(moved[0], t, axis=1)
        assert np.mean(moved[t, inside, inside] == there[inside, inside]) > 0.8
    assert abs(np.corrcoef(moved[2].mean(-1).ravel(), clips[0, 2].mean(-1).ravel())[0, 1]) < 0.2
    with pytest.raises(bod_keras.UserError, match="at least 12 pixels. Received: 8 x 8"):
        flow_noise(np.zeros((3, 8, 8, 3)), np.random.default_rng(0))


def test_stripes_are_a_wave_of_the_widths_and_heights_that_are_published():
    for seed in range(5):
        image = 255 * stripes(224, np.random.default_rng(seed)).astype("float64")[..., 0]
        assert 9 < (image.max() - image.min()) / 2 < 111 and abs(image.mean() - 128) < 5
        spectrum = np.abs(np.fft.fft2(image - image.mean()))
        y, x = np.unravel_index(spectrum[:, :113].argmax(), (224, 113))
        assert 224 / 20.6 < np.hypot(min(y, 224 - y), x) < 224 / 4.8


def test_masks_are_videos_of_the_names_of_the_videos(tmp_path):
    """As wide frames, of which a clip shows the middle; a folder of frames; and a video without a mask."""
    rng = np.random.default_rng(0)
    records = []
    for name in ("one", "two", "none"):
        clip = rng.integers(0, 256, (8, SIZE, 2 * SIZE, 3), np.uint8)
        records.append(Record(save_video(tmp_path / f"{name}.avi", clip), label=0))
    mask = np.zeros((8, SIZE, 2 * SIZE, 3), np.uint8)
    mask[:, :12, 18:24] = 255
    (tmp_path / "masks" / "two").mkdir(parents=True)
    save_video(tmp_path / "masks" / "one.avi", mask)
    for t, frame in enumerate(mask):
        cv2.imwrite(str(tmp_path / "masks" / "two" / f"{t:03d}.png"), frame)
    data = ClipDataset(records, frames=FRAMES, size=SIZE, workers=0, batch_size=3)
    found = Foreground(data, tmp_path / "masks").of([2, 0, 1])
    assert found[0] is None
    wanted = np.zeros((FRAMES, SIZE, SIZE), "float32")
    wanted[:, :12, 6:12] = 1
    for one in found[1:]:
        np.testing.assert_array_equal(one, wanted)
    # The same as boxes; a frame far from any box has none.
    box = Box((18 / 48, 0, 24 / 48, 0.5), frame=2)
    boxed = [
        dataclasses.replace(records[0], boxes=(dataclasses.replace(box, frame=f),)) for f in (2, 40)
    ]
    data = ClipDataset(boxed, frames=FRAMES, size=SIZE, workers=0, batch_size=1)
    near, far = Foreground(data).of([0, 1])
    np.testing.assert_array_equal(near, wanted)
    assert far is None
    with pytest.raises(bod_keras.UserError, match="has a mask file of its name in"):
        (tmp_path / "empty").mkdir()
        Foreground(data, tmp_path / "empty")
    with pytest.raises(bod_keras.UserError, match="must be a folder of videos"):
        Foreground(data, tmp_path / "nowhere")


def test_a_mask_is_that_of_its_video_or_none(tmp_path):
    """Of one name in two folders each has its own; a longer, a damaged and an ambiguous one are named."""
    rng = np.random.default_rng(0)
    names = ("a/1", "b/1", "a/long", "a/damaged", "b/two")
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / "masks" / name).parent.mkdir(parents=True, exist_ok=True)
        clip = rng.integers(0, 256, (8, SIZE, SIZE, 3), np.uint8)
        save_video(tmp_path / f"{name}.avi", clip)
        mask = np.zeros((9 if name == "a/long" else 8, SIZE, SIZE, 3), np.uint8)
        mask[:, :, : 6 if name == "a/1" else 12] = 255
        save_video(tmp_path / "masks" / f"{name}.avi", mask)
    (tmp_path / "masks" / "a" / "damaged.avi").write_bytes(b"RIFF no video")
    (tmp_path / "masks" / "b" / "two.txt").write_text("notes")
    records = [Record(str(tmp_path / f"{name}.avi"), label=0) for name in names]
    data = ClipDataset(records, frames=FRAMES, size=SIZE, workers=0, batch_size=3)
    foreground = Foreground(data, tmp_path / "masks")
    found = foreground.of([0, 1, 2, 3, 4])
    assert [mask.mean() for mask in found[:2]] == [0.25, 0.5]
    assert found[2:] == [None] * 3
    reasons = {Path(path).stem: reason for path, reason in foreground.missing.items()}
    assert list(reasons) == ["two", "long", "damaged"]
    assert reasons["long"] == "its mask has 9 frames, the video 8"
    assert reasons["damaged"].startswith("its mask cannot be read: ")


def test_compositions_are_the_sum_of_their_parts():
    clips, labels = staged(4)
    (data,) = [split_of(clips, labels, "test", with_boxes).data]
    x = clips.astype("float32") / 255
    made = ChangedClips(Foreground(data), appearance_free=False).of(
        x, [0, 1, 2, 3], labels.tolist()
    )
    inside, outside = np.s_[:, :, 8:16, 8:16], np.s_[:, :, :7]
    for name in ("scuba_stripes", "human_only", "action_swap"):
        np.testing.assert_array_equal(made[name][0][inside], x[inside])
    np.testing.assert_allclose(made["background_only"][0][outside], x[outside], atol=1e-6)
    scenes = made["background_only"][0][inside].mean(axis=(1, 2, 3, 4))
    assert ((scenes > 0.5) == labels).all()  # of the scene, not of the actor
    stills = made["scufo_stripes"][0]
    np.testing.assert_array_equal(stills[:, 0], made["scuba_stripes"][0][:, FRAMES // 2])
    assert (stills[:, :1] == stills).all()
    human = made["human_only"][0][outside]
    assert (
        np.ptp(human[0], axis=(0, 1, 2)).max() < 1e-6
        and (np.array(made["action_swap"][2]) == 1 - labels).all()
    )


def test_too_much_and_too_little_background_is_no_test():
    moved = {c: {"static": 0.9, "dynamic": 0.9} for c in ("shuffled", "background")}
    for replaced, said in ((0.99, "not tested"), (0.01, "not tested"), (0.9, "holds")):
        assert sensitivity_verdicts(moved, replaced)[2].startswith(said)
    rows = {
        name: {"static": {"top1": top1}, "chance": 0.5}
        for name, top1 in (("ordered", 0.9), ("first_frame", 0.55), ("background", 0.6))
    }
    assert bias_verdicts(rows, 0.97)[1].endswith("not tested, 97.0% of the pixels were replaced")
    assert "more than a still" in bias_verdicts(rows, 0.5)[0]
    rows["ordered"]["static"]["top1"] = 0.55
    assert bias_verdicts(rows, 0.5) == ["static: nothing (0.55, chance 0.50)"]
