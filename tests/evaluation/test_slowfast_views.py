"""What the SlowFast protocols say of their differences is true: frames and rates, computed as there."""

import ast
import math
from pathlib import Path

import numpy as np
import pytest

from bod_keras.data import even_views
from bod_keras.evaluation.protocols import read_protocol
from bod_keras.training import warmup_cosine

FOLDER = Path(__file__).parents[2] / "configs" / "protocols"
FILES = sorted(FOLDER.glob("*slowfast*.py"))


def slowfast_views(length, frames, stride, views):
    """Clip i starts at the share i / views of what is left; frames are spread over it; the last repeats."""
    span = frames * stride
    starts = [max(length - span, 0) * i / views for i in range(views)]
    spread = [np.linspace(start, start + span - 1, frames) for start in starts]
    return np.clip(spread, 0, length - 1).astype(int)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_frames_of_the_test_clips(file):
    said = " ".join(ast.get_docstring(ast.parse(file.read_text())).split())
    protocol = read_protocol(str(file), FOLDER)
    frames, stride, views = protocol.frames, protocol.stride, protocol.views
    theirs, ours = (f(300, frames, stride, views) for f in (slowfast_views, even_views))
    (a, b, *_, c), (d, e, *_, f) = theirs[:, 0], ours[:, 0]
    assert f"start at {a}, {b} .. {c} and have frames {theirs[0, 1]} apart" in said
    assert f"ours start at {d}, {e} .. {f} and are {ours[0, 1]} apart" in said
    apart = [
        np.abs(slowfast_views(n, frames, stride, views) - even_views(n, frames, stride, views))
        for n in range(frames * stride, 401)
    ]
    mean, worst = np.mean([x.mean() for x in apart]), max(x.max() for x in apart)
    assert f"{mean:.0f} frames off in the mean, {worst} at most" in said
    short = [f(20, frames, stride, 1)[0].tolist() for f in (slowfast_views, even_views)]
    assert short[0] == [0, 9, 18, 19, 19, 19, 19, 19] and short[1] == [0, 8, 16, 4, 12, 0, 8, 16]


def test_the_learning_rate_of_the_linear_probe():
    """Theirs is a cosine over the whole run, up to which the warm-up rises."""
    (file,) = (file for file in FILES if file.stem.startswith("linear"))
    protocol, steps = read_protocol(str(file), FOLDER), 100
    total, warmup = protocol.epochs * steps, round(protocol.warmup_epochs * steps)
    peak = protocol.learning_rate
    ours = warmup_cosine(peak, total, warmup)

    def theirs(step):
        rate = peak * (1 + math.cos(math.pi * max(step, warmup) / total)) / 2
        return rate * min(1.0, step / warmup)

    apart = max(abs(float(ours(step)) - theirs(step)) for step in range(0, total, 50)) / peak
    said = file.read_text()
    assert (
        f"the peak is {theirs(warmup):.3f}" in said
        and f"up to {apart:.0%}".replace("%", " %") in said
    )
