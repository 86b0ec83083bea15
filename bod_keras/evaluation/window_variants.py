"""The clips of one video by which a model is asked for static and for dynamic factors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bod_keras.errors import UserError


def window_variants(
    frames: int, clips: int, speeds: Sequence[int], shuffles: int, seed: int = 0
) -> tuple[int, dict[str, np.ndarray]]:
    """Return how to cut clips out of a window: neighboring ones, faster, reversed and shuffled ones.

    The window is as long as `clips` clips that do not overlap, or as the fastest clip, whichever is more. The
    speeds, and the clip that is reversed and shuffled, lie in its middle.

    Args:
        frames: T of a clip, at least 2.
        clips: clips that follow one another, at least 2.
        speeds: in frames of the window from one frame of a clip to the next, different, among them 1.
        shuffles: orders to draw, each another one than forward and reversed; at least 2.
        seed: of these orders.

    Returns:
        The frames of the window, and from "clip 0", "speed 1", "reversed", "shuffled 0" and so on to T
        positions in it. "speed 1" is the clip that is reversed and shuffled.
    """
    speeds = list(speeds)
    orders = np.prod(np.arange(1, min(frames, 10) + 1)) - 2
    if clips < 2 or shuffles < 2 or shuffles > orders or len(set(speeds)) < len(speeds):
        raise UserError(
            f"clips and shuffles must be at least 2, shuffles at most {orders} for {frames} frames, and each "
            f"speed there once. Received: clips={clips}, shuffles={shuffles}, speeds={speeds}"
        )
    if len(speeds) < 2 or 1 not in speeds or min(speeds) < 1:
        raise UserError(f"speeds must be two or more, at least 1, among them 1. Received: {speeds}")
    length = max(clips * frames, (frames - 1) * max(speeds) + 1)
    first = (length - clips * frames) // 2
    variants = {f"clip {i}": first + i * frames + np.arange(frames) for i in range(clips)}
    for speed in speeds:
        start = (length - (frames - 1) * speed - 1) // 2
        variants[f"speed {speed}"] = start + speed * np.arange(frames)
    center = variants["speed 1"]
    variants["reversed"] = center[::-1]
    rng = np.random.default_rng(seed)
    drawn = [tuple(range(frames)), tuple(reversed(range(frames)))]
    while len(drawn) < shuffles + 2:
        order = tuple(rng.permutation(frames).tolist())
        if order not in drawn:
            drawn.append(order)
    variants |= {f"shuffled {i}": center[list(order)] for i, order in enumerate(drawn[2:])}
    return length, variants
