import os

import numpy as np
import pytest

from bod_keras.data import VideoError, count_frames, probe, read_frames, readable_frames

# Every name is legal on a file system; FFmpeg, glob and printf each stumble over some of them.
NAMES = [
    "plain.avi",
    "with space.avi",
    "[brackets](1).avi",
    "100%.avi",
    "clip%03d.avi",
    "käse_動画.avi",
    "-leading-dash.avi",
    "proto:col.avi",
    "#hash&and'quote.avi",
]


@pytest.fixture(scope="module")
def long_video(tmp_path_factory, write_video):
    clip = np.random.default_rng(1).integers(0, 255, (150, 16, 16, 3), dtype=np.uint8)
    return write_video(tmp_path_factory.mktemp("long") / "long.avi", clip), clip


def test_probe_reads_the_header(videos):
    info = probe(videos[1])
    assert (info.frames, info.height, info.width) == (27, 24, 32)
    assert info.fps == pytest.approx(12.0)


@pytest.mark.parametrize(
    "indices", [[0], [149], [100, 3, 3, 149], [5, 4, 3], list(range(60, 92, 2)), [0, 70, 140]]
)
def test_frames_are_exactly_those_asked_for(long_video, indices):
    path, clip = long_video
    np.testing.assert_array_equal(read_frames(path, indices), clip[indices])


def test_none_reads_all_frames(long_video):
    path, clip = long_video
    np.testing.assert_array_equal(read_frames(path), clip)
    assert count_frames(path) == readable_frames(path) == 150


def test_seek_is_exact_in_a_codec_with_key_frames(tmp_path, write_video, ramp_clip):
    path = write_video(tmp_path / "a.mp4", ramp_clip(200), "mp4v")
    every = read_frames(path)
    for start in (35, 77, 130, 198):
        np.testing.assert_array_equal(read_frames(path, [start, start + 1]), every[start:][:2])


@pytest.mark.parametrize("name", ["a.mkv", "a.ts", "a.webm"])
def test_containers_that_store_times_only(tmp_path, name, write_video, ramp_clip):
    codec = {"a.mkv": "FFV1", "a.ts": "mp4v", "a.webm": "VP80"}[name]
    path = write_video(tmp_path / name, ramp_clip(90), codec)
    every = read_frames(path)
    assert readable_frames(path) == len(every)
    for start in (40, 60, len(every) - 2):
        np.testing.assert_array_equal(read_frames(path, [start, start + 1]), every[start:][:2])


@pytest.mark.parametrize("name", NAMES)
def test_unusual_names(tmp_path, monkeypatch, name, write_video, ramp_clip):
    monkeypatch.chdir(tmp_path)  # so that the name is used as it is, dash first
    clip = ramp_clip(5)
    write_video(tmp_path / "plain.avi", clip)
    (tmp_path / "plain.avi").rename(tmp_path / name)
    np.testing.assert_array_equal(read_frames(name), clip)


@pytest.mark.parametrize("name", ["cut.avi", "cut.mp4", "zero.mp4", "text.mp4", "sound.avi"])
def test_broken_files_say_what_is_wrong(broken, name):
    path, reason = broken[name]
    with pytest.raises(VideoError, match=reason) as caught:
        readable_frames(path)
    assert caught.value.path == path and reason in caught.value.reason
    assert path in str(caught.value)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(VideoError, match="no such file"):
        probe(tmp_path / "none.mp4")
    with pytest.raises(VideoError, match="folder"):
        read_frames(tmp_path)


def test_a_name_that_is_no_text(tmp_path, videos):
    path = os.fsencode(tmp_path) + b"/\xff.avi"
    os.symlink(videos[0], path)
    np.testing.assert_array_equal(read_frames(os.fsdecode(path)), read_frames(videos[0]))


def test_truncated_file_still_gives_its_first_frames(broken):
    path, _ = broken["cut.avi"]
    count = count_frames(path)
    assert 0 < count < probe(path).frames == 40
    assert read_frames(path, [0, count - 1]).shape == (2, 32, 32, 3)
    with pytest.raises(VideoError, match=f"frame {count} cannot be decoded"):
        read_frames(path, [0, count])


def test_a_frame_beyond_the_end_is_an_error(videos):
    with pytest.raises(VideoError, match="frame 20 cannot be decoded .* 20 frames"):
        read_frames(videos[0], [20])


@pytest.mark.parametrize("indices", [[], [-1], [0.5], [[0, 1]]])
def test_wrong_indices(videos, indices):
    with pytest.raises(ValueError, match="indices must be a non-empty list"):
        read_frames(videos[0], indices)


def test_a_changed_file_is_measured_again(tmp_path, write_video, ramp_clip):
    path = write_video(tmp_path / "a.avi", ramp_clip(40))
    assert readable_frames(path) == 40
    write_video(tmp_path / "a.avi", ramp_clip(50))
    assert readable_frames(path) == 50
