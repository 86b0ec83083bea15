import os

import pytest

from bod_keras.data import Record, class_names, read_catalog, read_source


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_flat_folder_has_no_labels(tmp_path):
    touch(tmp_path, "b.MP4", "a.avi", "notes.txt", ".hidden.mp4", "deep/c.webm")
    records = read_catalog(tmp_path)
    names = [os.path.relpath(record.path, tmp_path) for record in records]
    assert names == ["a.avi", "b.MP4", os.path.join("deep", "c.webm")]
    assert {record.label for record in records} == {None}
    assert class_names(tmp_path) == []


def test_folder_per_class(tmp_path):
    touch(tmp_path, "run/x.mp4", "jump [1]/g01/y.mp4", "run/-z %d.mp4", "empty/readme.md")
    records = read_catalog(tmp_path)
    assert [record.label for record in records] == [0, 1, 1]
    assert class_names(tmp_path) == ["jump [1]", "run"]
    assert all(os.path.exists(record.path) for record in records)


def test_links_are_followed_but_not_for_ever(tmp_path):
    touch(tmp_path, "store/a/x.mp4", "set/readme.txt")
    (tmp_path / "set" / "a").symlink_to(tmp_path / "store" / "a")
    (tmp_path / "set" / "loop").symlink_to(tmp_path / "set")
    assert len(read_catalog(tmp_path / "set")) == 1


def test_list_file(tmp_path):
    listing = tmp_path / "list.txt"
    listing.write_bytes(
        "\ufeffa b/c.mp4 12\r\n# note\n\nd.mp4\t3\n/abs/e f.mp4\nx [1] 2.mp4\n".encode()
    )
    records = read_catalog(listing)
    assert records == [
        Record(str(tmp_path / "a b/c.mp4"), 12),
        Record(str(tmp_path / "d.mp4"), 3),
        Record("/abs/e f.mp4"),
        Record(str(tmp_path / "x [1] 2.mp4")),
    ]
    assert read_catalog(listing, root="/data")[0].path == "/data/a b/c.mp4"


@pytest.mark.parametrize("name", ["list.txt", "list.csv"])
@pytest.mark.parametrize(
    "line, expected",
    [
        ("path/to/video.mp4 12", Record("path/to/video.mp4", 12)),  # SlowFast, VideoMAE
        ("path/to/a b.mp4,12", Record("path/to/a b.mp4", 12)),
        ("path/to/video.mp4", Record("path/to/video.mp4")),
        ("some/path.mp4 1 4 7", Record("some/path.mp4", labels=(1, 4, 7))),  # mmaction2
        ("some/dir 163 1", Record("some/dir", 1)),  # mmaction2: folder, frames, label
        ("some/dir 163 1 5", Record("some/dir", labels=(1, 5))),
        ("some/dir 1", Record("some/dir", 1)),
        (
            "abseiling/0wR5jVB-WPk_000417_000427,300",
            Record("abseiling/0wR5jVB-WPk_000417_000427", 300),
        ),
        ("a 3/b 4.avi -1", Record("a 3/b 4.avi")),
    ],
)
def test_lists_of_other_packages(tmp_path, name, line, expected):
    (tmp_path / name).write_text(f"{line}\n")
    assert read_source(tmp_path / name, root="").records == [expected]


def test_csv_file(tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text(
        'path,split,label,static,note,dynamic\n"a, b.avi",train,1,3,hi,5\nc.avi,test,,4,,6\n'
    )
    first, second = read_source(table).records
    assert first == Record(str(tmp_path / "a, b.avi"), 1, {"static": 3, "dynamic": 5}, "train")
    assert second.label is None and second.factors == {"static": 4, "dynamic": 6}
    assert read_source(table, split="test").records == [second]


def test_missing_source(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder or list file '.*nowhere'"):
        read_catalog(tmp_path / "nowhere")


def test_no_video_in_the_folder(tmp_path):
    touch(tmp_path, "readme.txt")
    with pytest.raises(ValueError, match="no video in the folder .*Known extensions: .*mp4"):
        read_catalog(tmp_path)


def test_unknown_split_names_those_there_are(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("path,split\na.avi,train\nb.avi,probe_test\n")
    with pytest.raises(ValueError, match="no split 'val'. It has: probe_test, train"):
        read_catalog(table, split="val")
    touch(tmp_path, "a.avi")
    with pytest.raises(ValueError, match="no split 'val'. It has no splits"):
        read_catalog(tmp_path, split="val")


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("t.csv", "file,label\na.avi,1\n", "'path' column. Received columns: .*'file'"),
        ("t.csv", "path,label\na, b.avi,1\n", "line 2: expected 2 cells"),
        (
            "t.csv",
            "path,label\na.avi,run\nb.avi,3\n",
            "line 2: .*Received: 'run' for 'a.avi', and '3'",
        ),
        ("t.csv", "path,label\n", "lists no video"),
        ("t.txt", "\n# nothing\n", "lists no video"),
    ],
)
def test_files_that_cannot_be_parsed(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        read_catalog(tmp_path / name)
