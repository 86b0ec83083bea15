"""Clips without appearance: one image of noise that moves as a video does."""

from __future__ import annotations

import cv2
import numpy as np

from bod_keras.errors import UserError

LEAST_SIZE = 12  # of OpenCV's flow


def flow_noise(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Move an image of noise by the optical flow of a clip, so that no single frame tells what it is of.

        q_0(p) = p,   q_t(p) = q_(t-1)(p + flow_(t -> t-1)(p)),   frame_t(p) = noise(q_t(p))

    The noise is read once, at its nearest pixel and beyond its edges again from the other side, so that it does
    not blur. The flow is OpenCV's DIS, of gray frames; the published clips have RAFT's.

    Args:
        clip: (T, H, W, 3) in [0, 1], H and W at least 12.
        rng: draws the noise, gray levels uniform in [0, 1] for each channel.

    Returns:
        float32 of the same shape.

    Raises:
        ValueError: frames that are too small.

    Example:
        >>> import numpy as np
        >>> from bod_keras.evaluation.bias import flow_noise
        >>> still = flow_noise(np.zeros((3, 16, 16, 3), "float32"), np.random.default_rng(0))
        >>> bool((still[0] == still[2]).all()), still.shape
        (True, (3, 16, 16, 3))

    Reference:
        Ilic et al., "Is Appearance Free Action Recognition Possible?", ECCV 2022, arXiv 2207.06261; Kroeger et
        al., "Fast Optical Flow using Dense Inverse Search", arXiv 1603.03590.
    """
    frames, height, width, _ = clip.shape
    if min(height, width) < LEAST_SIZE:
        raise UserError(
            f"The flow of appearance-free clips needs frames of at least {LEAST_SIZE} pixels. Received: "
            f"{height} x {width}. Leave the condition out: --set=appearance_free=False."
        )
    noise = rng.random((height, width, 3), "float32")
    gray = [cv2.cvtColor(np.uint8(255 * frame + 0.5), cv2.COLOR_RGB2GRAY) for frame in clip]
    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype("float32")
    place, found = grid, [noise]
    for t in range(1, frames):
        at = grid + dis.calc(gray[t], gray[t - 1], None)
        # Of a place beyond the edge, as far beyond as its nearest pixel on the edge would be.
        inside = np.clip(at, 0, np.array([width - 1, height - 1], "float32"))
        moved = cv2.remap(place, inside[..., 0], inside[..., 1], cv2.INTER_LINEAR)
        place = moved + (at - inside)
        column, row = (
            np.rint(place[..., axis]).astype(int) % side for axis, side in ((0, width), (1, height))
        )
        found.append(noise[row, column])
    return np.stack(found)
