"""A file that is no video: what it is, by its first bytes."""

import gzip
import io
import tarfile
import zipfile

import pytest

from bod_keras.data import VideoError, readable_frames
from bod_keras.data.video.check import check_video
from tests.remote_servers import serve_folder


def zipped():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.mp4", bytes(1000))
    return buffer.getvalue()


def tarred():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.mp4"))
    return buffer.getvalue()


FILES = {
    b"<!DOCTYPE html>\n<html><body>Sign in</body></html>": "an HTML page",
    b"\r\n  <HTML>404</HTML>": "an HTML page",
    b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>': "an XML document",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n": "a Git LFS pointer",
    b"/annex/objects/SHA256E-s12--00.mp4\n": "a git-annex pointer",
    b"Access denied\n": "a text that begins with 'Access denied'",
    b'{"error": "not found"}': 'a text that begins with \'{"error": "not found"}\'',
    b"https://host/a.mp4?X-Amz-Signature=12": "a text that begins with 'https://host/a.mp4'",
    bytes(9000): "zeros at its beginning",
    zipped(): "a ZIP archive",
    tarred(): "a tar archive",
    gzip.compress(b"video"): "packed by gzip",
    b"%PDF-1.7\n%\xe2\xe3": "a PDF document",
    b"\x93NUMPY\x01\0v\0": "a NumPy array",
    b"\0\0\0\x20ftypisom" + bytes(300): "an MP4 or MOV file that is cut off",
    b"\x1a\x45\xdf\xa3" + bytes(range(60)): "a Matroska or WebM file that is cut off",
    b"\xa1\x02Qz\x9d\xf3": "no kind of file that is known; its first bytes are a1 02 51 7a (..Qz)",
}


@pytest.mark.parametrize("content", FILES, ids=list(FILES.values()))
def test_what_the_file_is(tmp_path, content):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(VideoError, match="^[^\n]*$") as told:
        readable_frames(path)
    assert f"no video stream that FFmpeg can read: it is {FILES[content]}" in told.value.reason
    assert "Signature" not in told.value.reason
    assert FILES[content] in check_video(str(path))["reason"]


def test_what_a_remote_file_is(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"<!doctype html>")
    with serve_folder(tmp_path) as (address, _):
        with pytest.raises(VideoError, match="it is an HTML page"):
            readable_frames(f"{address}/a.mp4")
