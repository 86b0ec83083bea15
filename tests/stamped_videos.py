"""Video files whose frames show their numbers, written with PyAV: any container, codec and times."""

from fractions import Fraction

import av
import numpy as np

HEIGHT, WIDTH, BITS = 64, 96, 10
FRAMES, TICKS = 60, 100  # frames of a file; units of time in a second
# Fast, and without chatter.
OPTIONS = {
    "libx264": {"preset": "veryfast"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none"},
    "libvpx": {"deadline": "realtime"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
    "libsvtav1": {"preset": "12", "svtav1-params": "lp=1"},
}


def stamp(number):
    """Draw a frame that moves and shows its number in bits along the upper edge: uint8 (64, 96, 3)."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    frame = np.stack([(2 * x + 5 * number) % 200, (3 * y + 3 * number) % 200, 0 * x + 60], axis=-1)
    frame[:24] = 20
    for bit in range(BITS):
        if number >> bit & 1:
            frame[2:22, 9 * bit + 2 : 9 * bit + 9] = 235
    return frame.astype(np.uint8)


def read_stamp(frame):
    """Read the number from a frame that `stamp` drew, of any size."""
    height, width = frame.shape[:2]
    columns = [(9 * bit + 5) * width // WIDTH for bit in range(BITS)]
    bits = [frame[12 * height // HEIGHT, column].mean() > 128 for column in columns]
    return sum(int(bit) << place for place, bit in enumerate(bits))


def times_of(kind, frames=FRAMES):
    """Give the times of frames in hundredths of a second: constant, jitter, dropped or late."""
    rng = np.random.default_rng(0)
    if kind == "jitter":
        return np.cumsum(rng.integers(2, 7, frames)).tolist()
    if kind == "dropped":
        return (4 * np.sort(rng.choice(2 * frames, frames, replace=False))).tolist()
    return [4 * n + (160 if kind == "late" else 0) for n in range(frames)]


def write_video(path, codec="libx264", times=None, gop=12, b_frames=0, images=None, **options):
    """Write stamped frames, or images, at times in hundredths of a second; without times 25 a second.

    `mux` are options of the container, `sound` seconds of silence, `setup(stream)` is called before the first
    frame; all others are options of the codec.
    """
    mux, sound, setup = (options.pop(name, None) for name in ("mux", "sound", "setup"))
    images = [stamp(n) for n in range(len(times or range(FRAMES)))] if images is None else images
    times = times_of("constant", len(images)) if times is None else times
    constant = len(set(np.diff(times))) == 1
    unit, step = (Fraction(4, TICKS), 4) if constant else (Fraction(1, TICKS), 1)
    with av.open(str(path), "w", options=mux or {}) as container:
        stream = container.add_stream(codec, rate=1 / unit)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = {"mjpeg": "yuvj420p", "ffv1": "bgr0"}.get(codec, "yuv420p")
        stream.codec_context.time_base, stream.codec_context.gop_size = unit, gop
        stream.codec_context.max_b_frames = b_frames
        stream.options = {**OPTIONS.get(codec, {}), **options}
        if setup:
            setup(stream)
        if sound:
            _write_silence(container, sound)
        for image, at in zip(images, times):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = round(at / step), unit
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return str(path)


def _write_silence(container, seconds):
    codec, rate, length = (
        ("libopus", 48000, 960) if container.format.name == "webm" else ("aac", 8000, 1024)
    )
    stream = container.add_stream(codec, rate=rate, layout="mono")
    kind = "flt" if codec == "libopus" else "fltp"
    for number in range(seconds * rate // length):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, length), np.float32), kind, "mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, number * length, Fraction(1, rate)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def copy_video(source, path, first=0, shift=0, without=()):
    """Copy packets without decoding them: from packet `first` on, shown `shift` frames of 1/25 s later.

    Those whose numbers are in `without` are left out.

    A negative shift hides frames behind an edit list, as `ffmpeg -ss ... -c copy` does.
    """
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0], opaque=True)
        packets = [packet for packet in old.demux(video=0) if packet.dts is not None]
        for number, packet in enumerate(packets[first:], start=first):
            if number in without:
                continue
            later = round(shift * 4 / TICKS / packet.time_base)
            packet.pts, packet.dts, packet.stream = packet.pts + later, packet.dts + later, stream
            new.mux(packet)
    return str(path)


def join_videos(paths, path):
    """Put the packets of several files into one stream, one after the other, without decoding them."""
    with av.open(str(path), "w") as new:
        stream, end = None, 0
        for source in paths:
            with av.open(str(source)) as old:
                stream = stream or new.add_stream_from_template(old.streams.video[0], opaque=True)
                packets = [packet for packet in old.demux(video=0) if packet.dts is not None]
                later = round(end / packets[0].time_base)
                for packet in packets:
                    packet.pts, packet.dts = packet.pts + later, packet.dts + later
                    packet.stream = stream
                    end = max(end, (packet.pts * packet.time_base) + Fraction(4, TICKS))
                    new.mux(packet)
    return str(path)


def turn_header(path, a, b, c, d):
    """Write a display matrix, `(x, y) -> (a x + c y, b x + d y)`, into the header of an MP4 or MOV file."""
    data = bytearray(open(path, "rb").read())
    at = data.index(b"tkhd") + 44
    matrix = np.array([a, b, 0, c, d, 0, 0, 0, 2**14]) * 2**16
    data[at : at + 36] = matrix.astype(">i4").tobytes()
    with open(path, "wb") as stream:
        stream.write(data)
    return path
