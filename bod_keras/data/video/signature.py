"""What a file is that FFmpeg takes for no video, by its first bytes."""

from __future__ import annotations

from bod_keras.storage import remote

_HEAD = 512  # bytes that are looked at
_SHOWN = 40  # letters of a text that are quoted
_CUT = 8  # bytes that a text may lose: white space before it, and a letter that is cut in two
_BEGINNINGS = (
    (b"version https://git-lfs", "a Git LFS pointer; `git lfs pull` fetches the file itself"),
    (b"/annex/objects/", "a git-annex pointer; `git annex get` fetches the file itself"),
    (b"PK\x03\x04", "a ZIP archive; unpack it"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"Rar!\x1a\x07", "a RAR archive; unpack it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it"),
    (b"\x1f\x8b", "packed by gzip; unpack it"),
    (b"BZh", "packed by bzip2; unpack it"),
    (b"\xfd7zXZ\0", "packed by xz; unpack it"),
    (b"\x28\xb5\x2f\xfd", "packed by Zstandard; unpack it"),
    (b"%PDF", "a PDF document"),
    (b"\x89PNG\r\n", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"\x89HDF\r\n", "an HDF5 file"),
    (b"\x93NUMPY", "a NumPy array; see array_records"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"ID3", "MP3 sound"),
    (b"fLaC", "FLAC sound"),
)
# The name of a container stands behind its length.
_CONTAINERS = (
    (4, b"ftyp", "an MP4 or MOV file that is cut off before its index, or damaged"),
    (4, b"mdat", "an MP4 or MOV file that is cut off before its index, or damaged"),
    (8, b"AVI ", "an AVI file that is cut off or damaged"),
    (8, b"WAVE", "WAVE sound"),
    (8, b"WEBP", "a WebP picture"),
    (0, b"\x1a\x45\xdf\xa3", "a Matroska or WebM file that is cut off or damaged"),
    (0, b"FLV\x01", "an FLV file that is cut off or damaged"),
    (0, b"\0\0\x01\xba", "an MPEG file that is cut off or damaged"),
    (0, b"OggS", "an Ogg file without pictures, or cut off"),
    (257, b"ustar", "a tar archive; unpack it"),
)


def signature(path: str) -> str:
    """Say what a file is that is no video, for the end of a reason.

    Args:
        path: the file, which may be remote.

    Returns:
        A text such as `": it is an HTML page"`; nothing where the file cannot be read.

    Example:
        >>> import pathlib, tempfile
        >>> from bod_keras.data.video.signature import signature
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "a.mp4")
        ...     _ = path.write_text("<!DOCTYPE html><title>Sign in</title>")
        ...     signature(str(path))
        ': it is an HTML page, as a server sends it instead of a file'
    """
    try:
        if remote.is_remote(path):
            return f": it is {_named(remote.read_range(path, 0, _HEAD))}"
        with open(path, "rb") as stream:
            return f": it is {_named(stream.read(_HEAD))}"
    except (OSError, ValueError):
        return ""


def _named(head: bytes) -> str:
    for at, mark, name in (*((0, *one) for one in _BEGINNINGS), *_CONTAINERS):
        if head.startswith(mark, at):
            return name
    if not head.strip(b"\0"):
        return "zeros at its beginning, as a download that did not end leaves"
    text = head.decode("utf-8", "ignore").lstrip("\ufeff \r\n\t")
    begins = text[:_SHOWN].lower()
    if begins.startswith(("<!doctype html", "<html", "<head", "<body")):
        return "an HTML page, as a server sends it instead of a file"
    if begins.startswith("<?xml"):
        return "an XML document, as a server sends it instead of a file"
    words = " ".join(text.split())
    if words and words.isprintable() and len(text.encode()) > len(head) - _CUT:
        words = words.partition("?")[0]  # what follows may be the signature of an address
        shown = words[:_SHOWN] + ("..." if len(words) > _SHOWN else "")
        return f"a text that begins with {shown!r}"
    four = "".join(chr(b) if 32 < b < 127 else "." for b in head[:4])
    return f"no kind of file that is known; its first bytes are {head[:4].hex(' ')} ({four})"
