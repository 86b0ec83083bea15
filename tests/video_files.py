"""Small real video files, whole and broken."""

import wave

import cv2
import numpy as np


def make_ramp_clip(frames, height=24, width=32, offset=0):
    """Frames that can be told apart: frame t is plain, with the level 4 t + offset."""
    levels = (4 * np.arange(frames) + offset) % 250
    clip = np.empty((frames, height, width, 3), np.uint8)
    clip[:] = levels[:, None, None, None]
    return clip


def save_video(path, clip, codec="FFV1", fps=12.0):
    """Write an RGB clip with OpenCV; FFV1 in .avi or .mkv is lossless."""
    size = (clip.shape[2], clip.shape[1])
    fourcc = cv2.VideoWriter_fourcc(*codec)
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, fourcc, fps, size)
    assert writer.isOpened(), f"{codec} cannot be written to {path}"
    for frame in clip:
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()
    return str(path)


def write_broken(folder):
    """One file of each broken kind: name -> (path, a word that its error must hold)."""
    noise = np.random.default_rng(0).integers(0, 255, (40, 32, 32, 3), dtype=np.uint8)
    whole = save_video(folder / "whole.avi", noise)
    data = open(whole, "rb").read()
    (folder / "whole.avi").unlink()
    (folder / "cut.avi").write_bytes(data[: len(data) // 2])
    whole = save_video(folder / "whole.mp4", noise, "mp4v")
    data = open(whole, "rb").read()
    (folder / "whole.mp4").unlink()
    (folder / "cut.mp4").write_bytes(data[: len(data) // 2])
    (folder / "zero.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("this is no video\n" * 40)
    with wave.open(str(folder / "sound.avi"), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(16000))
    reasons = {
        "cut.avi": "truncated",
        "cut.mp4": "no video stream",
        "zero.mp4": "empty",
        "text.mp4": "no video stream",
        "sound.avi": "no video stream",
    }
    return {name: (str(folder / name), reason) for name, reason in reasons.items()}
