"""What a ClipDataset can do besides reading a list of files: hosts, repetitions, spans, crops, devices."""

import contextlib
from collections import Counter

import keras
import numpy as np
import pytest

import bod_keras
from bod_keras.data import (
    ClipDataset,
    ClipSpec,
    Loading,
    Record,
    array_records,
    even_views,
    read_frames,
)
from bod_keras.data.loading.order import EpochOrder, video_numbers
from tests.tiers import slow

OPTIONS = {"frames": 4, "size": 16, "batch_size": 2, "recipe": "cvrl"}


def records_of(paths, labels=None):
    labels = labels or [None] * len(paths)
    return [Record(path, label=label) for path, label in zip(paths, labels)]


def collect(dataset, steps, position=0):
    batches = [batch for (batch,) in dataset.training_numpy(position, steps)]
    return tuple(np.concatenate([b[key] for b in batches]) for key in ("views", "position"))


def test_two_hosts_read_each_record_once_an_epoch_in_the_order_of_one(videos):
    def make(batch_size, **kwargs):
        return ClipDataset(records_of(videos), **{**OPTIONS, "batch_size": batch_size}, **kwargs)

    whole, positions = collect(make(2), steps=6)
    shown = Counter()
    for host in range(2):
        dataset = make(1, shard=(host, 2))
        assert dataset.steps_per_epoch == 3
        views, own = collect(dataset, steps=6)
        assert own.tolist() == positions[host::2].tolist()
        np.testing.assert_array_equal(views, whole[host::2])
        shown.update(path for g in own[:3] for path in dataset.files(g, g))
        # From the middle of an epoch on.
        rest, _ = collect(dataset, steps=2, position=8)
        np.testing.assert_array_equal(rest, views[4:])
    assert shown == dict.fromkeys(videos, 1)


def test_no_batch_straddling_epochs_holds_a_video_twice_after_a_broken_file(tmp_path):
    records = [
        *array_records(np.zeros((11, 4, 16, 16, 3), np.uint8)),
        Record(str(tmp_path / "gone.avi")),
    ]
    options = {**OPTIONS, "batch_size": 4, "workers": 0}
    dataset = ClipDataset(records, **options)
    _, positions = collect(dataset, steps=100)
    for batch in positions.reshape(-1, 4):
        assert len({path for g in batch for path in dataset.files(g, g)}) == 4
    shown = Counter(path for g in positions for path in dataset.files(g, g))
    assert len(shown) == 11 and min(shown.values()) > 20
    for step in range(0, 50, 7):  # a stream continues as if it had not been stopped
        _, rest = collect(
            ClipDataset(records, **options), 10, int(positions[4 * step - 1]) + 1 if step else 0
        )
        np.testing.assert_array_equal(rest, positions[4 * step : 4 * step + 40])


def test_no_batch_holds_a_video_twice_that_a_list_names_twice(videos):
    dataset = ClipDataset(
        records_of([*videos, *videos[:3]]), **{**OPTIONS, "batch_size": 3}, workers=0
    )
    _, positions = collect(dataset, steps=60)
    for batch in positions.reshape(-1, 3):
        assert len({path for g in batch for path in dataset.files(g, g)}) == 3
    assert positions.tolist() == list(range(180))  # nothing is left out


def test_fewer_videos_than_a_batch_holds(videos, tmp_path):
    with pytest.raises(bod_keras.UserError, match="batch_size=2, 1 videos in 3 records"):
        ClipDataset(records_of(videos[:1] * 3), **OPTIONS)
    records = [Record(videos[0]), Record(str(tmp_path / "gone.avi"))]
    dataset = ClipDataset(records, **OPTIONS, workers=0, max_bad_share=0.9)
    with pytest.raises(bod_keras.UserError, match="2 different videos.*1 of 2 files cannot"):
        collect(dataset, steps=1)


def test_a_span_is_all_that_is_shown_of_a_file(videos):
    """Frame t of file 5 has the level 4 t + 5, at 12 frames a second."""
    records = [Record(videos[5], span=(1.0, 2.5)), Record(videos[5], span=(3.0, 99.0))]
    records.append(Record(videos[0], span=(2.0, 3.0)))  # of a file of 20 frames
    options = {**OPTIONS, "recipe": "none", "max_bad_share": 0.9}
    dataset = ClipDataset(records, **options, views=40)
    views, positions = collect(dataset, steps=4)
    shown = {0: [], 1: []}
    order = EpochOrder(3, 2, videos=video_numbers(records))
    for sample, position in zip(views, positions):
        levels = np.rint(sample[:, :, 8, 8, 0] * 255).astype(int)
        index = order.locate(int(position))[1]
        shown[index] += ((levels - 5) // 4).ravel().tolist()
    assert (min(shown[0]), max(shown[0])) == (12, 29)
    assert (min(shown[1]), max(shown[1])) == (36, 54)
    reason = "the span 2 to 3 s begins after the end of the video, at 1.67 s"
    assert dataset.skipped == {videos[0]: reason}


def test_three_crops_are_both_ends_and_the_middle(tmp_path, write_video):
    clip = np.zeros((12, 16, 48, 3), np.uint8)
    for third, level in enumerate((20, 120, 220)):
        clip[:, :, 16 * third : 16 * third + 16] = level
    clip += np.arange(12, dtype=np.uint8)[:, None, None, None]
    path = write_video(tmp_path / "wide.avi", clip)
    dataset = ClipDataset([Record(path)], **{**OPTIONS, "batch_size": 1})
    ((batch),) = dataset.evaluation_numpy(views=10, crops=3)
    assert batch["views"].shape == (1, 30, 4, 16, 16, 3)
    (streamed,) = dataset.evaluation(views=10, crops=3).as_numpy_iterator()
    np.testing.assert_array_equal(batch["views"], streamed["views"])
    levels = np.rint(batch["views"][0, :, :, 8, 8, 0] * 255).reshape(10, 3, 4)
    expected = np.array([20, 120, 220])[:, None] + even_views(12, 4, 1, 10)[:, None, :]
    np.testing.assert_allclose(levels, expected, atol=1)
    with pytest.raises(ValueError, match="crops must be 1 .* or 3. Received: crops=2"):
        dataset.evaluation_numpy(crops=2)


@pytest.mark.parametrize("flip, expected", [(0.0, {False}), (1.0, {True}), (None, {False, True})])
def test_flips_can_be_turned_off(tmp_path, write_video, flip, expected):
    clip = np.zeros((12, 16, 16, 3), np.uint8)
    clip[:, :, :8] = 255
    paths = [write_video(tmp_path / f"{i}.avi", clip) for i in range(2)]
    options = {**OPTIONS, "recipe": "motion" if flip else "rho"}
    views, _ = collect(ClipDataset(records_of(paths), **options, flip=flip), steps=6)
    gray = views.mean(axis=(2, 3, 5))
    assert {bool(g) for g in (gray[..., 0] < gray[..., -1]).ravel()} == expected


def test_on_the_device_route_clips_are_whole_centered_squares(videos):
    dataset = ClipDataset(records_of(videos), **OPTIONS, augment="device", device_size=20)
    assert dataset.training().element_spec["views"].dtype == "uint8"
    views, positions = collect(dataset, steps=2)
    assert views.dtype == np.uint8 and views.shape == (4, 2, 4, 20, 20, 3)
    for sample, position in zip(views, positions):
        (path,) = dataset.files(position, position)
        known = {tuple(frame) for frame in read_frames(path)[:, 0, 0]}
        assert {tuple(frame) for frame in sample[:, :, 10, 10].reshape(-1, 3)} <= known
    augmenter = dataset.augmenter()
    assert augmenter.get_config()["jitter"] == (0.8, 0.8, 0.8, 0.2)
    assert augmenter(views, training=True).shape == (4, 2, 4, 16, 16, 3)
    assert ClipDataset(records_of(videos), **OPTIONS).augmenter() is None
    assert ClipSpec(size=16, augment="device").training_shape[2] == 19
    with pytest.raises(ValueError, match="augment must be one of cpu, device. Received: 'gpu'"):
        ClipDataset(records_of(videos), **OPTIONS, augment="gpu")


def make_model(dataset):
    encoder = bod_keras.encoders.FrameCNN((4, 16, 16, 3), widths=(4, 8))
    model = bod_keras.VSimCLR(encoder, augmenter=dataset.augmenter())
    model.compile(keras.optimizers.Adam(1e-3))
    return model


@pytest.mark.parametrize("augment", ["cpu", pytest.param("device", marks=slow)])
def test_fit_takes_numpy_batches_and_a_saved_model_goes_on_bit_for_bit(videos, tmp_path, augment):
    dataset = ClipDataset(records_of(videos), **OPTIONS, augment=augment)

    def fit(model, steps):
        position = int(model.next_position)
        with contextlib.closing(dataset.training_numpy(position)) as stream:
            model.fit(stream, steps_per_epoch=steps, verbose=0)

    model = make_model(dataset)
    fit(model, 3)
    assert int(model.next_position) == 6
    model.save(tmp_path / "model.keras")
    fit(model, 2)
    again = keras.models.load_model(tmp_path / "model.keras")
    fit(again, 2)
    for v, w in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(v, w, err_msg=v.path)


def test_the_device_route_draws_anew_each_step(videos):
    dataset = ClipDataset(records_of(videos), **OPTIONS, augment="device")
    model = make_model(dataset)
    batch = next(dataset.training_numpy())[0]
    losses = [float(model.test_on_batch(batch)) for _ in range(2)]
    assert losses[0] == losses[1]  # evaluation draws nothing
    model.optimizer.learning_rate = 0.0
    assert len({float(model.train_on_batch(batch)) for _ in range(3)}) == 3


def test_arrays_are_read_in_this_process():
    clips = np.arange(6 * 20, dtype=np.uint8).reshape(6, 20, 1, 1, 1)
    clips = np.ascontiguousarray(np.broadcast_to(clips, (6, 20, 16, 16, 3)))
    options = {**OPTIONS, "recipe": "none", "workers": 2, "timeout": 1e-9}
    dataset = ClipDataset(array_records(clips), **options)
    views, positions = collect(dataset, steps=3)
    levels = np.rint(views[..., 0, 0, 0] * 255).astype(int)
    for sample, position in zip(levels, positions):
        (path,) = dataset.files(int(position), int(position))
        assert (sample // 20 == int(path.removeprefix("array#"))).all()
        assert (np.diff(sample, axis=1) == 1).all()


def test_specifications_and_single_settings_say_the_same(videos):
    records, clips = records_of(videos), ClipSpec(frames=4, size=16, recipe="motion")
    short = ClipDataset(records, batch_size=2, frames=4, size=16, recipe="motion", workers=0)
    long = ClipDataset(records, clips, Loading(workers=0), batch_size=2)
    assert (short.clips, short.loading) == (long.clips, long.loading)
    np.testing.assert_array_equal(collect(short, 3)[0], collect(long, 3)[0])
    changed = ClipDataset(records, clips, batch_size=2, stride=3, cache_mb=5)
    assert changed.clips == ClipSpec(frames=4, size=16, recipe="motion", stride=3)
    assert changed.loading == Loading(cache_mb=5)
    with pytest.raises(
        TypeError, match="no argument 'framse'. Expected a field of ClipSpec, augment"
    ):
        ClipDataset(records, framse=4)


def test_labels_come_with_their_clips():
    clips = np.ascontiguousarray(
        np.broadcast_to(40 * np.arange(6, dtype=np.uint8).reshape(6, 1, 1, 1, 1), (6, 5, 16, 16, 3))
    )
    options = {**OPTIONS, "recipe": "none", "labels": range(10, 16)}
    dataset = ClipDataset(array_records(clips), **options)
    streamed = list(dataset.training(steps=3).as_numpy_iterator())
    batches = [batch for (batch,) in dataset.training_numpy(steps=3)]
    for batch in (*streamed, *batches, *dataset.evaluation_numpy()):
        levels = np.rint(batch["views"][:, 0, 0, 0, 0, 0] * 255).astype(int)
        assert batch["label"].dtype == np.int32
        assert (levels == 40 * (batch["label"] - 10)).all()


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {"labels": [0]},
            r"labels must hold one class for each of the 6 records. Received: shape .1,.",
        ),
        (
            {"timeout": 0},
            "timeout must be more than 0 seconds, and at most 1,000,000. Received: timeout=0",
        ),
        ({"shard": (1, 1)}, r"Received: shard=\(1, 1\)"),
        ({"flip": 2.0}, "flip must be a probability"),
    ],
)
def test_wrong_arguments(videos, change, message):
    with pytest.raises(ValueError, match=message):
        ClipDataset(records_of(videos), **{**OPTIONS, **change})


@pytest.mark.parametrize(
    "setting",
    [
        {"frames": 10**9},
        {"views": 10**9},
        {"size": 10**9},
        {"device_size": 10**9},
        {"workers": 10**9},
        {"timeout": float("inf")},
        {"timeout": float("nan")},
        {"cache_mb": 1e30},
    ],
)
def test_numbers_beyond_all_sense_are_refused(setting):
    (name,) = setting
    with pytest.raises(bod_keras.UserError, match=f"{name} must be .*at most.*Received: {name}="):
        ClipDataset([Record("a.mp4")], batch_size=1, **setting)


def test_a_batch_that_no_memory_holds_is_refused():
    records = [Record(f"{i}.mp4") for i in range(9)]
    with pytest.raises(bod_keras.UserError, match="needs 5,400 GiB.*Lower batch_size"):
        ClipDataset(records, batch_size=9, frames=100, size=8192, views=32)
