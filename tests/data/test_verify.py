"""python -m bod_keras.data verify, on real files, whole and broken."""

import importlib
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

from bod_keras.data import Catalog, Record, read_blocklist, write_shards
from bod_keras.data.__main__ import main
from bod_keras.data.verify import verify
from bod_keras.data.video.check import check_video, content_hash
from bod_keras.errors import UserError
from tests.broken_readers import check_or_hang
from tests.tiers import slow
from tests.video_files import make_ramp_clip, save_video, write_broken


def write_variable_rate(folder):
    """An .mp4 whose first half runs fast and the second slowly: its table of times is rewritten."""
    data = bytearray(
        open(save_video(folder / "whole.mp4", make_ramp_clip(40), "mp4v"), "rb").read()
    )
    (folder / "whole.mp4").unlink()
    table = data.index(b"stts")
    runs, frames, distance = struct.unpack(">3I", data[table + 8 : table + 20])
    assert (runs, frames) == (1, 40) and data.index(b"mdat") < table  # no offset moves
    data[table + 8 : table + 20] = struct.pack(
        ">5I", 2, 20, distance // 2, 20, 2 * distance - distance // 2
    )
    for box in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stts"):
        place = data.index(box) - 4
        (size,) = struct.unpack(">I", data[place : place + 4])
        data[place : place + 4] = struct.pack(">I", size + 8)
    path = folder / "variable.mp4"
    path.write_bytes(data)
    return str(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Whole videos, one of each kind of trouble, and a list that names two more."""
    folder = tmp_path_factory.mktemp("videos")
    write_broken(folder)
    write_variable_rate(folder)
    for index in range(3):
        save_video(folder / f"-v [{index}].avi", make_ramp_clip(20, offset=index))
    save_video(folder / "short.avi", make_ramp_clip(5))
    shutil.copy(folder / "-v [1].avi", folder / "zcopy.avi")
    frames = folder / "frames"
    for number in range(20):
        (frames / "whole").mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(frames / "whole" / f"{number:05d}.jpg"), np.zeros((8, 8, 3), np.uint8))
    shutil.copytree(frames / "whole", frames / "damaged")
    (frames / "damaged" / "00007.jpg").write_bytes(b"no image")
    names = [*sorted(p.name for p in folder.iterdir() if p.is_file()), "frames/whole"]
    names += ["frames/damaged", "gone.avi"]
    (folder / "list.txt").write_text("\n".join(names))
    return folder


EXPECTED = {
    "cut.avi": ("truncated", "promises 40 frames, only"),
    "cut.mp4": ("unreadable", "no video stream"),
    "text.mp4": ("unreadable", "no video stream"),
    "sound.avi": ("unreadable", "no video stream"),
    "zero.mp4": ("unreadable", "empty"),
    "short.avi": ("too short", "5 frames"),
    "zcopy.avi": ("duplicate", "same content as"),
}


def run(folder, tmp_path, capsys, *flags):
    report = tmp_path / "report.json"
    flags = [f"--source={folder / 'list.txt'}", f"--report={report}", "--workers=2", *flags]
    main(["verify", *flags])
    assert not report.with_name("report.json.journal").exists()
    return json.loads(report.read_text()), capsys.readouterr().out


@pytest.mark.parametrize("depth", ["--quick", "--full"])
def test_each_kind_of_trouble_is_found(folder, tmp_path, capsys, depth):
    report, printed = run(folder, tmp_path, capsys, depth)
    expected = dict(EXPECTED)
    if depth == "--full":
        expected["variable.mp4"] = ("variable rate", "frames a second on average")
        expected["frames/damaged"] = ("unreadable", "00007.jpg is no image")
    problems = {os.path.relpath(p, folder): found for p, found in report["problems"].items()}
    assert set(problems) == set(expected)
    for name, (kind, reason) in expected.items():
        assert list(problems[name]) == [kind] and reason in problems[name][kind]
    assert report["missing"] == [str(folder / "gone.avi")]
    counts = report["counts"]
    assert (counts["annotated"], counts["present"], counts["missing"]) == (14, 13, 1)
    assert counts["variable rate"] == (1 if depth == "--full" else None)
    assert f"too short{counts['too short']:14,}  (fewer than 16 frames)" in printed
    assert "-v [1].avi" in printed and "gone.avi" in printed
    assert report["full"] == (depth == "--full") and report["rates"]["12"] >= 5


def test_the_blocklist_holds_the_kinds_that_were_asked_for(folder, tmp_path, capsys):
    bad = tmp_path / "bad.tsv"
    run(folder, tmp_path, capsys, f"--write-blocklist={bad}")
    names = {os.path.relpath(path, folder) for path in read_blocklist(bad, folder)}
    assert names == {n for n, (kind, _) in EXPECTED.items() if kind in ("truncated", "unreadable")}
    run(folder, tmp_path, capsys, f"--write-blocklist={bad}", "--block=too short,duplicate")
    names = {os.path.relpath(path, folder) for path in read_blocklist(bad, folder)}
    assert names == {"short.avi", "zcopy.avi"}


def test_a_name_that_is_no_utf8(tmp_path, capsys):
    name = "caf\udce9 käse.avi"  # as Python gives the byte E9 of an old file system
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / name).write_bytes(b"no video")
    bad, report = tmp_path / "bad.tsv", tmp_path / "r.json"
    source = f"--source={tmp_path / 'v'}"
    main(["verify", source, f"--report={report}", f"--write-blocklist={bad}", "--workers=1"])
    assert "caf\\udce9 käse.avi: no video stream" in capsys.readouterr().out
    assert list(json.loads(report.read_text())["problems"]) == [str(tmp_path / "v" / name)]
    assert list(read_blocklist(bad, tmp_path / "v")) == [str(tmp_path / "v" / name)]


def test_a_line_break_in_a_name_breaks_no_line(tmp_path, capsys):
    (tmp_path / "two\nlines\x1b[2J.avi").write_bytes(b"no video")
    main(["verify", f"--source={tmp_path}", f"--report={tmp_path / 'r.json'}", "--workers=1"])
    assert "two\\nlines\\x1b[2J.avi: no video stream" in capsys.readouterr().out


@slow
def test_a_killed_run_goes_on_where_it_was(tmp_path, capsys):
    videos = tmp_path / "videos"
    videos.mkdir()
    for index in range(60):
        save_video(videos / f"{index:02d}.avi", make_ramp_clip(60, offset=index))
    report, journal = tmp_path / "r.json", tmp_path / "r.json.journal"
    flags = ["verify", f"--source={videos}", f"--report={report}", "--full"]
    running = subprocess.Popen(
        [sys.executable, "-m", "bod_keras.data", *flags, "--workers=1"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not journal.exists() or len(journal.read_text().splitlines()) < 5:
        assert running.poll() is None
        time.sleep(0.005)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert not report.exists()
    with open(journal, "a") as stream:
        stream.write('{"path": "half a li')  # as a kill in the middle of a write leaves it
    done = len(journal.read_text().splitlines()) - 2
    os.utime(videos / "00.avi")  # this one is to be checked again
    main([*flags, "--workers=2"])
    assert f"Continues: {done - 1} of 60 files are checked already." in capsys.readouterr().out
    counts = json.loads(report.read_text())["counts"]
    assert counts["present"] == 60 and not counts["truncated"]
    assert json.loads(report.read_text())["frames"] == 60 * 60


def test_a_journal_of_the_other_kind_is_not_used(tmp_path, capsys):
    path = save_video(tmp_path / "a.avi", make_ramp_clip(20))
    catalog, journal = Catalog([Record(path)]), tmp_path / "journal"
    verify(catalog, full=False, journal=journal)
    assert verify(catalog, full=True, journal=journal)["counts"]["variable rate"] == 0
    assert "Continues" not in capsys.readouterr().out
    verify(catalog, full=True, journal=journal)
    assert "Continues: 1 of 1" in capsys.readouterr().out


def test_a_file_that_never_answers_is_given_up(tmp_path, monkeypatch):
    for offset, name in enumerate(("hangs.avi", "whole.avi")):
        save_video(tmp_path / name, make_ramp_clip(20, offset=offset))
    monkeypatch.setattr("bod_keras.data.verify.check_video", check_or_hang)
    catalog = Catalog([Record(str(tmp_path / name)) for name in ("hangs.avi", "whole.avi")])
    found = verify(catalog, timeout=1.0, journal=tmp_path / "journal")
    (told,) = found["problems"].values()
    assert list(found["problems"]) == [str(tmp_path / "hangs.avi")]
    assert told["unreadable"].startswith("no answer for 1")
    assert found["counts"]["present"] == 2 and found["counts"]["unreadable"] == 1


def test_a_file_that_claims_a_terabyte_of_zeros_has_no_days_to_be_read(tmp_path):
    """Its time grows with what its disk holds of it."""
    path = save_video(tmp_path / "sparse.avi", make_ramp_clip(20))
    os.truncate(path, 2**40)
    found = verify(Catalog([Record(path)]), timeout=1.0, journal=tmp_path / "journal")
    assert found["problems"][path]["unreadable"].startswith("no answer for 1")


def test_damage_in_the_middle_needs_the_full_check(tmp_path):
    clip = np.random.default_rng(0).integers(0, 255, (60, 32, 32, 3), dtype=np.uint8)
    path = save_video(tmp_path / "a.mkv", clip, "FFV1")
    data = bytearray(open(path, "rb").read())
    data[len(data) // 3 : len(data) // 3 * 2] = bytes(len(data) // 3)
    with open(path, "wb") as stream:
        stream.write(data)
    found = check_video(path, full=True)
    assert found["state"] == "truncated" and found["frames"] < 60


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    path = save_video(tmp_path / "a.avi", make_ramp_clip(20))

    def refuse(*_):  # root may read everything, so the refusal is made
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    found = check_video(path)
    assert (found["state"], found["reason"]) == ("unreadable", "Permission denied")


def test_hashes_tell_contents_apart(tmp_path):
    for name, content in (("a", b"x" * 3_000_000), ("b", b"x" * 3_000_000), ("c", b"x")):
        (tmp_path / name).write_bytes(content)
    hashes = [content_hash(str(tmp_path / name)) for name in "abc"]
    assert hashes[0] == hashes[1] != hashes[2]


def test_shards_are_not_for_this_command(tmp_path):
    video = save_video(tmp_path / "a.avi", make_ramp_clip(20))
    write_shards([Record(video)], tmp_path / "shards", workers=1)
    with pytest.raises(SystemExit, match="holds shards, whose records are verified each time"):
        main(["verify", f"--source={tmp_path / 'shards'}"])


@pytest.mark.parametrize(
    "flags, expected",
    [
        (["verify"], "give one of --dataset and --source"),
        (["verify", "--dataset=ucf101", "--source=x"], "give one of --dataset and --source"),
        (["verify", "--dataset=ucf101"], "--root is missing: the folder of the videos"),
        (["verify", "--source=x", "--block=bad"], "with commas between, not 'bad'"),
        (["verify", "--source=nowhere"], "There is no folder or list file 'nowhere'"),
        (["verify", "--dataset=ucf101", "--root=nowhere"], "There is no folder 'nowhere'"),
        (["verfy"], "the command must be one of verify, shards, serve. Received: verfy"),
    ],
)
def test_wrong_flags_get_a_clear_message(flags, expected, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(flags)
    assert expected in str(stopped.value) + capsys.readouterr().err


@pytest.mark.parametrize(
    "settings, expected",
    [
        ({"timeout": 0}, "timeout must be more than 0 seconds"),
        ({"timeout": -1.0}, "timeout must be more than 0 seconds"),
        ({"timeout": float("nan")}, "timeout must be more than 0 seconds"),
        ({"timeout": float("inf")}, "timeout must be .* at most 1,000,000"),
        ({"min_frames": -1}, "min_frames must not be negative"),
        ({"workers": 10**6}, "workers must be at most 1024"),
    ],
)
def test_numbers_without_sense_blame_no_file(tmp_path, settings, expected):
    video = save_video(tmp_path / "a.avi", make_ramp_clip(20))
    with pytest.raises(UserError, match=expected):
        verify(Catalog([Record(video)]), journal=tmp_path / "journal", **settings)


def test_a_fault_of_the_program_keeps_its_traceback(tmp_path, monkeypatch):
    def fail(*arguments, **settings):
        raise ValueError("shapes do not match")

    for name in ("verify", "shards"):
        command = importlib.import_module(f"bod_keras.data.commands.{name}")
        monkeypatch.setattr(command, "verify" if name == "verify" else "write_shards", fail)
        flags = ["--report=r.json"] if name == "verify" else ["--output=s"]
        monkeypatch.chdir(tmp_path)
        (tmp_path / "list.txt").write_text("a.mp4 1\n")
        with pytest.raises(ValueError, match="shapes do not match"):
            main([name, "--source=list.txt", *flags])


def test_help_names_the_commands(capsys):
    main([])
    assert "verify   match annotations with files" in capsys.readouterr().out
