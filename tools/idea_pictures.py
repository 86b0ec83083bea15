"""Draw the pictures of docs/idea.md and the moving picture of the README, from a finished run of the demo.

    python tools/idea_pictures.py runs/demo-bod-seed0 docs

Writes idea_problem.png, idea_split.png, idea_both.png and search_by_motion.gif.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image, ImageDraw, ImageFont

import bod_keras
from bod_keras.data import digit_drift_arrays
from bod_keras.evaluation import operator_eigenvalues

FRAMES = 10
STILL, MOVING = "#1f6fb2", "#c8501e"


def strip(axis, clip, title="", color="black"):
    """Every second frame of a clip, side by side."""
    frames = np.pad(clip[::2], ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=255)
    axis.imshow(np.concatenate(frames, axis=1))
    axis.set_title(title, fontsize=10, color=color, loc="left")
    axis.axis("off")


def draw_problem(path):
    """Training videos: the digit gives the direction away."""
    clips, digits, directions = digit_drift_arrays(400, rho=1.0, frames=FRAMES, seed=3)
    figure, axes = plt.subplots(2, 3, figsize=(10, 2.6))
    for column, digit in enumerate((1, 4, 6)):
        rows = np.flatnonzero(digits == digit)[:2]
        for axis, row in zip(axes[:, column], rows):
            strip(axis, clips[row], f"digit {digit}, direction {directions[row]}")
    save(figure, path)


def draw_split(path, model, video):
    """A clip, what stays and what changes in its video, and the eigenvalues of its operator."""
    clip, still = video[:FRAMES], np.median(video, axis=0).astype("uint8")
    moves = np.abs(clip.astype(int) - still).max(-1, keepdims=True) > 20
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4), width_ratios=(2.4, 1))
    left.axis("off")
    for place, rows, title, color in (
        (0.7, clip, "the clip", "black"),
        (0.36, np.repeat(still[None], len(clip), 0), "what stays", STILL),
        (0.02, np.where(moves, clip, 255).astype("uint8"), "what changes", MOVING),
    ):
        strip(left.inset_axes((0, place, 1, 0.27)), rows, title, color)
    values = operator_eigenvalues(model, [{"views": clip[None, None]}])["static part"]
    nearest = np.argmin(np.abs(values - 1))
    turn = np.linspace(0, 2 * np.pi, 200)
    right.plot(np.cos(turn), np.sin(turn), "--", color="gray", linewidth=0.8)
    right.scatter(values.real, values.imag, color=MOVING, label="changes")
    right.scatter(values[nearest].real, values[nearest].imag, color=STILL, label="stays")
    right.set(aspect="equal", xlim=(-1.15, 1.25), ylim=(-1.15, 1.15))
    right.set_title("the values of the rule", fontsize=10)
    right.legend(fontsize=8, loc="lower left")
    save(figure, path)


def neighbors(parts, part, query, count):
    """The nearest clips by cosine, without the query."""
    rows = parts[part] / np.linalg.norm(parts[part], axis=1, keepdims=True)
    order = np.argsort(-rows @ rows[query])
    return order[order != query][:count]


def draw_both(path, clips, parts, query):
    """The neighbors of a clip by either part."""
    figure, axes = plt.subplots(4, 2, figsize=(10, 4.6))
    for column, (part, question, color) in enumerate(
        (("static", "who shows the same?", STILL), ("dynamic", "who moves alike?", MOVING))
    ):
        strip(axes[0, column], clips[query], "the query: " + question, color)
        for axis, row in zip(axes[1:, column], neighbors(parts, part, query, 3)):
            strip(axis, clips[row])
    save(figure, path)


def draw_search(path, clips, parts, query, side=96, gap=6):
    """A loop of two lines: the query with its neighbors by appearance, and by motion."""
    font, lines = ImageFont.load_default(15), [("appearance", "static"), ("motion", "dynamic")]
    pages = []
    for t in range(FRAMES):
        page = Image.new("RGB", (5 * (side + gap) + 2 * gap, 2 * (side + 28)), "white")
        draw = ImageDraw.Draw(page)
        for line, (name, part) in enumerate(lines):
            y = line * (side + 28)
            draw.text((0, y + 4), "query", "black", font=font)
            draw.text((side + 3 * gap, y + 4), f"by {name}", (STILL, MOVING)[line], font=font)
            for i, row in enumerate([query, *neighbors(parts, part, query, 4)]):
                frame = Image.fromarray(clips[row, t]).resize(
                    (side, side), Image.Resampling.BICUBIC
                )
                page.paste(frame, (i * (side + gap) + (2 * gap if i else 0), y + 24))
        pages.append(page.quantize(96))
    pages[0].save(path, save_all=True, append_images=pages[1:], duration=140, loop=0, optimize=True)


def save(figure, path):
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="folder of the demo's decoupled run")
    parser.add_argument("output", type=Path, help="folder of the pictures")
    options = parser.parse_args()
    model = bod_keras.load(options.run)
    videos, digits, directions = digit_drift_arrays(320, rho=0.0, images="test", seed=5)
    clips = videos[:, :FRAMES]
    parts = model.embed(clips)
    query = int(np.flatnonzero((digits == 1) & (directions == 7))[0])
    draw_problem(options.output / "idea_problem.png")
    draw_split(options.output / "idea_split.png", model, videos[query])
    draw_both(options.output / "idea_both.png", clips, parts, query)
    draw_search(options.output / "search_by_motion.gif", clips, parts, query)


if __name__ == "__main__":
    main()
