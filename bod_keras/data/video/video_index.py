"""Which frames a video file holds, when each is shown, and from which packets decoding can begin.

Frames are numbered in the order in which they are shown, as stepping through the file gives them; what an edit
list hides is no frame. Where the container states the time of every packet, its packets are listed without
decoding them, and the end of the file is decoded to see that the list holds. Any other file, and one whose list
does not hold, is decoded once.
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

# Containers, by FFmpeg's names: those that state the time of every packet (AVI does without B-frames); ...
_TIMED = {"mov", "matroska", "flv", "avi"}
# ... those without times, that begin with their first frame; ...
_UNTIMED = {"avi", "h264", "hevc", "m4v", "mpegvideo"}
# ... and those whose header states when the last stream ends (of others FFmpeg estimates it).
_DURATION = {"matroska", "flv", "asf"}
# Below this share of the promised frames a file is truncated: headers may promise a few too many.
WHOLE_SHARE = 0.9
_DELAYED = 4  # frames by which B-frames may delay what is shown
_RATE_SHARE = 0.01  # a measured rate this near to the header's is the header's, rounded


@dataclass(frozen=True)
class VideoIndex:
    """The frames of one file, from `video_index`.

    Args:
        count: frames that stepping through the file gives.
        promised: frames that the file's own tables promise.
        fps: frames a second on average, or None.
        times: float64 `(count,)`, seconds from the start of the file at which frames are shown, or None.
        pts: the same in the stream's units, where decoded frames state it; else None.
        numbers: int32, of each packet the number of the frame in it, -1 for none; None: nothing says it, so
            frames are counted from the start.
        keys: packets from which decoding can begin, in order.
        picture: how frames become arrays.
        codec: name.
        headless: packets, or frames, at the start that lean on others which are not in the file.
        damaged: packets of which a part is missing.
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
    headless: int
    damaged: int

    def key_before(self, number: int) -> KeyPacket | None:
        """Give the last packet from which decoding reaches a frame; None for the start of the file."""
        at = bisect.bisect_right(self.keys, number, key=lambda key: key.number) - 1
        return self.keys[at] if at >= 0 else None

    def numbered(
        self, video: VideoFile, key: KeyPacket | None = None
    ) -> Iterator[tuple[int, av.VideoFrame]]:
        """Decode a file from its start or from a key packet: number and frame, in ascending order.

        It ends where a frame has another time than the index says, as where a seek lands between packets; and,
        begun at a key packet, where one has another size, which decoders get wrong then.
        """
        size = self.picture.stored
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
                if key and (frame.width, frame.height) != size:
                    return
                last = number
                yield number, frame


def video_index(path: str | os.PathLike) -> VideoIndex:
    """Index a file, once as long as it stays as it is.

    Raises:
        VideoError: if the file holds no video that can be decoded, not even one frame.
        RemoteError: if its storage does not answer.
    """
    state = _state(os.fspath(path))
    return _listed(*state) if _list_holds(*state) else _decoded(*state)


def _state(name: str) -> tuple[str, int, int]:
    """Name, size and time of change of a file; remote ones do not change while they are read."""
    if is_remote(name):
        try:
            return name, remote_size(name), 0
        except RemoteFileError as error:
            raise VideoError(name, error.reason) from None
    try:
        found = os.stat(name)
    except OSError:  # which opening the file will explain
        return name, 0, 0
    return name, found.st_size, found.st_mtime_ns


@functools.lru_cache(maxsize=2**20)  # a few hundred bytes each
def _list_holds(name: str, size: int, changed: int) -> bool:
    """Whether the end of the file holds the frames that its packets promise."""
    index = _listed(name, size, changed)
    if index is None:
        return False
    key = index.key_before(index.count)
    with opened(name) as video:
        found = [number for number, _ in index.numbered(video, key)]
    return found == list(range(key.number if key else 0, index.count))


@functools.lru_cache(maxsize=2**12)  # a few kilobytes each
def _listed(name: str, size: int, changed: int) -> VideoIndex | None:
    """The index by the packets alone; None where they do not say enough."""
    with opened(name) as video:
        reordered = video.stream.codec_context.has_b_frames
        if not _TIMED & video.formats or ("avi" in video.formats and reordered):
            return None
        packets, frames = _read(video, every=False)
        shown = [n for n, packet in enumerate(packets) if packet.shown]
        times = [packets[n].pts for n in shown]
        if not frames or not packets[0].is_key or None in (*times, packets[0].pts):
            return None
        if min(times) < packets[0].pts:
            return None  # it begins with frames that lean on others before
        order = np.argsort(np.array(times), kind="stable")
        numbers = np.full(len(packets), -1, np.int32)
        numbers[np.array(shown)[order]] = np.arange(len(shown))
        times = np.array(times)[order]
        return _index(video, packets, frames, numbers, len(shown), times, times)


@functools.lru_cache(maxsize=2**14)  # a few kilobytes each, and dear
def _decoded(name: str, size: int, changed: int) -> VideoIndex:
    """The index by decoding the file to its end."""
    with opened(name) as video:
        packets, frames = _read(video, every=True)
        if not frames:
            raise VideoError(name, f"not one frame can be decoded ({video.codec})")
        own = [frame.pts for frame in frames]
        ordinals = [frame.ordinal for frame in frames]
        numbers = None
        if not video.lost and None not in ordinals and len(set(ordinals)) == len(ordinals):
            numbers = np.full(len(packets), -1, np.int32)
            numbers[ordinals] = np.arange(len(ordinals))
        carried = [None if n is None else packets[n].pts for n in ordinals]
        times = next((t for t in (own, carried) if None not in t and (np.diff(t) > 0).all()), None)
        pts = None if times is not own else np.array(own)
        if times is None:  # the times of decoding have the right distances
            times = np.sort([packet.dts for packet in packets if packet.dts is not None])
            if len(times) == len(frames):
                times = times + (0 if own[0] is None else own[0] - times[0])
            else:
                times = None
        return _index(video, packets, frames, numbers, len(frames), times, pts)


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


def _read(video: VideoFile, every: bool) -> tuple[list[_Packet], list[_Frame]]:
    """List all packets, and decode every frame or only the first."""
    packets: list[_Packet] = []
    frames: list[_Frame] = []
    hides = video.codec == "vp8"  # of which a bit in the first byte says whether a packet is shown
    source = video.packets()

    def noted():
        for p in source:
            shown = not p.is_discard and not (hides and not memoryview(p)[0] & 16)
            packets.append(_Packet(p.pts, p.dts, p.pos, p.size, p.is_keyframe, shown))
            yield p

    for ordinal, frame in video.frames(packets=noted()):
        if not frames:
            video.picture = Picture.of_first(frame, video.stream.sample_aspect_ratio)
        frames.append(_Frame(ordinal, frame.pts, bool(frame.key_frame)))
        if not every:
            video.skip_contents()
            break
    for _ in noted():
        pass
    return packets, frames


def _index(video, packets, frames, numbers, count: int, times, pts) -> VideoIndex:
    keys = ()
    if numbers is not None:
        places = Counter(packet.position for packet in packets)
        leaning = {frame.ordinal for frame in frames if not frame.is_key}
        keys = tuple(
            KeyPacket(int(numbers[n]), n, p.pts if p.dts is None else p.dts, p.position)
            for n, p in enumerate(packets)
            if p.is_key and numbers[n] >= 0 and n not in leaning
            if p.position is not None and places[p.position] == 1 and (p.pts, p.dts) != (None, None)
        )
    rates = [float(r) for r in (video.stream.guessed_rate, video.stream.average_rate) if r]
    fps = rates[0] if rates else None
    if times is not None:
        start = (video.container.start_time or 0) / av.time_base
        times = np.asarray(times) * float(video.stream.time_base) - start
        times = times - times[0] if video.formats & _UNTIMED else times
        if times[-1] > times[0]:
            fps = float((count - 1) / (times[-1] - times[0]))
            fps = next((rate for rate in rates if abs(rate / fps - 1) < _RATE_SHARE), fps)
    elif fps:
        times = np.arange(count) / fps
    promised = _promised(video, packets, count + video.lost, times)
    keys = tuple(sorted(keys))
    begin = next((frame.ordinal for frame in frames if frame.is_key), frames[0].ordinal) or 0
    return VideoIndex(
        *(count, promised, fps, times, pts, numbers, keys, video.picture, video.codec),
        headless=sum(packet.shown for packet in packets[:begin]),
        damaged=video.damaged,
    )


def _promised(video: VideoFile, packets: list[_Packet], count: int, times) -> int:
    """The number of frames that the tables in the file promise; estimates from its size prove nothing."""
    container, stream, formats = video.container, video.stream, video.formats
    if "mov" in formats and len(stream.index_entries) > len(packets):
        return max(count, sum(not entry.is_discard for entry in stream.index_entries))
    if "avi" in formats and None not in (ends := [packet.dts for packet in packets]):
        return stream.frames if stream.frames > max(count - 1, *ends) + 1 else count
    if times is None:
        return count
    if "matroska" in formats and (missing := _hole(video, packets, times)):
        return count + missing
    # The header states when the last stream ends, counted from 0, and so with the last frame's own duration and
    # with the delay of B-frames. Times count from the start of the file, which need not be 0.
    start = (container.start_time or 0) / av.time_base
    end = (container.duration or 0) / av.time_base - start
    gaps = np.diff(times)
    slack = (_DELAYED * np.median(gaps) + np.max(gaps)) if len(gaps) else end
    if formats & _DURATION and times[-1] + slack < WHOLE_SHARE * end:
        last = max(float(p.dts * p.time_base) for p in _every(video.path) if p.dts is not None)
        last = max(last - start, times[-1])
        if last + slack < WHOLE_SHARE * end:
            return round(count * end / last)
    return count


def _hole(video: VideoFile, packets: list[_Packet], times: np.ndarray) -> int:
    """Frames that stood where a file is damaged, which FFmpeg's reader of Matroska passes over in silence.

    That is where more bytes than a packet has are in no packet of any stream, and frames are missing in time.
    """
    widest = 2 * max(packet.size for packet in packets) + 4096

    def holes(places: list[tuple]) -> list[tuple]:
        places = sorted(places)
        return [(a, b) for a, b in zip(places, places[1:]) if b[0] - a[0] - a[1] > widest]

    suspected = holes([(p.position, p.size, p.pts) for p in packets if p.position is not None])
    if not suspected:
        return 0
    real = holes([(p.pos, p.size) for p in _every(video.path) if p.pos is not None])
    usual = max(np.median(np.diff(times)) / float(video.stream.time_base), 1)
    return sum(
        max(0, round((after[2] - before[2]) / usual) - 1)
        for before, after in suspected
        if any(before[0] <= a[0] and b[0] <= after[0] for a, b in real)
    )


def _every(path: str) -> Iterator[av.Packet]:
    """The packets of all streams."""
    with opened(path) as video, contextlib.suppress(av.error.FFmpegError):
        yield from (packet for packet in video.container.demux() if packet.size)
