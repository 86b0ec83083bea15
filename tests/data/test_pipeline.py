import sys

import numpy as np
import pytest

from bod_keras.data import ClipDataset, Record, clip_indices, even_views, read_frames
from bod_keras.data.processes import worker_pool
from tests.leaks import Leaks

OPTIONS = {"frames": 4, "size": 16, "batch_size": 2, "recipe": "cvrl"}


def records_of(paths):
    return [Record(path) for path in paths]


def collect(dataset, *arguments, **keywords):
    batches = list(dataset.training(*arguments, **keywords).as_numpy_iterator())
    return (
        np.concatenate([batch["views"] for batch in batches]),
        np.concatenate([batch["position"] for batch in batches]),
    )


def test_a_batch_has_the_promised_shape_and_range(videos):
    dataset = ClipDataset(records_of(videos), **OPTIONS, views=3)
    spec = dataset.training().element_spec
    assert spec["views"].shape == (2, 3, 4, 16, 16, 3) and spec["position"].shape == (2,)
    views, positions = collect(dataset, steps=2)
    assert views.dtype == np.float32 and 0 <= views.min() and views.max() <= 1
    assert views.max() > 0.05
    assert positions.tolist() == [0, 1, 2, 3]
    assert len(dataset) == 6 and dataset.steps_per_epoch == 3
    assert int(dataset.training(steps=7).cardinality()) == 7


def test_samples_do_not_depend_on_workers_or_cache(videos):
    first, _ = collect(ClipDataset(records_of(videos), **OPTIONS, workers=1), steps=5)
    for change in ({"workers": 0}, {"workers": 4}, {"cache_mb": 64}, {"cache_mb": 0.1}):
        other, _ = collect(ClipDataset(records_of(videos), **OPTIONS, **change), steps=5)
        np.testing.assert_array_equal(first, other)


@pytest.mark.parametrize("kind", ["training", "evaluation"])
def test_a_stream_that_nobody_has_any_more_takes_its_processes_along(kind, videos, tmp_path):
    """TensorFlow keeps what makes the batches for ever."""
    before = Leaks(tmp_path)
    stream = iter(getattr(ClipDataset(records_of(videos), **OPTIONS, workers=2), kind)())
    assert next(stream)["views"].shape[0] == 2
    assert [kind for kind, _ in before.found(patience=0.0)] == ["process"] * 2
    del stream
    assert before.found() == []


def test_processes_end_without_anything_to_do_and_start_again(videos, tmp_path, monkeypatch):
    """Keras and TensorFlow keep a generator after `fit`, so that it is never closed."""
    whole, _ = collect(ClipDataset(records_of(videos), **OPTIONS, workers=1), steps=8)
    monkeypatch.setattr(worker_pool, "_IDLE_SECONDS", 1.0)
    before = Leaks(tmp_path)
    dataset = ClipDataset(records_of(videos), **OPTIONS, workers=2, timeout=60)
    stream = dataset.training_numpy()
    found = [next(stream)[0]["views"]]
    assert before.found(patience=30.0) == []  # the stream is still there
    found += [next(stream)[0]["views"] for _ in range(7)]
    np.testing.assert_array_equal(np.concatenate(found), whole)
    assert dataset.skipped == {}
    stream.close()


def test_of_too_few_videos_the_broken_ones_are_named_first(videos, broken, tmp_path):
    names = ("sick.avi", "sick.mp4", "gone.mkv")
    (tmp_path / "sick.avi").write_bytes(b"no video at all")
    (tmp_path / "sick.mp4").touch()
    for name, reason in zip(names, ("no video stream", "the file is empty", "No such file")):
        for others in ([], videos[:2]):
            records = records_of([str(tmp_path / name), *others])
            message = f"1 of {len(records)} videos cannot be read: .*{name}: {reason}.*batch_size"
            with pytest.raises(ValueError, match=message):
                ClipDataset(records, **{**OPTIONS, "batch_size": 4})
    with pytest.raises(ValueError, match="^batch_size must be between 1 and the number of videos"):
        ClipDataset(records_of(videos[:2]), **{**OPTIONS, "batch_size": 4})


def test_resuming_continues_bit_for_bit(videos):
    whole, positions = collect(ClipDataset(records_of(videos), **OPTIONS), steps=8)
    resume_at = int(positions[2 * 5 - 1]) + 1
    dataset = ClipDataset(records_of(videos), **OPTIONS)
    rest, rest_positions = collect(dataset, resume_at, steps=3)
    np.testing.assert_array_equal(whole[10:], rest)
    np.testing.assert_array_equal(positions[10:], rest_positions)


def test_resuming_with_broken_files_continues_bit_for_bit(videos, broken):
    paths = [*videos, broken["cut.avi"][0], broken["zero.mp4"][0]]
    options = {**OPTIONS, "max_bad_share": 0.5}
    whole, positions = collect(ClipDataset(records_of(paths), **options), steps=8)
    assert positions[-1] > 15
    rest, _ = collect(ClipDataset(records_of(paths), **options), int(positions[7]) + 1, steps=4)
    np.testing.assert_array_equal(whole[8:], rest)


def test_seeds_and_epochs_differ(videos):
    first, _ = collect(ClipDataset(records_of(videos), **OPTIONS, seed=1), steps=3)
    other, _ = collect(ClipDataset(records_of(videos), **OPTIONS, seed=2), steps=3)
    assert (first != other).any()
    dataset = ClipDataset(records_of(videos), **OPTIONS)
    assert sorted(dataset.files(0, 5)) == sorted(dataset.files(6, 11)) == sorted(videos)
    assert any(dataset.files(0, 5) != dataset.files(e, e + 5) for e in (6, 12, 18))


def test_no_batch_holds_a_video_twice(videos):
    dataset = ClipDataset(records_of(videos[:5]), **OPTIONS)
    seen = set()
    for first in range(0, 60, 2):
        pair = dataset.files(first, first + 1)
        assert len(set(pair)) == 2
        seen.update(pair)
    assert seen == set(videos[:5])


def test_samples_show_the_files_that_are_named(videos):
    """Frame t of file i has the level 4 t + i, so the pixels tell file and frame."""
    dataset = ClipDataset(
        records_of(videos), frames=4, stride=2, size=16, batch_size=2, recipe="none"
    )
    views, positions = collect(dataset, steps=6)
    levels = np.rint(views[..., 8, 8, 0] * 255).astype(int)
    for sample, position in zip(levels, positions):
        index = videos.index(dataset.files(position, position)[0])
        assert (np.diff(sample, axis=1) == 8).all()
        assert ((sample[:, 0] - index) % 4 == 0).all()


def test_evaluation_gives_each_record_once_in_order(videos):
    dataset = ClipDataset(records_of(videos[:5]), **OPTIONS)
    batches = list(dataset.evaluation(views=2).as_numpy_iterator())
    assert [batch["index"].tolist() for batch in batches] == [[0, 1], [2, 3], [4]]
    assert batches[-1]["views"].shape == (1, 2, 4, 16, 16, 3)
    expected = read_frames(videos[4])[even_views(48, 4, 1, 2), 0, 0, 0]
    np.testing.assert_allclose(batches[-1]["views"][0, ..., 0, 0, 0] * 255, expected, atol=1e-3)


def test_short_videos_loop_and_are_named(videos):
    dataset = ClipDataset(
        records_of(videos), frames=13, stride=2, size=16, batch_size=2, recipe="none"
    )
    batch = next(iter(dataset.evaluation().as_numpy_iterator()))
    expected = read_frames(videos[0])[clip_indices(20, 13, 2, 0), 0, 0, 0]
    np.testing.assert_allclose(batch["views"][0, 0, :, 0, 0, 0] * 255, expected, atol=1e-3)
    collect(dataset, steps=6)
    assert dataset.looped == {videos[0]}


@pytest.mark.parametrize("kind", ["training", "evaluation"])
def test_broken_files_are_skipped_counted_and_named(videos, broken, kind):
    paths = [*videos, *(path for path, _ in broken.values())]
    dataset = ClipDataset(records_of(paths), **OPTIONS, max_bad_share=0.5)
    if kind == "training":
        _, positions = collect(dataset, steps=8)
        used = {path for p in positions for path in dataset.files(p, p)}
        assert used <= set(videos)
    else:
        batches = list(dataset.evaluation().as_numpy_iterator())
        assert np.concatenate([batch["index"] for batch in batches]).tolist() == list(range(6))
    assert set(dataset.skipped) == {path for path, _ in broken.values()}
    for path, reason in broken.values():
        assert reason in dataset.skipped[path]


def test_missing_files_are_skipped_too(videos, tmp_path):
    missing = str(tmp_path / "gone.mp4")
    dataset = ClipDataset(records_of([*videos, missing]), **OPTIONS, max_bad_share=0.2)
    assert sum(len(b["index"]) for b in dataset.evaluation().as_numpy_iterator()) == 6
    assert dataset.skipped == {missing: "there is no such file"}


def test_a_broken_file_is_not_opened_again(videos, broken, monkeypatch):
    from bod_keras.data.video import store

    opened = []
    real = store.readable_frames
    monkeypatch.setattr(store, "readable_frames", lambda path: opened.append(path) or real(path))
    bad = broken["zero.mp4"][0]
    options = {**OPTIONS, "batch_size": 1, "workers": 0, "max_bad_share": 0.5}
    dataset = ClipDataset(records_of([videos[0], bad]), **options)
    collect(dataset, steps=5)
    assert opened.count(bad) == 1


@pytest.mark.parametrize("share", [0.1, 1.0])
def test_all_broken_is_an_error_that_names_them(broken, share):
    paths = [path for path, _ in broken.values()]
    dataset = ClipDataset(records_of(paths), **OPTIONS, max_bad_share=share)
    with pytest.raises(Exception, match="of 5 video files cannot be read") as caught:
        collect(dataset, steps=1)
    assert any(path in str(caught.value) for path in paths)


def test_too_many_broken_is_an_error(videos, broken):
    dataset = ClipDataset(records_of([*videos, broken["text.mp4"][0]]), **OPTIONS)
    with pytest.raises(Exception, match=r"1 of 7 .*max_bad_share=0.1[\s\S]*text.mp4: no video"):
        collect(dataset, steps=4)


def test_damage_in_the_middle_costs_only_the_samples_there(videos, monkeypatch):
    from bod_keras.data import VideoError
    from bod_keras.data.video import store

    real = store.read_frames

    def damaged(path, indices, cut=None):
        if path == videos[5] and max(indices) >= 30:
            raise VideoError(path, "frame 30 cannot be decoded")
        return real(path, indices, cut)

    monkeypatch.setattr(store, "read_frames", damaged)
    options = {**OPTIONS, "max_bad_share": 0.5, "workers": 0}
    plain = ClipDataset(records_of(videos), **options)
    first, positions = collect(plain, steps=12)
    cached, _ = collect(ClipDataset(records_of(videos), **options, cache_mb=64), steps=12)
    np.testing.assert_array_equal(first, cached)
    used = [path for p in positions for path in plain.files(p, p)]
    assert 0 < used.count(videos[5]) < used.count(videos[4]) + 4
    assert plain.skipped == {videos[5]: "frame 30 cannot be decoded"}


@pytest.mark.parametrize(
    "change, message",
    [
        ({"frames": 1}, "one frame has no motion. Received: frames=1"),
        ({"views": 0}, "views must be at least 1. Received: views=0"),
        ({"batch_size": 7}, "Received: batch_size=7, 6 videos"),
        ({"batch_size": 0}, "Received: batch_size=0"),
        ({"stride": 0}, "Received: stride=0"),
        ({"workers": -1}, "Received: workers=-1"),
        ({"seed": -1}, "Received: seed=-1"),
        ({"cache_mb": -1}, "Received: cache_mb=-1"),
        ({"max_bad_share": 2}, "Received: max_bad_share=2"),
        ({"recipe": "x"}, "recipe must be one of"),
    ],
)
def test_wrong_arguments(videos, change, message):
    with pytest.raises(ValueError, match=message):
        ClipDataset(records_of(videos), **{**OPTIONS, **change})


def test_wrong_calls(videos):
    with pytest.raises(ValueError, match="at least one video"):
        ClipDataset([])
    dataset = ClipDataset(records_of(videos), **OPTIONS)
    with pytest.raises(ValueError, match="Received: position=-1"):
        dataset.training(-1)
    with pytest.raises(ValueError, match="Received: views=0"):
        dataset.evaluation(0)


def test_without_tensorflow_only_the_stream_is_missing(videos, monkeypatch):
    dataset = ClipDataset(records_of(videos), **OPTIONS)
    (expected, _) = collect(dataset, steps=2)
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    for stream in (dataset.training, dataset.evaluation):
        with pytest.raises(ImportError, match="needs TensorFlow: pip install.*training_numpy"):
            stream()
    batches = [batch for (batch,) in dataset.training_numpy(steps=2)]
    np.testing.assert_array_equal(np.concatenate([b["views"] for b in batches]), expected)
