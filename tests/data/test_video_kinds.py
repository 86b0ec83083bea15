"""Files of every kind: a frame is the one that was asked for, or the file is refused with a reason."""

import os
import re
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from bod_keras.data import Catalog, ClipDataset, Record, VideoError, open_store, probe, write_shards
from bod_keras.data.record_frames import record_frames
from bod_keras.data.verify import verify
from bod_keras.data.video import iterate_frames, read_frames, readable_frames, video_file
from bod_keras.data.video.check import check_video
from bod_keras.data.video.video import count_frames, frame_times
from bod_keras.data.video.video_index import video_index
from tests.remote_servers import serve_folder
from tests.stamped_videos import (
    FRAMES,
    copy_video,
    join_videos,
    read_stamp,
    stamp,
    times_of,
    turn_header,
    write_video,
)
from tests.tiers import first_of
from tests.video_files import make_ramp_clip, save_video


def assert_exact(path, numbers):
    """Each frame, asked for alone, is that of stepping through the file, and shows its number."""
    steps = list(iterate_frames(path))
    assert [read_stamp(frame) for frame in steps] == list(numbers)
    assert readable_frames(path) == count_frames(path) == len(steps)
    for number in np.random.default_rng(0).permutation(len(steps)):
        np.testing.assert_array_equal(read_frames(path, [number])[0], steps[number])
    mixed = np.random.default_rng(1).integers(len(steps), size=9)
    np.testing.assert_array_equal(read_frames(path, mixed), np.stack([steps[n] for n in mixed]))


@pytest.mark.parametrize("kind", ["jitter", "dropped", "late"])
@pytest.mark.parametrize(
    "name, codec",
    [("a.mp4", "libx264"), ("a.mkv", "mpeg4"), ("a.webm", "libvpx"), ("a.ts", "mpeg2video")],
)
def test_a_variable_rate_and_a_late_start(tmp_path, kind, name, codec):
    path = write_video(tmp_path / name, codec, times_of(kind))
    assert_exact(path, range(60))
    assert check_video(path, full=True)["variable_rate"] == (kind != "late")
    times = np.array(times_of(kind)) / 100
    np.testing.assert_allclose(frame_times(path), times - times[0], atol=1e-3)


@pytest.mark.parametrize("frames", [4, 8, 16, 24])
@pytest.mark.parametrize("start", [0, 30])
@pytest.mark.parametrize(
    "name, codec",
    [("a.mkv", "libx264"), ("a.webm", "libvpx"), ("a.flv", "libx264"), ("a.wmv", "wmv2")],
)
def test_a_short_file_is_whole(tmp_path, name, codec, start, frames):
    """A header states the end with the last frame's duration, the delay of B-frames and a late start."""
    b_frames = 2 if codec == "libx264" else 0
    times = [start + 8 * n for n in range(frames)]
    path = write_video(tmp_path / name, codec, times, b_frames=b_frames)
    assert readable_frames(path) == frames


@pytest.mark.parametrize(
    "name, codec, options",
    [
        ("a.mp4", "libx264", {"b_frames": 3, "x264-params": "open-gop=1"}),
        ("a.mkv", "libx265", {"x265-params": "bframes=3:open-gop=1:log-level=none"}),
        ("a.avi", "libx264", {"b_frames": 2}),
        ("a.avi", "mpeg4", {"b_frames": 2}),
        ("a.mpg", "mpeg2video", {"b_frames": 2}),
        ("a.mpg", "mpeg2video", {}),
        ("a.ts", "libx264", {"b_frames": 2}),
        ("a.flv", "libx264", {"b_frames": 2}),
        ("a.mp4", "libx264", {"x264-params": "intra-refresh=1"}),
        ("a.mp4", "libx264", {"mux": {"movflags": "frag_keyframe+empty_moov"}}),
        ("a.webm", "libvpx", {"auto-alt-ref": "1", "lag-in-frames": "16", "deadline": "good"}),
        ("a.mp4", "libsvtav1", {}),
    ],
)
def test_a_constant_rate_in_any_order_of_packets(tmp_path, name, codec, options):
    path = write_video(tmp_path / name, codec, **options)
    assert_exact(path, range(60))
    assert check_video(path, full=True)["variable_rate"] is False
    assert probe(path).fps == pytest.approx(25)


@pytest.mark.parametrize("name", ["a.mp4", "a.mov"])
@pytest.mark.parametrize("codec, b_frames", [("libx264", 0), ("libx264", 2), ("libx265", 0)])
def test_what_an_edit_list_hides_is_no_frame(tmp_path, name, codec, b_frames):
    whole = write_video(tmp_path / f"whole-{name}", codec, b_frames=b_frames)
    path = copy_video(whole, tmp_path / name, shift=-17)
    assert_exact(path, range(17, 60))


@pytest.mark.parametrize("name", ["a.mkv", "a.ts", "a.mp4"])
def test_a_copy_that_does_not_begin_with_a_key_frame(tmp_path, name):
    whole = write_video(tmp_path / f"whole-{name}", "libx264", b_frames=2)
    path = copy_video(whole, tmp_path / name, first=7)
    steps = [read_stamp(frame) for frame in iterate_frames(path)]
    assert steps == sorted(steps) and steps[-1] == 59
    assert_exact(path, steps)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm", "a.flv"])
def test_sound_that_outlasts_the_pictures(tmp_path, name):
    codec = "libvpx" if name == "a.webm" else "libx264"
    assert_exact(write_video(tmp_path / name, codec, sound=6), range(60))


@pytest.mark.parametrize("codec", ["mpeg4", "msmpeg4", "ffv1"])
def test_dropped_frames_in_avi(tmp_path, codec):
    assert_exact(write_video(tmp_path / "a.avi", codec, times_of("dropped")), range(60))


@pytest.mark.parametrize(
    "matrix, turn",
    [
        ((0, 1, -1, 0), lambda frame: np.rot90(frame, -1)),  # held upright
        ((-1, 0, 0, -1), lambda frame: np.rot90(frame, 2)),
        ((0, -1, 1, 0), np.rot90),
        ((-1, 0, 0, 1), lambda frame: frame[:, ::-1]),  # seen in a mirror
        ((1, 0, 0, 1), lambda frame: frame),
    ],
)
def test_the_rotation_of_the_header_is_applied(tmp_path, matrix, turn):
    path = write_video(tmp_path / "a.mp4", "libx264")
    plain = read_frames(path)
    turn_header(path, *matrix)
    expected = np.stack([turn(frame) for frame in plain])
    np.testing.assert_array_equal(read_frames(path), expected)
    np.testing.assert_array_equal(read_frames(path, [40, 3]), expected[[40, 3]])
    assert (probe(path).height, probe(path).width) == expected.shape[1:3]
    cut = read_frames(path, [40], lambda frame, _: frame[5:20, 10:40])
    np.testing.assert_array_equal(cut[0], expected[40, 5:20, 10:40])


@pytest.mark.parametrize(
    "aspect, width", [("2/1", 192), ("1/2", 48), ("100/99", 96), ("1/100", 96)]
)
def test_pixels_become_square(tmp_path, aspect, width):
    def setup(stream):
        stream.codec_context.sample_aspect_ratio = Fraction(aspect)

    path = write_video(tmp_path / "a.mp4", "libx264", setup=setup)
    frames = read_frames(path, [30, 59])
    assert frames.shape == (2, 64, width, 3) and probe(path).width == width
    assert [read_stamp(frame) for frame in frames] == [30, 59]


@pytest.mark.parametrize("grow", [True, False])
@pytest.mark.parametrize(
    "name, codec", [("a.webm", "libvpx"), ("a.ts", "libx264"), ("a.mkv", "mjpeg")]
)
def test_a_size_that_changes(tmp_path, grow, name, codec):
    import cv2

    small = [stamp(n) for n in range(20)]
    large = [cv2.resize(stamp(n), (192, 128)) for n in range(20, 40)]
    parts = [small, large] if grow else [large, small]
    parts = [
        write_video(tmp_path / f"{i}{name}", codec, images=part, gop=5)
        for i, part in enumerate(parts)
    ]
    path = join_videos(parts, tmp_path / name)
    numbers = [*range(40)] if grow else [*range(20, 40), *range(20)]
    assert_exact(path, numbers)
    assert read_frames(path).shape == (40, *((64, 96) if grow else (128, 192)), 3)


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile other.avi\n",
        "ffconcat version 1.0\nfile pipe\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nother.avi\n#EXT-X-ENDLIST\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 32\n",
    ],
    ids=["ffconcat", "ffconcat of a pipe", "hls", "sdp"],
)
@pytest.mark.parametrize("name", ["list.avi", "list\udcff.avi"], ids=["text", "bytes"])
def test_a_text_that_names_other_files_is_no_video(tmp_path, name, text):
    """FFmpeg would read the files of others under this one's name, or wait for ever."""
    save_video(tmp_path / "other.avi", make_ramp_clip(20))
    os.mkfifo(tmp_path / "pipe")
    path = os.path.join(tmp_path, name)
    with open(path, "w") as file:
        file.write(text)
    found = check_video(path)
    assert found["state"] == "unreadable" and "it is a text that begins with" in found["reason"]
    with pytest.raises(VideoError, match="no video stream that FFmpeg can read"):
        read_frames(path, [0])


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.mov"])
def test_of_several_tracks_the_default_one_is_read(tmp_path, name):
    with av.open(str(tmp_path / name), "w") as container:
        streams = [container.add_stream("mpeg4", rate=25) for _ in range(2)]
        for stream, kind in zip(streams, (0, av.stream.Disposition.default)):
            stream.width, stream.height, stream.disposition = 96, 64, kind
        for number in range(30):
            for stream, offset in zip(streams, (500, 0)):
                frame = av.VideoFrame.from_ndarray(stamp(number + offset), format="rgb24")
                frame.pts = number
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode(None))
    assert_exact(str(tmp_path / name), range(30))


def test_a_codec_without_a_decoder_is_named(tmp_path):
    path = write_video(tmp_path / "a.mp4", "libx264")
    data = open(path, "rb").read()
    for tag in (b"zzz1", b"evc1"):
        with open(path, "wb") as stream:
            stream.write(data.replace(b"avc1", tag).replace(b"avcC", b"free"))
        with pytest.raises(VideoError, match="codec.*" + tag.decode()):
            readable_frames(path)


@pytest.mark.parametrize("start", [0.0, 0.5, 0.26, 1.02])
def test_one_second_at_25_a_second_has_25_frames(tmp_path, start):
    for name, codec in (("a.mp4", "libx264"), ("a.mkv", "libvpx"), ("a.avi", "mpeg4")):
        path = write_video(tmp_path / name, codec, images=[stamp(n) for n in range(75)])
        first, number = record_frames(open_store([]), Record(path, span=(start, start + 1)))
        assert number == 25 and first == int(np.ceil(round(25 * start, 6)))


def test_spans_follow_the_times_of_the_frames(tmp_path):
    """Sound begins at 0, pictures at 1.6 s; and a rate that halves."""
    path = write_video(tmp_path / "late.mkv", "libx264", times_of("late"), sound=2)
    assert record_frames(open_store([]), Record(path, span=(2.0, 3.0))) == (10, 25)
    times = [*range(0, 100, 4), *range(100, 300, 8)]
    for name in ("a.mp4", "a.mkv", "a.webm"):
        path = write_video(tmp_path / name, "libvpx" if name == "a.webm" else "libx264", times)
        store = open_store([])
        assert record_frames(store, Record(path, span=(0.0, 1.0))) == (0, 25)
        assert record_frames(store, Record(path, span=(1.0, 2.0))) == (25, 13)
        with pytest.raises(VideoError, match="begins after the end of the video, at 2.9"):
            record_frames(store, Record(path, span=(4.0, 5.0)))


@pytest.mark.parametrize("codec", ["libx264", "mpeg4", "libvpx-vp9"])
def test_files_that_are_open_at_a_time_do_not_disturb_each_other(tmp_path, codec):
    b_frames = 0 if codec == "libvpx-vp9" else 2
    paths = [write_video(tmp_path / f"{i}.mp4", codec, b_frames=b_frames) for i in range(3)]
    for frames in zip(*map(iterate_frames, paths), range(60), strict=True):
        assert [read_stamp(frame) for frame in frames[:3]] == 3 * [frames[3]]
    with ThreadPoolExecutor(4) as pool:
        orders = [np.random.default_rng(seed).permutation(60) for seed in range(12)]
        for order, frames in zip(orders, pool.map(read_frames, 4 * paths, orders)):
            assert [read_stamp(frame) for frame in frames] == order.tolist()


def damaged(path, where):
    """An MP4 file with all bytes of some packets zero."""
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(open(path, "rb").read())
    for position, size in packets[where]:
        data[position : position + size] = bytes(size)
    with open(path, "wb") as stream:
        stream.write(data)
    return str(path)


def judgements(path, other, tmp_path):
    """What verify, shards, training and evaluation say of a file: a reason or None."""
    verified = check_video(path, full=True)["reason"]
    manifest = write_shards([Record(path), Record(other)], tmp_path / "shards", workers=0)
    packed = {skipped["source"]: skipped["reason"] for skipped in manifest["skipped"]}
    settings = dict(frames=16, size=32, batch_size=1, workers=0, recipe="none", max_bad_share=0.9)
    seen = []
    for stream in ("training", "evaluation"):
        data = ClipDataset([Record(path), Record(other), Record(other)], **settings)
        if stream == "training":
            for _ in data.training_numpy(steps=30):
                pass
        else:
            list(data.evaluation_numpy(views=8))
        seen.append(data.skipped.get(path))
    return [verified, packed.get(path), *seen]


@pytest.mark.parametrize("codec", ["mpeg4", "libvpx-vp9", "mjpeg"])
def test_damage_is_one_judgement(tmp_path, codec):
    """Of frames in the middle: the first that is missing is named. At the end: there are fewer frames."""
    other = write_video(tmp_path / "other.mp4", "mpeg4")
    path = damaged(write_video(tmp_path / "middle.mp4", codec), slice(30, 36))
    reasons = judgements(path, other, tmp_path / "middle")
    assert all("of 60 cannot be decoded" in reason for reason in reasons)
    path = damaged(write_video(tmp_path / "end.mp4", codec), slice(57, 60))
    assert judgements(path, other, tmp_path / "end") == [None] * 4
    assert readable_frames(path) == len(list(iterate_frames(path))) == 57


@pytest.mark.parametrize("error", [RuntimeError("odd"), MemoryError(), AssertionError("size")])
def test_whatever_a_decoder_raises_is_the_fault_of_the_file(tmp_path, monkeypatch, error):
    path, other = write_video(tmp_path / "a.mp4"), write_video(tmp_path / "b.mp4", "mpeg4")
    real = video_file.VideoFile.decode_packet

    def broken(self, packet):
        if self.path == path:
            raise error
        return real(self, packet)

    monkeypatch.setattr(video_file.VideoFile, "decode_packet", broken)
    reasons = judgements(path, other, tmp_path)
    assert all("cannot be decoded: h264" in reason for reason in reasons)


@pytest.mark.parametrize(
    "name, codec", [("a.mp4", "libx264"), ("a.mov", "mpeg4"), ("a.mkv", "libx264")]
)
def test_a_remote_file_has_the_same_index(tmp_path, name, codec):
    path = write_video(tmp_path / name, codec, times_of("jitter"), b_frames=2)
    with serve_folder(tmp_path) as (address, _):
        local, away = video_index(path), video_index(f"{address}/{name}")
        np.testing.assert_array_equal(local.numbers, away.numbers)
        np.testing.assert_array_equal(local.times, away.times)
        assert (local.keys, local.promised) == (away.keys, away.promised)
        np.testing.assert_array_equal(read_frames(f"{address}/{name}"), read_frames(path))


@pytest.mark.parametrize("lost", first_of([[7, 8, 31], [30], [43]]))
@pytest.mark.parametrize(
    "name, codec, b_frames",
    [
        ("a.mkv", "libx264", 2),
        ("a.webm", "libvpx-vp9", 0),
        ("a.mkv", "mpeg4", 0),
        ("a.mpg", "mpeg2video", 0),
        ("a.ts", "mpeg1video", 2),
        ("a.mp4", "mjpeg", 0),
    ],
)
def test_packets_that_are_lost_without_a_trace_are_told_by_the_gap(
    tmp_path, name, codec, b_frames, lost
):
    whole = write_video(tmp_path / name, codec, b_frames=b_frames, gop=5)
    path = tmp_path / f"lost-{name}"
    copy_video(whole, path, without=lost)
    for full in (False, True):
        assert check_video(whole, full)["gaps"] is None
        assert re.match(r"\d+ frames? missing, the first after \d", check_video(path, full)["gaps"])
    found = verify(Catalog([Record(str(path))]), journal=tmp_path / "journal")
    assert found["counts"]["gaps"] == 1 and found["counts"]["truncated"] == 0


def uneven(frames=FRAMES):
    """Times of a rate that varies: 40 to 50 ms; then 20 a second after 25 a second."""
    rng = np.random.default_rng(1)
    return [
        np.cumsum(rng.integers(4, 6, frames)).tolist(),
        np.cumsum([4] * (frames // 2) + [5] * (frames // 2)).tolist(),
    ]


@pytest.mark.parametrize("times", uneven())
@pytest.mark.parametrize("lost", [[30], [7, 41, 42], [13, 27, 50]])
def test_packets_that_are_lost_at_a_rate_that_varies(tmp_path, times, lost):
    whole = write_video(tmp_path / "a.mkv", "mpeg4", times, gop=1)
    assert check_video(whole)["gaps"] is None
    path = copy_video(whole, tmp_path / "lost.mkv", without=lost)
    assert check_video(path)["gaps"].startswith(f"{len(lost)} frame")


def test_many_packets_that_are_lost_at_a_constant_rate(tmp_path):
    lost = list(range(9, 60, 12))  # more than 1 % of the frames
    path = copy_video(
        write_video(tmp_path / "a.mkv", "mpeg4", gop=1), tmp_path / "b.mkv", without=lost
    )
    assert check_video(path)["gaps"] == f"{len(lost)} frames missing, the first after 0.32 s"


@pytest.mark.parametrize(
    "name, codec, said",
    [
        ("a.mkv", "libx265", "the first 9 frames lean on others"),
        ("a.mp4", "libx264", "the first frame leans on others"),  # it has a key frame more
        ("a.mkv", "mpeg4", "the first 9 frames lean on others"),
        ("a.ts", "mpeg2video", "the first 9 frames lean on others"),
        ("a.avi", "mpeg4", "the first 9 frames lean on others"),
    ],
)
def test_a_file_that_begins_between_key_frames(tmp_path, name, codec, said):
    whole = write_video(tmp_path / name, codec, gop=12)
    path = copy_video(whole, tmp_path / f"late-{name}", first=3)
    assert said in check_video(path)["gaps"]


def test_a_picture_that_begins_long_after_the_sound(tmp_path):
    times = [100 + 4 * n for n in range(FRAMES)]
    path = write_video(tmp_path / "a.mkv", "libx264", times, sound=3)
    assert "the picture begins 1.0" in check_video(path)["gaps"]
    assert check_video(write_video(tmp_path / "b.mkv", "libx264", sound=3))["gaps"] is None


def test_parts_of_packets_that_are_lost(tmp_path):
    path = write_video(tmp_path / "a.ts", "libx264", times_of("jitter"))
    data = Path(path).read_bytes()
    middle = len(data) // 188 // 2 * 188
    Path(path).write_bytes(data[:middle] + data[middle + 3 * 188 :])
    assert re.search(r"a part of \d+ frames? is missing", check_video(path)["gaps"])


@pytest.mark.parametrize("kind", ["jitter", "dropped", "late", "constant"])
def test_a_variable_rate_has_no_gaps(tmp_path, kind):
    path = write_video(tmp_path / "a.mkv", "libx264", times_of(kind))
    assert check_video(path)["gaps"] is None
