"""What the index of a file says: counts, rates, times, key packets; of each container and way to make it."""

import gc
import os

import av
import numpy as np
import pytest

from bod_keras.data.video import VideoError
from bod_keras.data.video.video_file import VideoFile, opened
from bod_keras.data.video.video_index import video_index
from tests.remote_servers import serve_folder
from tests.stamped_videos import FRAMES, copy_video, read_stamp, times_of, write_video

CASES = {
    # file: codec, settings; the last three are streams without a container, and so without times
    "a.mp4": ("libx264", {}),
    "b.mp4": ("libx264", {"b_frames": 2}),
    "a.mkv": ("libx264", {}),
    "a.webm": ("libvpx", {}),
    "a.flv": ("flv", {}),
    "a.avi": ("mpeg4", {}),
    "b.avi": ("mpeg4", {"b_frames": 2}),
    "c.avi": ("libx264", {"b_frames": 2}),  # FFmpeg gives two frames one time
    "a.ts": ("libx264", {}),
    "b.ts": ("mpeg2video", {"b_frames": 2}),
    "a.mpg": ("mpeg2video", {}),
    "a.h264": ("libx264", {}),
    "b.m4v": ("mpeg4", {"b_frames": 2}),
    "a.m2v": ("mpeg2video", {}),
}


def write(folder, name):
    codec, settings = CASES[name]
    if codec == "libx264":
        settings = {
            **settings,
            "sc_threshold": "0",
        }  # or it puts key frames where the picture changes much
    return write_video(folder / name, codec, **settings)


@pytest.mark.parametrize("name", CASES)
def test_frames_rate_and_times(tmp_path, name):
    index = video_index(write(tmp_path, name))
    assert (index.count, index.headless, index.damaged) == (FRAMES, 0, 0)
    assert index.promised in (FRAMES, FRAMES + 1)
    assert index.fps == pytest.approx(25.0)
    assert index.times.shape == (FRAMES,)
    assert np.diff(index.times) == pytest.approx(np.full(FRAMES - 1, 0.04), abs=2e-3)
    assert index.times[0] == pytest.approx(0.0, abs=2e-3)


@pytest.mark.parametrize("name", ["a.mp4", "b.mp4", "a.mkv", "a.avi", "a.flv", "a.ts"])
def test_every_group_of_twelve_has_a_key_packet_that_leads_to_its_frames(tmp_path, name):
    path = write(tmp_path, name)
    index = video_index(path)
    assert [key.number for key in index.keys] == list(range(0, FRAMES, 12))
    assert [index.key_before(n).number for n in (0, 11, 12, 35, 36, 59)] == [0, 0, 12, 24, 36, 48]
    for key in index.keys[1:3]:
        with opened(path) as video:
            decoded = index.numbered(video, key)
            found = [
                (number, read_stamp(frame.to_ndarray(format="rgb24"))) for number, frame in decoded
            ]
        assert found == [(number, number) for number in range(key.number, FRAMES)]


def test_a_file_of_one_frame_has_a_rate_and_no_length(tmp_path):
    index = video_index(write_video(tmp_path / "one.mp4", images=[np.zeros((64, 96, 3), "uint8")]))
    assert (index.count, index.fps) == (1, 100.0) and index.times.tolist() == [0.0]


@pytest.mark.parametrize("kind", ["jitter", "dropped", "late"])
@pytest.mark.parametrize("name", ["v.mp4", "v.mkv", "v.ts"])
def test_times_are_those_of_the_file(tmp_path, kind, name):
    times = times_of(kind)
    index = video_index(write_video(tmp_path / name, times=times))
    expected = np.array(times) / 100
    assert index.times - index.times[0] == pytest.approx(expected - expected[0], abs=2e-3)
    rate = (FRAMES - 1) / (expected[-1] - expected[0])
    assert index.fps == pytest.approx(rate, rel=0.011)


@pytest.mark.parametrize(("first", "headless"), [(0, 0), (5, 7)])
def test_a_cut_between_key_packets_leaves_frames_without_their_beginning(tmp_path, first, headless):
    whole = write_video(tmp_path / "whole.ts", "mpeg2video")
    index = video_index(copy_video(whole, tmp_path / "cut.ts", first=first))
    assert index.headless == headless


def test_what_is_no_file_is_named(tmp_path):
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "empty.mp4").touch()
    for name, reason in (
        ("folder.mp4", "this is a folder"),
        ("empty.mp4", "the file is empty"),
        ("absent.mp4", "there is no such file"),
    ):
        with pytest.raises(VideoError, match=reason):
            video_index(tmp_path / name)


def test_names_that_are_no_utf8_are_read(tmp_path):
    for byte in (b"\x80", b"\xff"):  # the ends of the range that Python maps them to
        path = os.path.join(os.fsencode(tmp_path), b"a" + byte + b".mp4")
        os.rename(write_video(tmp_path / "plain.mp4"), path)
        assert video_index(os.fsdecode(path)).count == FRAMES


def test_files_that_change_are_indexed_again(tmp_path):
    path = tmp_path / "v.mp4"
    write_video(path)
    assert video_index(path).count == FRAMES
    write_video(path, times=times_of("constant", 20))
    assert video_index(path).count == 20
    assert av.open(str(path)).streams.video[0].frames == 20


def test_from_a_key_packet_on_nothing_before_it_is_read(tmp_path, monkeypatch):
    path = write(tmp_path, "a.mp4")
    index, read, packets = video_index(path), [], VideoFile.packets

    def noted(video):
        for packet in packets(video):
            read.append(packet.pos)
            yield packet

    monkeypatch.setattr(VideoFile, "packets", noted)
    (key,) = [key for key in index.keys if key.number == 48]
    with opened(path) as video:
        assert [n for n, _ in index.numbered(video, key)] == list(range(48, FRAMES))
    assert read[0] == key.position and len(read) == FRAMES - 48


def test_a_stream_promises_the_frames_that_its_decoder_refuses(tmp_path):
    path = write(tmp_path, "a.h264")
    with opened(path) as video:
        places = [(packet.pos, packet.size) for packet in video.packets()]
    data = bytearray(open(path, "rb").read())
    for position, size in places[30:33]:
        data[position + 8 : position + size] = bytes(size - 8)
    broken = tmp_path / "broken.h264"
    broken.write_bytes(data)
    index = video_index(broken)
    assert (index.count, index.promised) == (FRAMES - 3, FRAMES)
    assert index.numbers is None and index.keys == ()  # nothing says which packet a frame was in


@pytest.mark.filterwarnings("error")
def test_a_file_of_a_name_that_is_not_utf_8_is_closed(tmp_path):
    path = str(tmp_path / "\udce9.mp4")
    os.link(write(tmp_path, "a.mp4"), path)
    with opened(path) as video:
        assert len(list(video.frames())) == FRAMES
    del video
    gc.collect()  # a file that nobody closed would be told here


def test_what_goes_from_the_server_while_it_is_read_is_the_reason(tmp_path):
    """Nine megabytes: a block of four has come when the file goes."""
    noise = np.random.default_rng(0).integers(0, 255, (48, 256, 256, 3), np.uint8)
    path = write_video(tmp_path / "a.avi", "ffv1", images=list(noise))
    with serve_folder(tmp_path) as (address, _):
        with pytest.raises(VideoError, match="there is no such file"):
            with opened(f"{address}/a.avi") as video:
                os.remove(path)
                list(video.packets())


@pytest.mark.parametrize("name", ["a.mp4", "b.mp4", "a.mkv"])
def test_where_packets_say_all_only_the_last_group_is_decoded(tmp_path, monkeypatch, name):
    path, decoded, decode = write(tmp_path, name), [], VideoFile.decode_packet

    def noted(video, packet):
        decoded.append(packet)
        return decode(video, packet)

    monkeypatch.setattr(VideoFile, "decode_packet", noted)
    assert video_index(path).count == FRAMES
    assert 12 <= len(decoded) < FRAMES / 2


def test_of_a_remote_file_only_what_is_decoded_is_fetched(tmp_path):
    """Blocks of four megabytes: its first frame is in the first one, its last in the last."""
    noise = np.random.default_rng(0).integers(0, 255, (10, 320, 320, 3), np.uint8)
    options = {"flags": "+qscale", "global_quality": "118", "mux": {"movflags": "faststart"}}
    path = write_video(tmp_path / "a.mov", "mjpeg", images=14 * list(noise), **options)
    size = os.path.getsize(path)
    assert size > 3.2 * 4 * 2**20
    with serve_folder(tmp_path) as (address, requests):
        assert video_index(f"{address}/a.mov").count == 140
        ranges = [r.removeprefix("bytes=").split("-") for _, _, r in requests if r]
    assert sum(int(last) - int(first) + 1 for first, last in ranges) < size - 4 * 2**20


@pytest.mark.parametrize("name", ["a.mkv", "a.webm", "a.flv", "late.mkv"])
def test_a_header_that_states_the_end_promises_the_frames_that_are_cut_off(tmp_path, name):
    late = name.startswith("late")
    path = write_video(tmp_path / name, times=times_of("late")) if late else write(tmp_path, name)
    data = open(path, "rb").read()
    cut = tmp_path / f"cut-{name}"
    cut.write_bytes(data[: 6 * len(data) // 10])
    index = video_index(cut)
    assert 20 < index.count < 50
    assert index.promised == pytest.approx(FRAMES, abs=2)


def test_a_duration_that_ffmpeg_estimates_promises_nothing(tmp_path):
    rate = {"b": "30k", "maxrate": "30k", "bufsize": "327680"}
    path = write_video(tmp_path / "a.m1v", "mpeg1video", **rate)
    with opened(path) as video:
        assert (
            video.container.duration > 1.2e6 * FRAMES / 25
        )  # by the rate in its header, microseconds
    index = video_index(path)
    assert (index.count, index.promised) == (FRAMES, FRAMES)


@pytest.mark.parametrize("first", [20, 70])
def test_frames_in_a_damaged_part_of_matroska_are_promised(tmp_path, first):
    """FFmpeg passes over the damage without a word: bytes in no packet, and a hole in time."""
    noise = np.random.default_rng(0).integers(0, 255, (4, 64, 64, 3), np.uint8)
    path = write_video(tmp_path / "a.mkv", "mjpeg", images=25 * list(noise))
    with opened(path) as video:
        packets = [(packet.pos, packet.size) for packet in video.packets()]
    data = bytearray(open(path, "rb").read())
    (begin, _), (end, _) = packets[first], packets[first + 12]
    assert end - begin > 2 * max(size for _, size in packets) + 4096
    data[begin - 8 : end - 20] = bytes(end - begin - 12)
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(data)
    index = video_index(broken)
    assert index.count <= 88 and index.promised == 100


def test_sound_that_is_longer_than_the_picture_promises_no_frames(tmp_path):
    path = write_video(tmp_path / "a.mkv", times=times_of("constant", 20), sound=2)
    index = video_index(path)
    assert (index.count, index.promised) == (20, 20)
