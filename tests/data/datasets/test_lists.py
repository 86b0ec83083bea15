"""Lists of videos: CSV rules, labels as numbers or names, and nothing dropped or doubled in silence."""

import csv
import os
import subprocess
import sys

import pytest

from bod_keras.data import ClipDataset, Record, read_catalog, read_source
from tests.data.datasets.trees import touch
from tests.tiers import slow


def read(folder, text, name="list.txt", **options):
    """The catalog of a list that holds a text, or bytes; paths relative to its folder."""
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_source(path, **{"root": "", **options})


def rows(catalog):
    return [(r.path, r.label if r.label is not None else r.labels or None) for r in catalog.records]


def test_list_file(tmp_path):
    text = "\ufeffa b/c.mp4 12\r\n# note\n\nd.mp4\t3\n/abs/e f.mp4\nx [1] 2.mp4\n"
    catalog = read(tmp_path, text, root=None)
    assert catalog.records == [
        Record(str(tmp_path / "a b/c.mp4"), 12),
        Record(str(tmp_path / "d.mp4"), 3),
        Record("/abs/e f.mp4"),
        Record(str(tmp_path / "x [1] 2.mp4")),
    ]
    assert catalog.summary() == (
        "4 videos, 2 labels, 2 classes; 1 comment skipped; "
        "2 without a label (line 5: e f.mp4, line 6: x [1] 2.mp4)"
    )
    assert read_source(tmp_path / "list.txt", root="/data").records[0].path == "/data/a b/c.mp4"


@pytest.mark.parametrize("name", ["list.txt", "list.csv", "list"])
@pytest.mark.parametrize(
    "line, path, label",
    [
        ("path/to/video.mp4 12", "path/to/video.mp4", 12),  # SlowFast, VideoMAE
        ("path/to/a b.mp4,12", "path/to/a b.mp4", 12),
        ("path/to/video.mp4", "path/to/video.mp4", None),
        ("some/path.mp4 1 4 7", "some/path.mp4", (1, 4, 7)),  # mmaction2
        ("some/dir 163 1", "some/dir", 1),  # mmaction2: folder, frames, label
        ("some/dir 163 1 5", "some/dir", (1, 5)),
        ("some/dir 1", "some/dir", 1),
        ("some/dir,41", "some/dir", 41),
        ("some/dir\t41", "some/dir", 41),
        ("a 3/b 4.avi -1", "a 3/b 4.avi", None),  # by custom
        ("a.mp4 3.0", "a.mp4", 3),
        ("a, b.avi", "a, b.avi", None),
        # Quoted, as pandas writes them.
        ('"run, fast/a b.mp4",3', "run, fast/a b.mp4", 3),
        ('"run fast/a b.mp4" 3', "run fast/a b.mp4", 3),
        ('"a.mp4","3"', "a.mp4", 3),
        ('"say ""hi"".mp4"\t3', 'say "hi".mp4', 3),
        ('"two\nlines.mp4",3', "two\nlines.mp4", 3),
        ('5" disc.mp4 3', '5" disc.mp4', 3),
        # Names of classes.
        ("a.mp4 run", "a.mp4", 0),
        ("a.mp4 run fast", "a.mp4", 0),
        ("a.mp4,run fast", "a.mp4", 0),
        ('a.mp4,"run, fast"', "a.mp4", 0),
        ("some/dir\trun", "some/dir", 0),
        # Names that begin as a comment does.
        ("#437_Ride_0.avi 3", "#437_Ride_0.avi", 3),
        # Signed addresses, which end with no extension.
        ("https://h/a b.mp4?x=1,2&y=.mp4 3", "https://h/a b.mp4?x=1,2&y=.mp4", 3),
        ("https://h/a.mp4?x=1 run fast", "https://h/a.mp4?x=1", 0),
        ("HTTP://h/a?x=1\t3", "HTTP://h/a?x=1", 3),
        ('"# 1.avi" 3', "# 1.avi", 3),
        # Quoted, as shells do.
        ("'a b.mp4' 3", "a b.mp4", 3),
        ("'a b.mp4',run fast", "a b.mp4", 0),
        ("'some dir'\t3", "some dir", 3),
        ("it's.mp4 3", "it's.mp4", 3),
    ],
)
def test_lines_of_a_list(tmp_path, name, line, path, label):
    assert rows(read(tmp_path, f"{line}\n", name)) == [(path, label)]


@pytest.mark.parametrize("column", ["label", "action", "class_name", "anything"])
@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_names_of_classes_are_labels(tmp_path, column, delimiter):
    text = f"path,{column}\na.mp4,run fast\nb.mp4,jump\nc.mp4,run fast\n".replace(",", delimiter)
    catalog = read(tmp_path, text)
    assert [r.label for r in catalog.records] == [1, 0, 1]
    assert catalog.class_names == ["jump", "run fast"]
    assert catalog.summary() == "3 videos, 3 labels, 2 classes"


def test_names_are_numbered_over_all_splits(tmp_path):
    text = "path,label,split\na.mp4,run,train\nb.mp4,jump,train\nc.mp4,run,test\n"
    catalog = read(tmp_path, text, split="test")
    assert [r.label for r in catalog.records] == [1] and catalog.class_names == ["jump", "run"]


def test_a_name_may_begin_as_a_comment_does(tmp_path):
    catalog = read(tmp_path, "label,path\n# one,a.mp4\n#two,b.mp4\n")
    assert catalog.class_names == ["# one", "#two"] and not catalog.remarks


@pytest.mark.parametrize("columns", ["label,class_name", "class_id,class", "action_id,action"])
def test_a_second_column_names_the_numbers(tmp_path, columns):
    catalog = read(tmp_path, f"path,{columns}\na.mp4,1,hop\nb.mp4,0,jump\nc.mp4,1,hop\nd.mp4,,\n")
    assert [r.label for r in catalog.records] == [1, 0, 1, None]
    assert all(r.factors == {} for r in catalog.records)
    assert catalog.class_names == ["jump", "hop"]
    assert catalog.remarks == ["1 without a label (line 5: d.mp4)"]


def test_numbers_with_gaps_give_way_to_their_names(tmp_path):
    catalog = read(tmp_path, "path,label,class_name\na.mp4,7,run\nb.mp4,3,jump\nc.mp4,7,run\n")
    assert [r.label for r in catalog.records] == [1, 0, 1]
    assert catalog.class_names == ["jump", "run"] and catalog.remarks == ["column label ignored"]


def test_names_that_contradict_the_numbers_are_not_used(tmp_path):
    catalog = read(tmp_path, "path,label,class_name\na.mp4,1,run\nb.mp4,0,jump\nc.mp4,1,jump\n")
    assert [r.label for r in catalog.records] == [1, 0, 1]
    assert catalog.class_names == [] and catalog.remarks == ["column class_name ignored"]


@pytest.mark.parametrize(
    "text",
    [
        "path label\na.mp4 1\nb.mp4 2\n",
        "path\tlabel\na.mp4\t1\nb.mp4\t2\n",
        "path,label\na.mp4,1\n,\n\nb.mp4,2\n",
        "path, label\na.mp4, 1\nb.mp4 ,2\n",
        "# a list\nPath;LABEL\na.mp4;1\n;\nb.mp4;2\n",
        "label,path\n1.0,a.mp4\n2.0,b.mp4\n",
        '"path","label"\n"a.mp4","1"\n"b.mp4","2"\n',
        ",path,label\n0,a.mp4,1\n1,b.mp4,2\n",
        "path,label,clip\na.mp4,1,x\nb.mp4,2,\n",
        "path|label\na.mp4|1\nb.mp4|2\n",
        "path,label\n# a comment\na.mp4,1\n# c.mp4,1\nb.mp4,2\n",
        "sep=;\npath;label\na.mp4;1\nb.mp4;2\n",
        "| path | label |\n|---|:---:|\n| a.mp4 | 1 |\n| b.mp4 | 2 |\n",
        "path,label\n'a.mp4',1\n'b.mp4',2\n",
    ],
)
@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.tsv"])
def test_headers_and_empty_rows_are_no_videos(tmp_path, name, text):
    assert rows(read(tmp_path, text, name)) == [("a.mp4", 1), ("b.mp4", 2)]


def test_paths_with_spaces_under_a_header_with_spaces(tmp_path):
    catalog = read(tmp_path, 'path label\na b.mp4 1\n"c d.mp4" 2\n')
    assert rows(catalog) == [("a b.mp4", 1), ("c d.mp4", 2)]


def test_names_of_several_words_under_a_header_with_spaces(tmp_path):
    catalog = read(tmp_path, "path label\na b.mp4 run fast\nc.mp4 jump\n")
    assert rows(catalog) == [("a b.mp4", 1), ("c.mp4", 0)]
    assert catalog.class_names == ["jump", "run fast"]


@pytest.mark.parametrize(
    "names, said",
    [
        (("Run", "run", "hop"), "Run, run"),
        (("caf\xe9", "cafe\u0301", "x"), "cafe\u0301, caf\xe9"),
        (("\uff41", "a", "b"), "a, \uff41"),
        (("run_fast", "run fast", "x"), "run fast, run_fast"),
    ],
)
def test_classes_that_differ_only_in_their_spelling_are_named(tmp_path, names, said):
    text = "path,label\n" + "".join(f"{i}.mp4,{name}\n" for i, name in enumerate(names))
    assert read(tmp_path, text).remarks == [f"classes {said} differ only in their spelling"]


def test_rows_of_no_split_and_of_another_spelling_are_named(tmp_path):
    catalog = read(tmp_path, "path,split\na.mp4,test\nb.mp4,Test\nc.mp4,\n", split="test")
    assert catalog.remarks == [
        "splits Test, test differ only in their spelling",
        "1 of no split left out",
    ]


@pytest.mark.parametrize("text", ["{} 1\n", "path,label\n{},1\n", '"{}",1\n'])
def test_separators_of_windows(tmp_path, text):
    touch(tmp_path, "a b/c.mp4")
    catalog = read(tmp_path, text.format("a b\\c.mp4"), root=None)
    assert os.path.exists(catalog.records[0].path) and "read as /" in catalog.remarks[0]
    touch(tmp_path, "a b\\c.mp4")
    assert not read(tmp_path, text.format("a b\\c.mp4"), root=None).remarks


def test_a_header_without_path_over_folders_is_refused(tmp_path):
    touch(tmp_path, "u/00001.jpg", "v/00001.jpg")
    with pytest.raises(ValueError, match="line 1: 'clip' names no video"):
        read(tmp_path, "clip,mood\nu,happy\nv,sad\n", root=None)


def test_csv_file(tmp_path):
    text = 'path,split,label,static,note,dynamic\n"a, b.avi",train,1,3,hi,5\nc.avi,test,,4,,6\n'
    catalog = read(tmp_path, text)
    assert catalog.records == [
        Record("a, b.avi", 1, {"static": 3, "dynamic": 5}, "train"),
        Record("c.avi", None, {"static": 4, "dynamic": 6}, "test"),
    ]
    assert catalog.remarks == ["column note ignored", "1 without a label (line 3: c.avi)"]
    assert read(tmp_path, text, split="test").records == [catalog.records[1]]


def test_several_labels_in_a_cell(tmp_path):
    catalog = read(
        tmp_path, "path,labels\na.mp4,1 4\nb.mp4,[2, 3]\nc.mp4,5\n".replace("[2, 3]", '"[2, 3]"')
    )
    assert rows(catalog) == [("a.mp4", (1, 4)), ("b.mp4", (2, 3)), ("c.mp4", 5)]


@pytest.mark.parametrize(
    "column",
    ["", "Unnamed: 0", "index", "num_frames", "frames", "n_frames", "start_frame", "width", "rank"],
)
def test_columns_of_integers_that_are_no_label(tmp_path, column):
    lines = [f"{i},v{i}.mp4,{i % 2}" for i in range(9)]
    catalog = read(tmp_path, "\n".join([f"{column},path,label", *lines, ""]))
    assert all(r.factors == {} and r.label == i % 2 for i, r in enumerate(catalog.records))
    assert catalog.summary() == (
        f"9 videos, 9 labels, 2 classes; column {column or 'without a name'} ignored"
    )


@pytest.mark.parametrize(
    "text",
    [
        "a.mp4 1\n" * 3,
        "path,label\na.mp4,1\n./a.mp4,1\nx/../a.mp4,1\n",
        ",path,label\n0,a.mp4,1\n1,a.mp4,1\n2,a.mp4,1\n",
        '"a.mp4",run\na.mp4 run\na.mp4\trun\n',
    ],
)
def test_equal_rows_are_one_video(tmp_path, text):
    with pytest.warns(UserWarning, match="2 repeated rows merged"):
        (tmp_path / "l.txt").write_text(text)
        assert len(read_catalog(tmp_path / "l.txt")) == 1


def test_a_video_of_two_splits_is_one_where_no_split_is_chosen(tmp_path):
    text = "path,label,split\na.mp4,1,train\na.mp4,1,test\n"
    assert "1 repeated row merged (line 3), though of another split" in read(tmp_path, text).remarks
    assert len(read(tmp_path, text, split="test").records) == 1


@pytest.mark.parametrize(
    "text",
    [
        "a.mp4 1\nb.mp4 1\na.mp4 2\n",
        "path,label\na.mp4,run\nb.mp4,run\na.mp4,jump\n",
        "path,label,num_frames\na.mp4,1,30\nb.mp4,1,30\na.mp4,1,31\n",
    ],
)
def test_a_video_with_two_labels_is_refused(tmp_path, text):
    line = text.count("\n")
    first = line - 2
    with pytest.raises(ValueError, match=f"line {line}: 'a.mp4' is listed in line {first} already"):
        read(tmp_path, text)


def test_no_batch_holds_a_video_of_a_list_twice(tmp_path):
    text = "".join(f"v{i}.mp4 {i % 2}\n" for i in (*range(8), *range(4)))
    data = ClipDataset(read(tmp_path, text).records, batch_size=4, frames=8)
    assert len(data) == 8
    assert all(len(set(data.files(4 * step, 4 * step + 3))) == 4 for step in range(60))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_encodings_with_a_mark(tmp_path, encoding):
    text = "path,label\nkäse 動画.mp4,1\n"
    mark = "\ufeff" if encoding.endswith(("le", "be")) else ""
    assert rows(read(tmp_path, (mark + text).encode(encoding))) == [("käse 動画.mp4", 1)]


@pytest.mark.parametrize(
    "data, expected",
    [
        ("a.mp4 1\n".encode("utf-16-le"), "list.txt, line 1: expected text, found a zero byte"),
        (b"\xff\xfea", "list.txt begins as utf-16-le and is damaged"),
        (
            b"a.mp4 1\ncaf\xe9.mp4 1\n",
            "list.txt, line 2: .*is not UTF-8, and no file has this name",
        ),
        (b"a.mp4 1\nb\0.mp4 1\n", "list.txt, line 2: expected text"),
    ],
)
def test_encodings_that_cannot_be_known(tmp_path, data, expected):
    with pytest.raises(ValueError, match=expected):
        read(tmp_path, data)


def test_names_that_are_not_utf8_are_taken_where_there_is_such_a_file(tmp_path):
    name = os.fsdecode(b"caf\xe9.mp4")
    touch(tmp_path, name)
    (record,) = read(tmp_path, b"caf\xe9.mp4 1\n", root=None).records
    assert os.path.exists(record.path) and record.label == 1


@pytest.mark.parametrize("separator", ["\u2028", "\x85", "\x0b", "\x1c"])
def test_only_line_ends_end_a_line(tmp_path, separator):
    assert rows(read(tmp_path, f"a{separator}b.mp4 1\n")) == [(f"a{separator}b.mp4", 1)]


def test_numbers_of_frames_are_told_from_labels_by_the_images(tmp_path):
    touch(tmp_path, *(f"{name}/{i:05d}.jpg" for name in ("u", "v") for i in range(1, 32)))
    frames = read(tmp_path, "u,31\nv,31\n", root=None)
    assert frames.summary() == "2 videos, no labels; frame counts ignored"
    (tmp_path / "w").mkdir()
    (tmp_path / "x").mkdir()
    assert [r.label for r in read(tmp_path, "w,1\nx,0\n", root=None).records] == [1, 0]
    labels = read(tmp_path, "u,2\nv,31\n", root=None)
    assert [r.label for r in labels.records] == [2, 31]


def test_lines_that_are_unlike_the_others_are_named(tmp_path):
    text = "a.avi 1\nb.avi 0\nsome words 1\nc.avi 1\n"
    assert read(tmp_path, text).remarks == ["1 without a video's extension (line 3: some words)"]


def test_comments_may_stand_before_names_with_a_number_sign(tmp_path):
    touch(tmp_path, "#dir/00001.jpg")
    text = "# my list\n#437_a.avi 3\n#dir 1\n#no such thing\n## more\nb.avi 3\n"
    catalog = read(tmp_path, text, root=None)
    assert [os.path.basename(r.path) for r in catalog.records] == ["#437_a.avi", "#dir", "b.avi"]
    assert "3 comments skipped" in catalog.remarks


@pytest.mark.parametrize(
    "text, expected",
    [
        ("file,label\na.avi,1\n", "'path' column. Received columns: .*'file'"),
        ("video label\na.avi 1\n", "'path' column. Received columns: .*'video'"),
        ("filename\na.avi\nb.avi\n", "line 1: 'filename' names no video, as all other lines do"),
        ("name,y\na.avi,1\nb.avi,2\n", "line 1: 'name' names no video, as all other lines do"),
        ("path,label\na, b.avi,1\n", "line 2: expected 2 cells as in the header. Received 3"),
        ("path,label\na.avi,run\nb.avi,3\n", "line 2: .*Received: 'run' for 'a.avi', and '3'"),
        ("path,label\na.avi,-2\n", "line 2: labels must lie in 0 to 2147483647; -1 is no label"),
        ("a.avi 99999999999\n", "line 1: labels must lie in 0 to 2147483647"),
        ("path,label\n,1\n", "line 2: the cell of the path is empty"),
        ("path,label,label\na.avi,1,2\n", "line 1: the column 'label' is there 2 times"),
        ("path,Path\na.avi,b.avi\n", "line 1: the column 'path' is there 2 times"),
        ("a.avi 1 # note\n", "line 1: expected integers, or the name of a class, after the path"),
        ("path,label\na.avi,0.5\nb.avi,0.7\n", "line 2: labels must be integers or names.*'0.5'"),
        ("path,label\na.avi,run\nb.avi,nan\n", "line 3: labels must be integers or names.*'nan'"),
        ("a.avi,1,train\n", "line 1: expected a path and a label. .*Give the list a header"),
        ('"a.avi"b 1\n', "line 1: expected a separator after the quoted path"),
        # Labels before paths, and cells that are no name of one class.
        (
            "1 a.avi\n0 b.avi\n",
            "line 1: expected a path, and its label after it. Received: '1 a.avi'",
        ),
        ("run,a.avi\njump,b.avi\n", "line 1: .*the label 'run,' stand before the path"),
        ("run\tx/a.avi\njump\tx/b.avi\n", "line 1: .*stand before the path"),
        ("path,label\na.avi,run\nb.avi,NA\n", "line 3: a label must be the name of one.*'NA'"),
        ("path,label\na.avi,null\nb.avi,run\n", "line 2: a label must be the name of one.*'null'"),
        ("path,labels\na.avi,run;jump\nb.avi,run\n", "line 2: .*number the classes.*'run;jump'"),
        ('path,labels\na.avi,"[""run"", ""hop""]"\n', "line 2: a label must be the name of one"),
        ('path,label\na.avi,"1,000"\nb.avi,"2,000"\n', "line 2: .*thousands. Received: '1,000'"),
        ('{"path": "a.avi", "label": 1}\n{"path": "b.avi"}\n', " is JSON. .*write it as CSV"),
        ('[{"path": "a.avi", "label": 1}]', " is JSON"),
        ("<!DOCTYPE html>\n<html>Sign in</html>\n", " is a page of HTML or XML"),
        ("\n <HTML><body>404</body></HTML>", " is a page of HTML or XML"),
        ("<?xml version='1.0'?><Error/>", " is a page of HTML or XML"),
        ('{\n "a.avi": 1,\n "b.avi": 2\n}\n', " is JSON"),
        # Lists that break off.
        ("path,label\na.avi,running\nb.avi,run", "line 3: the list seems to break off.*'running'"),
        ("a.avi jump high\nb.avi jump", "line 2: the list seems to break off.*'jump high'"),
        ('path,label\n"a.avi",1\n"b b', "line 3: unexpected end of data"),
        ("path,label\na.avi,1\nb.a", "line 3: expected 2 cells .*breaks off"),
        ('"a.avi" 1\n"b.avi', "line 2: a path in double quotes does not end"),
        ("a.avi 1\nb.avi 0\nc.av", "line 3: the list seems to break off there.*no label"),
        ("a.avi\nb.avi\nc.av", "line 3: the list seems to break off there.*no extension"),
        ("path,label\n", "lists no video"),
        ("\n# nothing\n", "lists no video"),
        ("", "lists no video"),
    ],
)
@pytest.mark.parametrize("name", ["t.csv", "t.txt"])
def test_lists_that_cannot_be_understood(tmp_path, name, text, expected):
    with pytest.raises(ValueError, match=f"{name}.*{expected}"):
        read(tmp_path, text, name)


def test_unknown_split_names_those_there_are(tmp_path):
    with pytest.raises(ValueError, match="no split 'val'. It has: probe_test, train"):
        read(tmp_path, "path,split\na.avi,train\nb.avi,probe_test\n", split="val")
    with pytest.raises(ValueError, match="no split 'val'. It has no splits"):
        read(tmp_path, "a.avi 1\n", split="val")


def test_missing_source(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder or list file '.*nowhere'"):
        read_catalog(tmp_path / "nowhere")


def test_cells_longer_than_the_csv_module_takes(tmp_path):
    limit = csv.field_size_limit()
    text = "path,label,note\na.avi,1,{}\n{}.avi,2,\n".format("n" * 200_000, "b" * 200_000)
    assert [r.label for r in read(tmp_path, text).records] == [1, 2]
    assert csv.field_size_limit() == limit


_LONG = """
import sys
from bod_keras.data.datasets.lists import read_list
for name in sys.argv[1:]:
    try:
        print(len(read_list(name, ".").records))
    except ValueError as error:
        print("refused", str(error)[:80])
"""


@slow
def test_patterns_are_linear_in_a_lines_length(tmp_path):
    lines = (
        "a" + " " * 200_000 + "x",
        "a" + " 1" * 100_000,
        "a" + ",;\t " * 50_000 + "b",
        '"' + '""' * 100_000 + '" 1',
        "a" + ".mp4" * 50_000 + " 1",
        "#" + "a " * 100_000,
        "a" + "-" * 200_000 + " -",
        "path" + " ," * 100_000,
    )
    for number, line in enumerate(lines):
        (tmp_path / f"{number}.txt").write_text(f"{line}\n{line[::-1]}\n")
    command = [sys.executable, "-c", _LONG, *map(str, sorted(tmp_path.iterdir()))]
    # A pattern that is quadratic would take hours.
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert len(ran.stdout.splitlines()) == len(lines), ran.stderr


SIGNED = "https://h/{}.mp4?X-Amz-Signature=hidden&b=hidden"


@pytest.mark.parametrize(
    "text",
    [
        f"{SIGNED.format('a')} 1\n{SIGNED.format('b')}\n",
        f"path,label\n{SIGNED.format('a')},1\n{SIGNED.format('a')},2\n",
        f"path,label\n{SIGNED.format('a')},1\n{SIGNED.format('b')}\n",
        f"path,label\n{SIGNED.format('a')},run\n{SIGNED.format('b')},NA\n",
        f"{SIGNED.format('a')} 0.5\n",
        f'"{SIGNED.format("a")}"b 1\n',
        f"some/dir 1\n{SIGNED.format('a')} 1\nnone 1\nnone2 3\n{SIGNED.format('b')} -2\n",
    ],
)
def test_what_signs_an_address_is_not_told(tmp_path, text):
    try:
        said = read(tmp_path, text).summary()
    except ValueError as error:
        said = str(error)
    assert "hidden" not in said and ("https://h/" in said or ".mp4" in said)


def test_what_is_said_of_a_list_is_one_line(tmp_path):
    text = 'path,label,a\x1bnote\n"two\nlines.mp4",,x\nb.mp4,1,y\n'
    said = read(tmp_path, text).summary()
    assert said == (
        "2 videos, 1 label, 1 class; column a\\x1bnote ignored; "
        "1 without a label (line 2: two\\nlines.mp4)"
    )
