import numpy as np
import pytest

from bod_keras.data import ArrayStore, ClipDataset, array_records


@pytest.fixture
def clips():
    return np.random.default_rng(0).integers(0, 255, (5, 12, 16, 20, 3), dtype=np.uint8)


def test_frames_are_those_of_the_array(clips):
    records = array_records(clips, labels=[4, 3, 2, 1, 0], split="train", fps=25.0)
    store = ArrayStore(records)
    assert [(record.path, record.label) for record in records][3] == ("array#3", 1)
    assert records[0].split == "train"
    assert store.length("array#3") == 12 and store.fps("array#3") == 25.0
    np.testing.assert_array_equal(store.frames("array#3", [7, 0, 7]), clips[3, [7, 0, 7]])


def test_lists_and_dictionaries_may_hold_any_sizes(clips):
    ragged = [clips[0], clips[1, :7, :8]]
    store = ArrayStore(array_records(ragged, name="mine"))
    assert [store.length(f"mine#{i}") for i in (0, 1)] == [12, 7]
    named = array_records({"walk/a": clips[0], "run/b": clips[1]})
    assert [record.path for record in named] == ["array#walk/a", "array#run/b"]


@pytest.mark.parametrize("name", ["clips.npy", "clips.npz"])
def test_arrays_of_files(tmp_path, clips, name):
    path = tmp_path / name
    if name.endswith("y"):
        np.save(path, clips)
        loaded = np.load(path, mmap_mode="r")
    else:
        np.savez(path, videos=clips)
        loaded = np.load(path)["videos"]
    records = array_records(loaded)
    np.testing.assert_array_equal(ArrayStore(records).frames("array#2", [3, 4]), clips[2, 3:5])
    # Nothing is copied: records look into the array that was given.
    assert all(np.shares_memory(record.video, loaded) for record in records)


def test_a_dataset_over_arrays(clips):
    dataset = ClipDataset(array_records(clips), frames=4, size=16, batch_size=5, cache_mb=1)
    batch = next(dataset.evaluation().as_numpy_iterator())
    assert batch["index"].tolist() == [0, 1, 2, 3, 4]
    # The center of the frame, all of its height: nothing is resized.
    np.testing.assert_allclose(batch["views"][2, 0] * 255, clips[2, 4:8, :, 2:18], atol=1e-3)


@pytest.mark.parametrize(
    "videos, message",
    [
        (np.zeros((2, 4, 8, 8, 3), np.float32), "0 to 255. Received: video 0 is .*float32"),
        (np.zeros((2, 4, 8, 8, 1), np.uint8), r"frames, height, width, 3.*\(4, 8, 8, 1\)"),
        (np.zeros((4, 8, 8, 3), np.uint8), r"uint8 array .*\(8, 8, 3\)"),
        ([np.zeros((4, 8, 8, 3), np.uint8), np.zeros((0, 8, 8, 3), np.uint8)], "video 1 is"),
        ({"a": [[1]]}, "video 'a' is list"),
        ([], "at least one video"),
    ],
)
def test_other_arrays_are_refused(videos, message):
    with pytest.raises(ValueError, match=message):
        array_records(videos)


def test_labels_must_fit(clips):
    with pytest.raises(ValueError, match="Received: 2 labels, 5 videos"):
        array_records(clips, labels=[0, 1])


def test_two_arrays_of_one_name_are_refused(clips):
    mixed = array_records(clips) + array_records(clips[::-1])
    with pytest.raises(ValueError, match="Two different arrays have the path 'array#0'"):
        ArrayStore(mixed)
    ArrayStore(array_records(clips) + array_records(clips[::-1], name="other"))
