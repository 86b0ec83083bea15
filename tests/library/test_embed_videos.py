"""`embed`: rows equal the model's own, windows, appending, broken and changed files, killed commands."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow.parquet
import pytest

import bod_keras
from bod_keras.data import Catalog, ClipDataset, Record, array_records, read_source
from bod_keras.library import read_library
from bod_keras.library.windows import windows
from tests.small_run import FRAMES, SIZE, STRIDE, write_run, write_video
from tests.tiers import slow
from tests.typed_commands import ROOT
from tests.video_files import write_broken

pytestmark = pytest.mark.usefixtures("eagerly")  # what is compiled is not what is tested here


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "small")


@pytest.fixture
def videos(tmp_path):
    for number in range(5):
        write_video(tmp_path / "videos" / "ab"[number % 2] / f"{number}.avi", number)
    return tmp_path / "videos"


def embed(run, videos, output, **options):
    return bod_keras.embed(run, videos, output, **{"workers": 0, **options})


def test_rows_are_what_the_model_gives_of_the_evaluation_clips(run, videos, tmp_path):
    done = embed(run, videos, tmp_path / "library")
    library = read_library(tmp_path / "library")
    assert (done.rows, done.new, done.known, done.skipped) == (5, 5, 0, {})
    catalog = read_source(videos)
    assert library.paths == [os.path.abspath(record.path) for record in catalog.records]
    assert library.labels == ["a", "a", "a", "b", "b"]
    np.testing.assert_array_equal(library.starts, 0)
    np.testing.assert_allclose(library.ends, 20 / 12, atol=2e-3)
    clips = ClipDataset(
        catalog.records, frames=FRAMES, stride=STRIDE, size=SIZE, batch_size=5, workers=0
    )
    (batch,) = clips.evaluation_numpy()
    for part, values in bod_keras.load(run).embed(batch["views"][:, 0]).items():
        np.testing.assert_allclose(library.vectors(part), values, atol=1e-5)


def test_the_file_is_plain_parquet_with_its_provenance(run, videos, tmp_path):
    embed(run, videos, tmp_path / "library.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "library.parquet")
    assert {"path", "start", "end", "label", "pooled", "static", "dynamic"} <= set(
        table.column_names
    )
    assert str(table.schema.field("pooled").type) == "fixed_size_list<element: float>[8]"
    info = json.loads(table.schema.metadata[b"bod_keras"])
    assert info["run"] == str(run) and info["bod_keras"] == bod_keras.__version__
    assert info["clips"] == {"frames": FRAMES, "stride": STRIDE, "size": SIZE}
    assert info["skipped"] == {} and len(info["model"]) == 64


def test_only_what_is_new_is_read_and_a_changed_video_replaces_its_row(run, videos, tmp_path):
    embed(run, videos, tmp_path / "library")
    before = read_library(tmp_path / "library")
    old = before.vectors("static")
    same = embed(run, videos, tmp_path / "library")
    assert (same.rows, same.new, same.known) == (5, 0, 5)
    write_video(videos / "a" / "9.avi", 9)
    write_video(videos / "a" / "0.avi", 77)  # another video under an old name
    done = embed(run, videos, tmp_path / "library")
    after = read_library(tmp_path / "library")
    assert (done.rows, done.new, done.known) == (6, 2, 4) and len(set(after.paths)) == 6
    changed = str(videos / "a" / "0.avi")
    for path, row in zip(before.paths, old):
        now = after.vectors("static")[after.paths.index(path)]
        assert np.array_equal(now, row) == (path != changed)
    with pytest.raises(bod_keras.UserError, match="has changed since it was opened"):
        before.vectors("static")


def test_broken_videos_are_named_and_cost_no_row(run, videos, tmp_path):
    broken = write_broken(videos / "a")
    done = embed(run, videos, tmp_path / "library")
    assert done.rows == 5 and set(done.skipped) == {path for path, _ in broken.values()}
    for path, reason in broken.values():
        assert reason in done.skipped[path]
    # Of nothing but broken new ones, the rows stay.
    done = embed(run, videos, tmp_path / "library", workers=1)
    assert (done.rows, done.new, len(done.skipped)) == (5, 0, len(broken))
    assert len(read_library(tmp_path / "library").info["skipped"]) == len(broken)


def test_nothing_that_can_be_read_is_an_error_and_no_file(run, tmp_path):
    (tmp_path / "videos").mkdir()
    write_broken(tmp_path / "videos")
    with pytest.raises(bod_keras.UserError, match="Not one of 5 videos can be read: .*truncated"):
        embed(run, tmp_path / "videos", tmp_path / "library")
    assert not (tmp_path / "library.parquet").exists()


def test_windows_cover_the_video(run, tmp_path):
    write_video(tmp_path / "videos" / "long.avi", 1, frames=60)  # 5 s
    done = embed(run, tmp_path / "videos", tmp_path / "library", every=2.0)
    library = read_library(tmp_path / "library")
    assert (done.rows, done.new) == (3, 1)
    np.testing.assert_allclose(library.starts, [0, 2, 3], atol=5e-3)
    np.testing.assert_allclose(library.ends, [2, 4, 5], atol=5e-3)
    assert len(np.unique(library.vectors("pooled"), axis=0)) == 3
    spans = [Record(library.paths[0], span=(a, b)) for a, b in zip(library.starts, library.ends)]
    clips = ClipDataset(spans, frames=FRAMES, stride=STRIDE, size=SIZE, batch_size=1, workers=0)
    views = np.concatenate([batch["views"][:, 0] for batch in clips.evaluation_numpy()])
    expected = bod_keras.load(run).embed(views)["dynamic"]
    np.testing.assert_allclose(library.vectors("dynamic"), expected, atol=1e-5)


@pytest.mark.parametrize("duration", [0.2, 1.0, 3.99, 4.0, 17.3])
@pytest.mark.parametrize("every", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("clip", [0.1, 1.25])
def test_every_moment_lies_in_a_window(duration, every, clip):
    found = windows(duration, every, clip)
    starts, ends = np.array(found).T
    assert starts[0] == 0 and ends[-1] == pytest.approx(duration)
    assert (np.diff(starts) > 0).all() and (starts[1:] <= ends[:-1] + 1e-9).all()
    np.testing.assert_allclose(ends - starts, min(max(every, clip), duration))


def test_another_model_or_other_clips_are_refused(run, videos, tmp_path):
    embed(run, videos, tmp_path / "library")
    other = write_run(tmp_path / "other", seed=1)
    for arguments in ({"run": other}, {"every": 1.0}):
        with pytest.raises(
            bod_keras.UserError, match="embedded otherwise.*Choose another --output"
        ):
            embed(**{"run": run, "videos": videos, "output": tmp_path / "library", **arguments})
    assert len(read_library(tmp_path / "library")) == 5


def test_copies_hold_the_same_numbers(run, videos, tmp_path):
    done = embed(run, videos, tmp_path / "library.npz", formats=["csv"])
    library = read_library(tmp_path / "library.npz")
    assert {file.suffix for file in done.files} == {".parquet", ".npz", ".csv"}
    with np.load(tmp_path / "library.npz") as arrays:
        np.testing.assert_array_equal(arrays["static"], library.vectors("static"))
        assert arrays["path"].tolist() == library.paths
    with open(tmp_path / "library.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == library.paths
    np.testing.assert_allclose(
        [float(row["dynamic_3"]) for row in rows], library.vectors("dynamic")[:, 3], rtol=1e-6
    )


def test_lists_arrays_and_names_that_are_no_utf8(run, tmp_path):
    odd = os.fsdecode(b"caf\xe9\n<script>'\".avi")
    write_video(tmp_path / "plain.avi", 3)
    os.rename(tmp_path / "plain.avi", tmp_path / odd)
    path = str(tmp_path / odd)
    twice = [Record(path, label=0, span=(0.0, 0.8)), Record(path, label=1, span=(0.8, 1.6))]
    done = embed(run, Catalog(twice, ["left", "right"]), tmp_path / "library")
    library = read_library(tmp_path / "library")
    assert done.rows == 2 and library.paths == [path, path] and library.labels == ["left", "right"]
    again = embed(run, Catalog(twice[:1], ["left"]), tmp_path / "library")
    assert (again.rows, again.known) == (2, 1)
    clips = np.random.default_rng(0).integers(0, 256, (3, 8, SIZE, SIZE, 3), np.uint8)
    assert embed(run, array_records(clips), tmp_path / "arrays").rows == 3


def test_a_moved_run_embeds_and_an_unfinished_one_is_refused(run, videos, tmp_path):
    os.rename(write_run(tmp_path / "first"), tmp_path / "moved")
    assert embed(tmp_path / "moved", videos, tmp_path / "library").rows == 5
    (tmp_path / "moved" / "model.keras").unlink()
    with pytest.raises(bod_keras.UserError, match="not the folder of a finished run"):
        embed(tmp_path / "moved", videos, tmp_path / "library")
    with pytest.raises(bod_keras.UserError, match="holds no report.json"):
        embed(tmp_path / "nowhere", videos, tmp_path / "library")


def test_a_damaged_library_is_one_line_and_stays(run, videos, tmp_path):
    embed(run, videos, tmp_path / "library")
    file = tmp_path / "library.parquet"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(bod_keras.UserError, match="library.parquet is damaged, or no library"):
        embed(run, videos, file)
    assert file.exists()


def test_parts_of_a_stopped_command_are_kept(run, videos, tmp_path, monkeypatch):
    from bod_keras.library import embedding

    monkeypatch.setattr(embedding, "_VIDEOS_AT_ONCE", 2)
    write, calls = embedding.library_file.write_rows, []

    def stop_at_the_second(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        write(*arguments)

    monkeypatch.setattr(embedding.library_file, "write_rows", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        embed(run, videos, tmp_path / "library")
    done = embed(run, videos, tmp_path / "library")
    assert (done.rows, done.new, done.known) == (5, 3, 2)
    assert sorted(read_library(tmp_path / "library").paths) == sorted(
        map(str, videos.rglob("*.avi"))
    )
    assert not (tmp_path / "library.parquet.new").exists()


@slow
def test_a_killed_command_goes_on(run, tmp_path):
    for number in range(700):
        write_video(tmp_path / "videos" / f"{number:04d}.avi", number, frames=8)
    code = "import sys; from bod_keras.commands.console.main import main; main()"
    command = [sys.executable, "-c", code, "embed", run, tmp_path / "videos"]
    command = [*map(str, command), f"--output={tmp_path / 'library'}", "--workers=0"]
    environment = {**os.environ, "BOD_KERAS_READER": "1"}
    running = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    while not list((tmp_path / "library.parquet.new").glob("0*.parquet")):
        assert running.poll() is None
        time.sleep(0.05)
    running.send_signal(signal.SIGKILL)
    running.wait()
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert ", 512 were there already" in done.stdout
    assert len(set(read_library(tmp_path / "library").paths)) == 700
