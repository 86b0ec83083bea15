"""Files that vanish, may not be read, hang, have strange names; and memory over many openings."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bod_keras.data import ClipDataset, Record, read_catalog
from tests.broken_readers import BrokenReader
from tests.leaks import children
from tests.tiers import slow
from tests.video_files import make_ramp_clip, save_video

ROOT = Path(__file__).parents[2]
OPTIONS = {"frames": 4, "size": 16, "batch_size": 2, "recipe": "none"}
NAMES = [
    "a b.avi",
    "[1].avi",
    "100%.avi",
    "%03d.avi",
    "-dash.avi",
    "ünïcödé 视频.avi",
    "a:b.avi",
    "#?*'.avi",
]


def read(dataset, steps):
    return [batch for (batch,) in dataset.training_numpy(steps=steps)]


def test_strange_names_are_names(tmp_path, monkeypatch):
    (tmp_path / "-folder [x]").mkdir()
    for offset, name in enumerate(NAMES):
        save_video(tmp_path / "-folder [x]" / f"{offset}.avi", make_ramp_clip(8, offset=offset))
        os.rename(tmp_path / "-folder [x]" / f"{offset}.avi", tmp_path / "-folder [x]" / name)
    monkeypatch.chdir(tmp_path)
    records = read_catalog("-folder [x]")
    assert {os.path.basename(record.path) for record in records} == set(NAMES)
    dataset = ClipDataset(records, **OPTIONS)
    batches = list(dataset.evaluation_numpy())
    assert not dataset.skipped and sum(len(batch["index"]) for batch in batches) == len(NAMES)
    levels = [round(float(v[0, 0, 0, 0, 0]) * 255) % 4 for b in batches for v in b["views"]]
    assert levels == [NAMES.index(os.path.basename(r.path)) % 4 for r in records]


def test_a_file_that_vanishes_during_training_is_skipped_and_named(tmp_path):
    paths = [save_video(tmp_path / f"{i}.avi", make_ramp_clip(12)) for i in range(4)]
    dataset = ClipDataset([Record(p) for p in paths], **OPTIONS, max_bad_share=0.5, workers=1)
    stream = dataset.training_numpy()
    next(stream), next(stream)  # all four were read
    os.unlink(paths[2])
    for _ in range(8):
        next(stream)
    stream.close()
    assert dataset.skipped == {paths[2]: "there is no such file"}


def test_a_file_that_hangs_is_skipped_named_and_counted(tmp_path, monkeypatch):
    monkeypatch.setattr("bod_keras.data.loading.pipeline.ClipReader", BrokenReader)
    paths = [str(tmp_path / name) for name in ("0.avi", "1.avi", "hang.avi", "3.avi", "die.avi")]
    dataset = ClipDataset([Record(p) for p in paths], **OPTIONS, timeout=1.0, max_bad_share=0.4)
    used = {p for batch in read(dataset, 6) for g in batch["position"] for p in dataset.files(g, g)}
    assert used == {paths[0], paths[1], paths[3]}
    assert dataset.skipped == {
        paths[2]: "no answer for 1 s",
        paths[4]: "the process that read it died twice (SIGABRT)",
    }
    dataset = ClipDataset([Record(p) for p in paths], **OPTIONS, timeout=1.0, max_bad_share=0.1)
    with pytest.raises(ValueError, match="1 of 5 video files cannot be read"):
        read(dataset, 6)


# Root may read everything, so the process gives that up, once what it needs is imported.
REFUSED = """
import os, sys
import numpy.random  # NumPy 2 imports it late, when user nobody may not read the standard library
os.environ["BOD_KERAS_READER"] = "1"
sys.path.insert(0, {root!r})
import bod_keras.data.mixed_store  # likewise
from bod_keras.data import ClipDataset, Record
if os.getuid() == 0:
    os.setuid(65534)
dataset = ClipDataset([Record(p) for p in sys.argv[1:]], frames=4, size=16, batch_size=1, workers=0,
                      max_bad_share=0.9)
for _ in dataset.training_numpy(steps=3):
    pass
for path, reason in sorted(dataset.skipped.items()):
    print(os.path.basename(path), reason, sep=": ")
"""


def test_files_that_may_not_be_read_are_skipped_and_named(tmp_path):
    for folder in (tmp_path, *tmp_path.parents):
        if any(part.startswith("pytest-of-") for part in folder.parts):  # closed to others
            folder.chmod(0o755)
    paths = [save_video(tmp_path / f"{i}.avi", make_ramp_clip(12)) for i in range(2)]
    (tmp_path / "closed").mkdir()
    paths.append(save_video(tmp_path / "closed" / "2.avi", make_ramp_clip(12)))
    os.chmod(paths[1], 0)
    os.chmod(tmp_path / "closed", 0)
    done = subprocess.run(
        [sys.executable, "-c", REFUSED.format(root=str(ROOT)), *paths],
        capture_output=True,
        text=True,
        timeout=120,
    )
    os.chmod(tmp_path / "closed", 0o700)
    assert done.stdout == "1.avi: permission denied\n2.avi: there is no such file\n", done.stderr


def resident(pid):
    """MiB of memory of a process, without what it shares."""
    _, resident, shared, *_ = map(int, Path(f"/proc/{pid}/statm").read_text().split())
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE") / 2**20


@slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads memory in /proc")
def test_memory_does_not_grow_with_openings(tmp_path):
    """2,400 openings; benchmarks/input.py --opens=2000 does it with real files."""
    paths = [save_video(tmp_path / f"{i}.avi", make_ramp_clip(8)) for i in range(4)]
    paths.append(str(tmp_path / "broken.avi"))
    Path(paths[4]).write_text("no video")
    before = children()
    dataset = ClipDataset([Record(p) for p in paths], **OPTIONS, max_bad_share=0.5, workers=1)
    stream = dataset.training_numpy()
    grown = []
    for _ in range(3):
        for _ in range(400):
            next(stream)
        (worker,) = children().keys() - before
        grown.append((resident(worker), resident("self")))
    stream.close()
    (worker, here), (worker_end, here_end) = grown[0], grown[2]
    assert worker_end < worker + 8 and here_end < here + 16
