"""What a ClipDataset can do besides reading a list of files: hosts, groups, spans, crops, devices, NumPy."""

from collections import Counter

import keras
import numpy as np
import pytest

import bod_keras
from bod_keras.data import ClipDataset, Record, array_records, even_views, read_frames

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


def test_classes_are_shown_equally_often(videos):
    dataset = ClipDataset(records_of(videos, [0, 0, 0, 0, 1, 1]), **OPTIONS, class_balanced=True)
    shown = Counter(dataset.files(0, 6 * 20 - 1))
    assert sum(shown[path] for path in videos[:4]) == sum(shown[path] for path in videos[4:]) == 60
    assert max(shown.values()) - min(shown.values()) < 25 and len(shown) == 6
    with pytest.raises(ValueError, match="needs a label.*Received: 6 of 6"):
        ClipDataset(records_of(videos), **OPTIONS, class_balanced=True)


def test_data_sets_are_mixed_by_weight_and_resume_exactly(videos):
    parts = [records_of(videos[:2]), records_of(videos[2:])]
    dataset = ClipDataset(parts, **OPTIONS, weights=(1.0, 1.0))
    assert len(dataset) == 6
    shown = Counter(dataset.files(0, 6 * 10 - 1))
    assert sum(shown[path] for path in videos[:2]) == 30
    whole, positions = collect(dataset, steps=6)
    rest, _ = collect(ClipDataset(parts, **OPTIONS, weights=(1, 1)), 3, int(positions[5]) + 1)
    np.testing.assert_array_equal(whole[6:], rest)
    unweighted = ClipDataset(parts, **OPTIONS)
    assert sorted(unweighted.files(0, 5)) == sorted(videos)
    with pytest.raises(ValueError, match=r"Received: 3 weights, 2 data set\(s\)"):
        ClipDataset(parts, **OPTIONS, weights=(1, 1, 1))
    with pytest.raises(ValueError, match="exclude each other"):
        ClipDataset(parts, **OPTIONS, weights=(1, 1), class_balanced=True)


def test_a_span_is_all_that_is_shown_of_a_file(videos):
    """Frame t of file 5 has the level 4 t + 5, at 12 frames a second."""
    records = [Record(videos[5], span=(1.0, 2.5)), Record(videos[5], span=(3.0, 99.0))]
    records.append(Record(videos[0], span=(2.0, 3.0)))  # of a file of 20 frames
    options = {**OPTIONS, "recipe": "none", "max_bad_share": 0.9}
    dataset = ClipDataset(records, **options, views=40)
    views, positions = collect(dataset, steps=4)
    shown = {0: [], 1: []}
    for sample, position in zip(views, positions):
        levels = np.rint(sample[:, :, 8, 8, 0] * 255).astype(int)
        index = dataset._order.locate(int(position))[1]
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
    grey = views.mean(axis=(2, 3, 5))
    assert {bool(g) for g in (grey[..., 0] < grey[..., -1]).ravel()} == expected


def test_on_the_device_route_clips_are_whole_centred_squares(videos):
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
    assert ClipDataset(records_of(videos), **OPTIONS, augment="device")._training_shape[2] == 19
    with pytest.raises(ValueError, match="augment must be 'cpu' or 'device'. Received: 'gpu'"):
        ClipDataset(records_of(videos), **OPTIONS, augment="gpu")


def make_model(dataset):
    encoder = bod_keras.encoders.FrameCNN((4, 16, 16, 3), widths=(4, 8))
    model = bod_keras.VSimCLR(encoder, augmenter=dataset.augmenter())
    model.compile(keras.optimizers.Adam(1e-3))
    return model


@pytest.mark.parametrize("augment", ["cpu", "device"])
def test_fit_takes_numpy_batches_and_a_saved_model_goes_on_bit_for_bit(videos, tmp_path, augment):
    dataset = ClipDataset(records_of(videos), **OPTIONS, augment=augment)

    def fit(model, steps):
        position = int(model.next_position)
        model.fit(dataset.training_numpy(position), steps_per_epoch=steps, verbose=0)

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
    dataset = ClipDataset(array_records(clips), **{**OPTIONS, "recipe": "none"})
    assert dataset.workers == 0
    views, positions = collect(dataset, steps=3)
    levels = np.rint(views[..., 0, 0, 0] * 255).astype(int)
    for sample, position in zip(levels, positions):
        index = dataset._order.locate(int(position))[1]
        assert (sample // 20 == index).all() and (np.diff(sample, axis=1) == 1).all()


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
        ({"timeout": 0}, "timeout must be more than 0 seconds. Received: timeout=0"),
        ({"gap_law": "x"}, "gap_law must be one of"),
        ({"shard": (1, 1)}, r"Received: shard=\(1, 1\)"),
        ({"flip": 2.0}, "flip must be a probability"),
    ],
)
def test_wrong_arguments(videos, change, message):
    with pytest.raises(ValueError, match=message):
        ClipDataset(records_of(videos), **{**OPTIONS, **change})
