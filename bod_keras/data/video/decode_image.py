"""One picture of a folder of frames or a shard, decoded after a look at the size that its header claims."""

from __future__ import annotations

import cv2
import numpy as np

_MOST_PIXELS = 2**26  # twice an 8K frame; 0.2 GB
_JPEG, _PNG = b"\xff\xd8", b"\x89PNG\r\n\x1a\n"
# Where WebP's three kinds have their sides: first byte, bytes, and bits from the width to the height.
_WEBP = {b"VP8 ": (26, 4, 16), b"VP8L": (21, 4, 14), b"VP8X": (24, 6, 24)}
# Markers of JPEG that begin a frame, and hold its size.
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}


def decode_image(data: bytes) -> np.ndarray:
    """Decode a JPEG, PNG, BMP or WebP picture, or another kind that OpenCV knows.

    Args:
        data: the bytes of the file.

    Returns:
        RGB, uint8 (H, W, 3).

    Raises:
        ValueError: it cannot be decoded, or claims more than 2^26 pixels; the message begins with a verb.

    Example:
        >>> import cv2
        >>> import numpy as np
        >>> from bod_keras.data.video.decode_image import decode_image
        >>> decode_image(cv2.imencode(".png", np.zeros((4, 6, 3), np.uint8))[1].tobytes()).shape
        (4, 6, 3)
    """
    height, width = claimed_size(data)
    if height * width > _MOST_PIXELS:
        raise ValueError(f"claims {width} x {height} pixels in its header")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB) if data else None
    except (cv2.error, MemoryError) as error:
        raise ValueError(f"cannot be decoded by OpenCV ({str(error).strip()[-100:]})") from None
    if image is None:
        raise ValueError("is no image that OpenCV can decode, or is cut off")
    return image


def claimed_size(data: bytes) -> tuple[int, int]:
    """Height and width in the header of a JPEG, PNG, BMP or WebP picture; zeros of anything else."""
    if data.startswith(_PNG):
        width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
        return height, width
    if data.startswith(b"BM"):
        width, height = (int.from_bytes(data[p : p + 4], "little", signed=True) for p in (18, 22))
        return abs(height), abs(width)  # a negative height: from top to bottom
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        at, size, apart = _WEBP.get(data[12:16], (0, 0, 0))
        sides = int.from_bytes(data[at : at + size], "little")
        side = 2 ** (apart if apart == 24 else 14)
        less = apart != 16  # written as sides less one
        return (sides >> apart) % side + less, sides % side + less
    at = len(_JPEG) if data.startswith(_JPEG) else len(data)
    while at + 9 <= len(data) and data[at] == 0xFF:
        if data[at + 1] in _FRAMES:
            height, width = (int.from_bytes(data[p : p + 2], "big") for p in (at + 5, at + 7))
            return height, width
        alone = data[at + 1] == 0xFF or 0xD0 <= data[at + 1] <= 0xD9  # padding, or without content
        at += 1 if data[at + 1] == 0xFF else 2
        if not alone:
            at += int.from_bytes(data[at : at + 2], "big")
    return 0, 0
