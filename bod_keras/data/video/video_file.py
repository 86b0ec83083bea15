"""Opening video files with PyAV (FFmpeg), one decoder thread each, and decoding them packet by packet.

A path may have a scheme (`bod_keras.storage.remote`). Storage that does not answer is then a `RemoteError`, not
a `VideoError`: it says nothing of the file. Whatever else FFmpeg says of a file is a `VideoError`.
"""

from __future__ import annotations

import contextlib
import io
import mmap
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import av

from bod_keras.data.video.signature import signature
from bod_keras.storage.regular_file import regular_file
from bod_keras.storage.remote import is_remote
from bod_keras.storage.remote_error import RemoteFileError
from bod_keras.storage.remote_file import RemoteFile

# Where MP4 and MOV, AVI, and Matroska write the name of a track's codec.
_TAGS = re.compile(rb"stsd.{12}(.{4})|strh.{4}(?:vids|auds)(.{4})|([VA]_[A-Z0-9_/]{3,})", re.DOTALL)
_BUFFER = 2**18  # bytes that FFmpeg takes from a file at a time
# Formats that name other files or addresses, which FFmpeg would open: a video is what the file itself holds.
_REFERRING = {"concat", "dash", "hls", "image2", "lavfi", "rtp", "rtsp", "sap", "sdp", "vobsub"}
_FORMATS = ",".join(sorted(set(",".join(av.formats_available).split(",")) - _REFERRING))


class VideoError(ValueError):
    """A video file that cannot be read, with its path and the reason.

    Args:
        path: the file.
        reason: what is wrong with it, in words.

    Example:
        >>> from bod_keras.data import VideoError
        >>> error = VideoError("a.mp4", "the file is empty")
        >>> str(error), error.reason
        ('a.mp4: the file is empty', 'the file is empty')
    """

    def __init__(self, path: str, reason: str):
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


@dataclass(frozen=True)
class VideoInfo:
    """What a video is.

    Args:
        frames: number of frames.
        fps: frames a second, or None if it is not known.
        height: of a frame, pixels.
        width: of a frame, pixels.

    Example:
        >>> from bod_keras.data import VideoInfo
        >>> VideoInfo(frames=24, fps=12.0, height=32, width=32).frames
        24
    """

    frames: int
    fps: float | None
    height: int
    width: int


class KeyPacket(NamedTuple):
    """A packet from which decoding can begin.

    Args:
        number: of the frame that it holds, in the order in which frames are shown.
        ordinal: of the packet, in the order in which the file holds them.
        timestamp: what FFmpeg seeks by, in the stream's units.
        position: of the packet in the file, in bytes.
    """

    number: int
    ordinal: int
    timestamp: int
    position: int


@contextlib.contextmanager
def video_errors(path: str) -> Iterator[None]:
    """While the block runs, raise `VideoError` instead of the system's own errors.

    Args:
        path: of the video that is read.

    Raises:
        VideoError: if the system says that the file cannot be read.
        OSError: of remote storage that does not answer, as it came: that is no fault of the file.

    Example:
        >>> from bod_keras.data.video.video_file import video_errors
        >>> with video_errors("a.mp4"):
        ...     open("nowhere/a.mp4")
        Traceback (most recent call last):
        bod_keras.data.video.video_file.VideoError: a.mp4: no such file or directory
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise VideoError(path, (error.strerror or str(error)).lower()) from error


@contextlib.contextmanager
def decoder_errors(path: str, what: str) -> Iterator[None]:
    """While the block runs, raise `VideoError`, which says `what`, instead of what the decoder raises."""
    try:
        yield
    except VideoError:
        raise
    except Exception as error:
        said = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise VideoError(path, f"{what} ({said})") from error


class VideoFile:
    """An open video file, from `opened`.

    Args:
        path: its name, for messages.
        container: from `av.open`.
        source: what it reads from.

    Attributes:
        container: the file, of PyAV.
        stream: its picture track: the default one, else the first.
        codec: name of the track's codec.
        formats: FFmpeg's names of the container.
        lost: packets so far that could not be decoded.
        damaged: packets so far of which the container says that a part is missing.

    Raises:
        VideoError: if there is no picture track, or no decoder for it.
    """

    def __init__(self, path: str, container: av.container.InputContainer, source: Any = None):
        self.path, self.container, self._source = path, container, source
        self.lost = self.damaged = 0
        self.formats = set(container.format.name.split(","))
        pictures = av.stream.Disposition.attached_pic
        tracks = [t for t in container.streams.video if not t.disposition & pictures]
        if not tracks:
            sound = ", ".join(t.codec_context.name for t in container.streams.audio)
            what = f": sound only ({sound})" if sound else signature(path)
            raise VideoError(path, f"no video stream{what}")
        default = [t for t in tracks if t.disposition & av.stream.Disposition.default]
        self.stream = (default or tracks)[0]
        if self.stream.codec_context is None:
            raise VideoError(path, f"FFmpeg has no decoder for its codec{_tag(path, self.stream)}")
        self.codec = self.stream.codec_context.codec.canonical_name
        # Files are read in parallel; and threads of a decoder could wait for ever for Python's lock, which
        # letting go of `opaque` takes.
        self.stream.thread_type, self.stream.codec_context.thread_count = "NONE", 1
        self.stream.codec_context.copy_opaque = True  # a frame then says which packet it was in

    def skip_contents(self) -> None:
        """From now on fetch no contents of remote packets, where the header says what is in which."""
        if isinstance(self._source, _RemoteVideo) and "mov" in self.formats:
            self._source.hollow = True

    def packets(self) -> Iterator[av.Packet]:
        """Give the packets of the picture track in the order of the file, to its end or to the first damage.

        Empty ones stand for dropped frames, and cut off ones hold none.
        """
        with contextlib.suppress(av.error.FFmpegError):
            for packet in self.container.demux(self.stream):
                self.damaged += bool(packet.size and packet.is_corrupt)
                if packet.size and not packet.is_corrupt:
                    yield packet

    def frames(
        self, key: KeyPacket | None = None, packets: Iterable[av.Packet] | None = None
    ) -> Iterator[tuple[int | None, av.VideoFrame]]:
        """Decode from the start, or from a key packet, or the packets that are given.

        Yields:
            The ordinal of the packet that a frame was in, if that is known, and the frame, in the order in
            which frames are shown. A packet that cannot be decoded gives none, and a key packet that is not
            found none at all.
        """
        with decoder_errors(self.path, f"it cannot be decoded: {self.codec}"):
            packets = self._from(key) if key else packets or self.packets()
            for ordinal, packet in enumerate(packets, start=key.ordinal if key else 0):
                # PyAV keeps it by its address, so it is an object of its own; small integers are shared.
                packet.opaque = [ordinal]
                for frame in self.decode_packet(packet):
                    yield *(frame.opaque or [None]), frame
            for frame in self.decode_packet(None):
                yield *(frame.opaque or [None]), frame

    def _from(self, key: KeyPacket) -> Iterator[av.Packet]:
        try:
            self.container.seek(key.timestamp, stream=self.stream)
        except av.error.FFmpegError:  # of a file without an index
            return
        packets = self.packets()
        for packet in packets:
            if packet.pos == key.position:
                yield packet
                yield from packets
            elif packet.dts is not None and packet.dts > key.timestamp:
                return

    def decode_packet(self, packet: av.Packet | None) -> list[av.VideoFrame]:
        try:
            return self.stream.codec_context.decode(packet)
        except av.error.FFmpegError:
            self.lost += 1
            return []


def _tag(path: str, stream: av.stream.Stream) -> str:
    """What a local file calls the codec of a stream; PyAV says nothing of a codec without a decoder."""
    if is_remote(path):
        return ""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        tags = [b"".join(found) for found in _TAGS.findall(data)]
    tag = tags[min(stream.index, len(tags) - 1)] if tags else b""
    return f": {tag.decode('ascii', 'replace')}" if tag else ""


@contextlib.contextmanager
def opened(path: str | os.PathLike) -> Iterator[VideoFile]:
    """Open a video file to decode it; closed at the end of the block.

    Raises:
        VideoError: if the file is missing, empty, or holds no video that FFmpeg can decode.
        RemoteError: if its storage does not answer.
    """
    name = os.fspath(path)
    with contextlib.ExitStack() as stack:
        if is_remote(name):
            source = _open_remote(name)
            stack.callback(_check_remote, source, name)
        else:
            source = _check_local(name)
            if not isinstance(source, str):
                stack.enter_context(source)
        try:
            container = av.open(
                source,
                options={"format_whitelist": _FORMATS},
                buffer_size=_BUFFER,
                metadata_errors="replace",
            )
        except Exception as error:
            raise VideoError(
                name,
                f"no video stream that FFmpeg can read{signature(name)} "
                f"({getattr(error, 'strerror', None) or error})",
            ) from error
        with container:
            yield VideoFile(name, container, source)


class _RemoteVideo(RemoteFile):
    """A remote file that can pretend to hold zeros, so that what is not looked at is not fetched."""

    hollow = False

    def readinto(self, buffer) -> int:
        if not self.hollow:
            return super().readinto(buffer)
        at = self.seek(0, io.SEEK_CUR)
        length = max(0, min(len(buffer), self.size - at))
        buffer[:length] = bytes(length)
        self.seek(at + length)
        return length


def _open_remote(name: str) -> RemoteFile:
    try:
        stream = _RemoteVideo(name)
    except RemoteFileError as error:
        raise VideoError(name, error.reason) from None
    if stream.size == 0:
        raise VideoError(name, "the file is empty (0 bytes)")
    return stream


def _check_remote(remote: RemoteFile, name: str) -> None:
    """What failed while FFmpeg read is the reason, whatever FFmpeg made of it."""
    if isinstance(remote.error, RemoteFileError):
        raise VideoError(name, remote.error.reason)
    if remote.error is not None:
        raise remote.error


def _check_local(name: str) -> str | io.BufferedReader:
    if not os.path.exists(name):
        raise VideoError(name, "there is no such file")
    if os.path.isdir(name):
        raise VideoError(name, "this is a folder, not a video file")
    with video_errors(name):
        regular_file(name)
    if os.path.getsize(name) == 0:
        raise VideoError(name, "the file is empty (0 bytes)")
    if not os.access(name, os.R_OK):
        raise VideoError(name, "permission denied")
    if any("\ud800" <= letter <= "\udfff" for letter in name):  # FFmpeg takes names in UTF-8
        return open(name, "rb")
    # FFmpeg reads "a:b.mp4" as protocol a, and "-a.mp4" as it is.
    return f"file:{os.path.abspath(name)}"
