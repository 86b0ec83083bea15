import pytest

from bod_keras.data import Catalog, Record, read_blocklist, without_blocked, write_blocklist

NAMES = [
    "new\nline.avi",
    "tab\t.avi",
    '"quoted".avi',
    "return\r.avi",
    "a/[b] (1).avi",
    "-x y.mp4",
    "100%.avi",
    "#käse_動画.avi",
    "caf\udce9.avi",
]


def test_names_survive_and_are_relative_to_the_root(tmp_path):
    root = tmp_path / "videos"
    reasons = {str(root / name): "truncated:\n40 frames" for name in NAMES}
    reasons["/elsewhere/z.avi"] = "unreadable"
    path = tmp_path / "bad.tsv"
    write_blocklist(path, reasons, root)
    lines = path.read_bytes().split(b"\n")
    assert lines[5] == b"a/[b] (1).avi\ttruncated: 40 frames"
    assert lines[-2] == b"/elsewhere/z.avi\tunreadable"
    moved = read_blocklist(path, "/moved")
    assert list(moved) == [*(f"/moved/{name}" for name in NAMES), "/elsewhere/z.avi"]
    assert moved["/elsewhere/z.avi"] == "unreadable"


def test_a_list_of_names_alone_is_enough(tmp_path):
    (tmp_path / "bad.txt").write_bytes(b"a b.avi\r\n\n")
    assert read_blocklist(tmp_path / "bad.txt", "/v") == {"/v/a b.avi": "in the blocklist"}


def test_a_quoted_path_that_does_not_end(tmp_path):
    (tmp_path / "bad.tsv").write_text('a.avi\tx\n"b\n')
    with pytest.raises(ValueError, match="bad.tsv, line 2: .*must end with one"):
        read_blocklist(tmp_path / "bad.tsv", ".")


def test_blocked_videos_leave_the_catalog(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    catalog = Catalog([Record("v/a.avi"), Record("v/b.avi")], ["x"], False, ["gone.avi"])
    blocked = {str(tmp_path / "v/a.avi"): "truncated", "/other.avi": "truncated"}
    rest = without_blocked(catalog, blocked)
    assert rest == Catalog(
        [Record("v/b.avi")], ["x"], False, ["gone.avi"], {"v/a.avi": "truncated"}
    )
    blocked[str(tmp_path / "v/b.avi")] = "unreadable"
    with pytest.raises(ValueError, match="The blocklist leaves none of the 2 videos"):
        without_blocked(catalog, blocked)
