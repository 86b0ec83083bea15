"""The tour of a folder of videos: every command is shown with its output, and its picture moves."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.small_run import write_video
from tests.tiers import slow
from tools import tour

ROOT = Path(__file__).parents[1]


def test_a_folder_that_is_not_there_is_told_and_nothing_is_fetched(tmp_path):
    with pytest.raises(SystemExit, match="there is no folder .*vidoes"):
        tour.main([f"--videos={tmp_path / 'vidoes'}", f"--output={tmp_path / 'tour'}"])
    assert not list(tmp_path.iterdir())


@slow
def test_one_video_is_too_few_and_a_config_of_ones_own_stays(tmp_path, capsys):
    pytest.importorskip("pyarrow")
    pytest.importorskip("PIL.Image")
    write_video(tmp_path / "videos" / "a.avi", 0, frames=40)
    (tmp_path / "config.py").write_text("mine")
    with pytest.raises(SystemExit, match="at least 2 video files|failed with code"):
        tour.main([f"--videos={tmp_path / 'videos'}", f"--output={tmp_path}", "--epochs=1"])
    assert (tmp_path / "config.py").read_text() == "mine"


@slow
def test_the_tour_of_a_folder(tmp_path):
    image = pytest.importorskip("PIL.Image")
    pytest.importorskip("pyarrow")
    for number in range(9):
        write_video(tmp_path / "videos" / f"{number} & <b>.avi", number, frames=40)
    command = [sys.executable, str(ROOT / "tools" / "tour.py"), "--epochs=2"]
    command += [f"--videos={tmp_path / 'videos'}", f"--output={tmp_path / 'tour'}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    shown = [line.split()[2] for line in done.stdout.splitlines() if line.startswith("$ bod-keras")]
    assert shown == ["init", "train", "embed", "search", "search", "explore"]
    assert "9 videos" in done.stdout and "seconds in all" in done.stdout and "%|" not in done.stdout
    gif = tmp_path / "tour" / "tour.gif"
    with image.open(gif) as picture:
        assert picture.n_frames == 12 and gif.stat().st_size < 1_500_000
        frames = []
        for number in (0, 6):
            picture.seek(number)
            frames.append(np.asarray(picture.convert("L"), float))
    # The query and a neighbor change, each in its place; what is between them does not.
    change = abs(frames[0] - frames[1])
    assert change[20:120, 10:110].mean() > 5 and change[20:120, 145:240].mean() > 5
    assert change[:, 119:135].max() == 0
    assert (tmp_path / "tour" / "page" / "index.html").is_file()
