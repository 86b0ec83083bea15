"""`search`: exact against a slow truth, queries in and out of the library, two queries, and duplicates."""

import json
import os
import shutil

import numpy as np
import pytest

import bod_keras
from bod_keras.data import Record
from bod_keras.library import find_duplicates, read_library
from bod_keras.library.library_file import write_rows
from bod_keras.library.video_key import video_key
from tests.small_run import write_run, write_video

pytestmark = pytest.mark.usefixtures("eagerly")  # what is compiled is not what is tested here


def write_library(file, paths, static, dynamic, every=None):
    """A library of chosen vectors; the files need not be there."""
    rows = {
        "path": [str(path) for path in paths],
        "start": [0.0] * len(paths),
        "end": [1.0] * len(paths),
        "label": [None] * len(paths),
        "key": [video_key(Record(str(path))) for path in paths],
        "static": static,
        "dynamic": dynamic,
    }
    clips = {"frames": 4, "stride": 1, "size": 16}
    write_rows(file, rows, {"run": "gone", "model": "none", "clips": clips, "every": every})
    return file


@pytest.fixture
def planted(tmp_path):
    """50 rows of random vectors, and the vectors."""
    rng = np.random.default_rng(0)
    static, dynamic = rng.normal(size=(50, 6)), rng.normal(size=(50, 9)) + 1
    paths = [tmp_path / f"{i}.mp4" for i in range(50)]
    file = write_library(tmp_path / "library.parquet", paths, static, dynamic)
    return read_library(file), paths, static, dynamic


def cosines(vectors, row):
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit @ unit[row]


def z(values):
    return (values - values.mean()) / values.std()


@pytest.mark.parametrize("by", ["appearance", "motion"])
def test_one_part_is_ordered_by_its_cosine(planted, by):
    library, paths, static, dynamic = planted
    expected = cosines(static if by == "appearance" else dynamic, 7)
    order = [row for row in np.argsort(-expected) if row != 7][:5]
    found = bod_keras.search(library, paths[7], by=by, top=5)
    assert [match.row for match in found] == order
    np.testing.assert_allclose([match.score for match in found], expected[order], atol=1e-5)
    assert found[0].path == str(paths[order[0]]) and list(found[0].similarities) == [by]


@pytest.mark.parametrize("by, weight", [("both", 0.5), ("both:0.8", 0.8), ("both:1", 1.0)])
def test_both_parts_are_standardized_and_weighted(planted, by, weight):
    library, paths, static, dynamic = planted
    scores = (1 - weight) * z(cosines(static, 7)) + weight * z(cosines(dynamic, 7))
    found = bod_keras.search(library, paths[7], by=by, top=49)
    assert [match.row for match in found] == [row for row in np.argsort(-scores) if row != 7]
    np.testing.assert_allclose(found[3].score, scores[found[3].row], atol=1e-4)


def test_looks_like_one_and_moves_like_another(planted):
    library, paths, static, dynamic = planted
    scores = 0.5 * z(cosines(static, 3)) + 0.5 * z(cosines(dynamic, 4))
    found = bod_keras.search(library, appearance=paths[3], motion=paths[4], top=48)
    assert [match.row for match in found] == [r for r in np.argsort(-scores) if r not in (3, 4)]


def test_the_query_itself_is_returned_when_asked(planted):
    library, paths, *_ = planted
    found = bod_keras.search(library, paths[7], by="motion", itself=True)
    assert found[0].row == 7 and found[0].score == pytest.approx(1, abs=1e-6) and len(found) == 20


def test_a_link_to_a_file_of_the_library_is_that_file(tmp_path):
    write_video(tmp_path / "a.avi", 0)
    paths = [tmp_path / "a.avi", tmp_path / "b.avi"]
    library = write_library(tmp_path / "library.parquet", paths, np.eye(2), np.eye(2))
    os.symlink(tmp_path / "a.avi", tmp_path / "link.avi")
    found = bod_keras.search(library, tmp_path / "link.avi", by="motion")
    assert [match.row for match in found] == [1]


def test_a_new_query_is_embedded_by_the_run_wherever_it_is(tmp_path):
    run = write_run(tmp_path / "run")
    for number in range(4):
        write_video(tmp_path / "videos" / f"{number}.avi", number)
    bod_keras.embed(run, tmp_path / "videos", tmp_path / "library", workers=0)
    shutil.copy(tmp_path / "videos" / "2.avi", tmp_path / "copy.avi")
    found = bod_keras.search(tmp_path / "library", tmp_path / "copy.avi")
    assert found[0].path.endswith("2.avi")  # a copy under another name is a result
    assert found[0].similarities["motion"] == pytest.approx(1, abs=1e-5)
    # A file that has changed since is embedded anew: its old row is its own file, and no result.
    shutil.copy(tmp_path / "videos" / "3.avi", tmp_path / "videos" / "2.avi")
    found = bod_keras.search(tmp_path / "library", tmp_path / "videos" / "2.avi")
    assert found[0].path.endswith("3.avi") and len(found) == 3
    os.rename(run, tmp_path / "moved")
    with pytest.raises(FileNotFoundError, match="no longer at .*Name its folder with --run"):
        bod_keras.search(tmp_path / "library", tmp_path / "copy.avi")
    again = bod_keras.search(tmp_path / "library", tmp_path / "copy.avi", run=tmp_path / "moved")
    assert again[0].path == str(tmp_path / "videos" / "2.avi")
    with pytest.raises(bod_keras.UserError, match="is not the run by which"):
        other = write_run(tmp_path / "other", seed=5)
        bod_keras.search(tmp_path / "library", tmp_path / "copy.avi", run=other)


def test_a_window_is_asked_for_by_its_second(tmp_path):
    run = write_run(tmp_path / "run")
    write_video(tmp_path / "videos" / "long.avi", 0, frames=72)
    write_video(tmp_path / "videos" / "short.avi", 1, frames=20)
    bod_keras.embed(run, tmp_path / "videos", tmp_path / "library", every=2.0, workers=0)
    library = read_library(tmp_path / "library")
    query = tmp_path / "videos" / "long.avi"
    for at, start in ((0.5, 0), (2.0, 2), (5.9, 4)):
        found = bod_keras.search(library, query, by="motion", at=at, itself=True)
        assert found[0].start == pytest.approx(start, abs=5e-3)
    assert [m.path for m in bod_keras.search(library, query)] == [str(query.with_name("short.avi"))]
    shutil.copy(query, tmp_path / "copy.avi")  # not in the library: its window is embedded
    found = bod_keras.search(library, tmp_path / "copy.avi", by="motion", at=2.0)
    assert found[0].start == pytest.approx(2, abs=5e-3)
    assert found[0].score == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"by": "movement"}, "by must be motion, appearance"),
        ({"by": "both:2"}, "by must be motion, appearance"),
        ({"by": "both:x"}, "by must be motion, appearance"),
        ({"by": "motion:0.5"}, "by must be motion, appearance"),
        ({"by": "pooled"}, "has no part 'pooled', only static, dynamic"),
        ({"top": 0}, "top must be at least 1"),
        ({"motion": "b.mp4"}, "one query, or both"),
    ],
)
def test_wrong_use_is_told(planted, arguments, message):
    with pytest.raises(bod_keras.UserError, match=message):
        bod_keras.search(planted[0], planted[1][0], **arguments)


def test_files_that_are_not_there(planted, tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no library 'nowhere'"):
        bod_keras.search("nowhere", "a.mp4")
    with pytest.raises(FileNotFoundError, match="There is no video"):
        bod_keras.search(planted[0], tmp_path / "new.mp4")


def test_another_parquet_file_is_refused(tmp_path):
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table({"a": [1]}), tmp_path / "other.parquet")
    with pytest.raises(bod_keras.UserError, match="a Parquet file, but no library"):
        read_library(tmp_path / "other.parquet")


def test_duplicates_are_alike_in_every_part(tmp_path, monkeypatch):
    from bod_keras.library import duplicates

    monkeypatch.setattr(duplicates, "_ROWS_AT_ONCE", 7)  # pairs lie in several blocks
    rng = np.random.default_rng(0)
    static, dynamic = rng.normal(size=(40, 6)), rng.normal(size=(40, 9))
    static[[12, 33]], dynamic[[12, 33]] = static[5], dynamic[5] * 2  # a group of three
    static[20] = static[8]  # looks the same, moves otherwise
    static[30], dynamic[30] = static[2] + 0.05, dynamic[2]  # nearly
    paths = [f"{i}.mp4" for i in range(40)]
    library = write_library(tmp_path / "library.parquet", paths, static, dynamic)
    groups = find_duplicates(library)
    assert [[row for row, _ in group] for group in groups] == [[2, 30], [5, 12, 33]]
    assert [[row for row, _ in group] for group in find_duplicates(library, 1.0)] == [[5, 12, 33]]
    lowest = min(cosines(static, 2)[30], cosines(dynamic, 2)[30])
    assert groups[0][1][1] == pytest.approx(lowest, abs=1e-5)
    with pytest.raises(bod_keras.UserError, match="threshold must lie in"):
        find_duplicates(library, 0)


def test_windows_of_one_video_are_no_duplicates(tmp_path):
    paths = ["a.mp4", "a.mp4", "b.mp4"]
    ones = np.ones((3, 4))
    library = write_library(tmp_path / "library.parquet", paths, ones, ones)
    ((first, *_),) = [find_duplicates(library)[0]]
    assert first[0] == 0 and json.dumps(find_duplicates(library)[0])
