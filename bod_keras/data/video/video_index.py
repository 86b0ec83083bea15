"""Which frames a video file holds, when each is shown, and from which packets decoding can begin.

Frames are numbered in the order in which they are shown, as stepping through the file gives them (what an edit
list hides is no frame). Where the container states the time of every packet (MP4, MOV, Matroska, WebM, FLV,
AVI without B-frames), its packets are listed without decoding them, and the end of the file is decoded to see
that the list holds. Any other file, and one whose list does not hold, is decoded once.
"""

from __future__ import annotations

import bisect
import contextlib
import functools
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import av
import numpy as np

from bod_keras.data.video.picture import Picture
from bod_keras.data.video.video_file import KeyPacket, VideoError, VideoFile, opened
from bod_keras.storage.remote import is_remote
from bod_keras.storage.remote_error import RemoteFileError
from bod_keras.storage.remote_file import remote_size

_TIMED = {"mov", "matroska", "flv", "avi"}
# These begin with their first frame; what FFmpeg says besides comes from the order of their packets.
_UNTIMED = {"avi", "h264", "hevc", "m4v", "mpegvideo"}
# Of these the header states when the last stream ends; of others FFmpeg estimates it from what there is.
_DURATION = {"matroska", "flv", "asf"}
# Below this share of the promised frames a file is truncated: headers may promise a few too many.
WHOLE_SHARE = 0.9
_RATE_SHARE = 0.01  # a measured rate this near to the header's is the header's, rounded


@dataclass(frozen=True)
class VideoIndex:
    """The frames of one file; see `video_index`.

    Args:
        count: frames that stepping through the file gives.
        promised: frames that the file's own tables promise.
        fps: frames a second on average, or None.
        times: float64 `(count,)`, seconds from the start of the file at which frames are shown, or None.
        pts: the same in the stream's units, as decoded frames state it; None where they do not.
        numbers: int32, of each packet the number of the frame in it, -1 for none; None: nothing says it, so
            frames are counted from the start.
        keys: packets from which decoding can begin, in order.
        picture: how frames become arrays.
        codec: name.

    Example:
        >>> from bod_keras.data.video.video_index import video_index
        >>> video_index("walk.mp4").count  # doctest: +SKIP
        240
    """

    count: int
    promised: int
    fps: float | None
    times: np.ndarray | None
    pts: np.ndarray | None
    numbers: np.ndarray | None
    keys: tuple[KeyPacket, ...]
    picture: Picture
    codec: str

    def key_before(self, number: int) -> KeyPacket | None:
        """Give the last packet from which decoding reaches a frame; None for the start of the file."""
        at = bisect.bisect_right(self.keys, number, key=lambda key: key.number) - 1
        return self.keys[at] if at >= 0 else None

    def numbered(self, video: VideoFile, key: KeyPacket | None = None) -> Iterator[tuple]:
        """Decode a file from its start or from a key packet: number and frame, in ascending order.

        It ends where a frame has another time than the index says: the file was cut into other packets there.
        """
        last = key.number - 1 if key else -1
        for ordinal, frame in video.frames(key):
            if self.numbers is None:
                number = last + 1
            else:
                known = ordinal is not None and ordinal < len(self.numbers)
                number = int(self.numbers[ordinal]) if known else -1
            if number > last:  # else it leans on frames before the key packet
                if self.pts is not None and frame.pts != self.pts[number]:
                    return
                last = number
                yield number, frame


def video_index(path: str | os.PathLike) -> VideoIndex:
    """Index a file, once as long as it stays as it is.

    Args:
        path: a video file.

    Returns:
        Its `VideoIndex`.

    Raises:
        VideoError: if the file holds no video that can be decoded, not even one frame.
        RemoteError: if its storage does not answer.

    Example:
        >>> from bod_keras.data.video.video_index import video_index
        >>> video_index("walk.mp4").keys[1].number  # doctest: +SKIP
        12
    """
    state = _state(path)
    return _listed(*state) if _list_holds(*state) else _decoded(*state)


def _state(path: str | os.PathLike) -> tuple[str, int, int]:
    """Name, size and time of change of a file; remote ones do not change while they are read."""
    name = os.fspath(path)
    if is_remote(name):
        try:
            return name, remote_size(name), 0
        except RemoteFileError as error:
            raise VideoError(name, error.reason) from None
    try:
        found = os.stat(name)
    except OSError:
        return name, 0, 0
    return name, found.st_size, found.st_mtime_ns


@functools.lru_cache(maxsize=2**20)  # a few hundred bytes each
def _list_holds(name: str, size: int, changed: int) -> bool:
    """Whether the end of the file holds the frames that its packets promise."""
    index = _listed(name, size, changed)
    if index is None:
        return False
    key = index.key_before(index.count - 1)
    with opened(name) as video:
        found = [number for number, _ in index.numbered(video, key)]
    return found == list(range(key.number if key else 0, index.count))


@functools.lru_cache(maxsize=2**12)  # a few kilobytes each
def _listed(name: str, size: int, changed: int) -> VideoIndex | None:
    """The index by the packets alone; None where they do not say enough."""
    with opened(name) as video:
        if not _TIMED & _kinds(video):
            return None
        packets, frames = _read(video, every=False)
        if video.container.format.name == "avi" and video.stream.codec_context.has_b_frames:
            return None
        shown = [n for n, packet in enumerate(packets) if packet.shown]
        times = [packets[n].pts for n in shown]
        if not frames or not packets[0].is_key or None in times:
            return None
        if packets[0].pts is None or min(times) < packets[0].pts:
            return None  # it begins with frames that lean on others before
        order = np.argsort(np.array(times), kind="stable")
        numbers = np.full(len(packets), -1, np.int32)
        numbers[np.array(shown)[order]] = np.arange(len(shown))
        return _index(video, packets, frames, numbers, len(shown), np.array(times)[order])


@functools.lru_cache(maxsize=2**14)  # a few kilobytes each, and dear
def _decoded(name: str, size: int, changed: int) -> VideoIndex:
    """The index by decoding the file to its end."""
    with opened(name) as video:
        packets, frames = _read(video, every=True)
        if not frames:
            raise VideoError(name, f"not one frame can be decoded ({video.codec})")
        times, stated = _times(packets, frames)
        ordinals = [frame.ordinal for frame in frames]
        numbers = None
        if not video.lost and None not in ordinals and len(set(ordinals)) == len(ordinals):
            numbers = np.full(len(packets), -1, np.int32)
            numbers[ordinals] = np.arange(len(ordinals))
        return _index(video, packets, frames, numbers, len(frames), times, stated)


class _Packet(NamedTuple):
    pts: int | None
    dts: int | None
    position: int | None
    size: int
    is_key: bool
    shown: bool


class _Frame(NamedTuple):
    ordinal: int | None
    pts: int | None
    is_key: bool
    picture: Picture


def _read(video: VideoFile, every: bool) -> tuple[list[_Packet], list[_Frame]]:
    """List all packets, and decode every frame or only the first."""
    packets: list[_Packet] = []
    frames: list[_Frame] = []
    hides = (
        video.codec == "vp8"
    )  # whose packets say in a bit of their first byte whether they are shown
    source = video.packets()

    def noted():
        for packet in source:
            shown = not packet.is_discard and not (hides and not memoryview(packet)[0] & 16)
            packets.append(
                _Packet(packet.pts, packet.dts, packet.pos, packet.size, packet.is_keyframe, shown)
            )
            yield packet

    picture = None
    for ordinal, frame in video.frames(packets=noted()):
        if picture is None:
            picture = Picture.of_first(frame, video.stream.sample_aspect_ratio)
        frames.append(_Frame(ordinal, frame.pts, bool(frame.key_frame), picture))
        if not every:
            video.skip_contents()
            break
    for _ in noted():
        pass
    return packets, frames


def _times(packets: list[_Packet], frames: list[_Frame]) -> tuple:
    """Times of decoded frames, or None; and whether the frames state them."""
    known = all(frame.ordinal is not None for frame in frames)
    own = [frame.pts for frame in frames]
    carried = [packets[frame.ordinal].pts for frame in frames] if known else []
    for times in (own, carried):
        if times and None not in times and (np.diff(times) > 0).all():
            return times, times == own
    times = np.sort([packet.dts for packet in packets if packet.dts is not None])
    if len(times) != len(frames):
        return None, False
    return times + (0 if own[0] is None else own[0] - times[0]), False


def _index(video, packets, frames, numbers, count: int, pts, stated=True) -> VideoIndex:
    keys = ()
    if numbers is not None:
        places = Counter(packet.position for packet in packets)
        leaning = {frame.ordinal for frame in frames if not frame.is_key}
        keys = tuple(
            KeyPacket(int(numbers[n]), n, packet.pts if packet.dts is None else packet.dts, place)
            for n, packet in enumerate(packets)
            for place in [packet.position]
            if packet.is_key and numbers[n] >= 0 and n not in leaning
            if place is not None and places[place] == 1 and (packet.pts, packet.dts) != (None, None)
        )
    start = video.container.start_time or 0
    unit = video.stream.time_base
    times = None if pts is None else np.asarray(pts) * float(unit) - start / av.time_base
    if times is not None and _kinds(video) & _UNTIMED:
        times -= times[0]
    rates = [r for r in (video.stream.guessed_rate, video.stream.average_rate) if r]
    fps = float(rates[0]) if rates else None
    if times is not None and times[-1] > times[0]:
        fps = (count - 1) / (times[-1] - times[0])
        fps = next((float(r) for r in rates if abs(r / fps - 1) < _RATE_SHARE), float(fps))
    elif fps:
        times = np.arange(count) / fps
    return VideoIndex(
        count=count,
        promised=_promised(video, packets, count, times),
        fps=fps,
        times=times,
        pts=np.asarray(pts) if stated and pts is not None else None,
        numbers=numbers,
        keys=tuple(sorted(keys)),
        picture=frames[0].picture,
        codec=video.codec,
    )


def _promised(video: VideoFile, packets: list[_Packet], count: int, times) -> int:
    """The number of frames that the tables in the file promise; estimates from its size prove nothing."""
    container, stream, kinds = video.container, video.stream, _kinds(video)
    count += video.lost
    if "mov" in kinds and len(stream.index_entries) > len(packets):
        return max(count, sum(not entry.is_discard for entry in stream.index_entries))
    if "avi" in kinds and None not in (ends := [packet.dts for packet in packets]):
        return max(count, stream.frames if stream.frames > max(ends) + 1 else 0)
    if "matroska" in kinds and times is not None and (missing := _hole(video.path, packets, times)):
        return count + missing
    if kinds & _DURATION and container.duration and times is not None:
        end = container.duration / av.time_base
        if times[-1] < WHOLE_SHARE * end and (last := _end(video.path)) < WHOLE_SHARE * end:
            return round(count * end / max(last, times[-1]))
    return count


def _kinds(video: VideoFile) -> set[str]:
    return set(video.container.format.name.split(","))


def _hole(path: str, packets: list[_Packet], times: np.ndarray) -> int:
    """Frames that stood where a file is damaged, which FFmpeg's reader of Matroska passes over in silence.

    That is where more bytes than a packet has are in no packet of any stream, and frames are missing in time.
    """
    widest = 2 * max(packet.size for packet in packets) + 4096

    def holes(places: list[tuple]) -> list[tuple]:
        places = sorted(places)
        pairs = zip(places, places[1:])
        return [(a, b) for a, b in pairs if b[0] - a[0] - a[1] > widest]

    suspected = holes([(p.position, p.size, p.pts) for p in packets if p.position is not None])
    if not suspected or len(times) < 3:
        return 0
    with opened(path) as video, contextlib.suppress(av.error.FFmpegError):
        every = [(p.pos, p.size) for p in video.container.demux() if p.size and p.pos is not None]
        unit = float(video.stream.time_base)
    real, usual, missing = holes(every), np.median(np.diff(times)), 0
    for before, after in suspected:
        if any(before[0] <= a[0] and b[0] <= after[0] for a, b in real) and usual > 0:
            missing += max(0, round((after[2] - before[2]) * unit / usual) - 1)
    return missing


def _end(path: str) -> float:
    """Seconds at which the last packet of any stream begins."""
    last = 0.0
    with opened(path) as video, contextlib.suppress(av.error.FFmpegError):
        for packet in video.container.demux():
            if packet.size and packet.dts is not None:
                last = max(last, float(packet.dts * packet.time_base))
    return last
