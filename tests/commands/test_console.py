"""`bod-keras`: every command from one door, quickly; a config to start from; embed and search at the prompt."""

import csv
import json
import os
import runpy
import subprocess
import sys
from unittest import mock

import pytest

from bod_keras.commands.console.embed import seconds
from bod_keras.commands.console.init import write_config
from bod_keras.commands.console.main import COMMANDS, main
from bod_keras.errors import UserError
from tests.small_run import write_run, write_video
from tests.tiers import slow
from tests.typed_commands import ROOT

START = "import sys; sys.argv[0] = 'bod-keras'; from bod_keras.commands.console.main import main; main()"


def console(*arguments, **environment):
    """As it is typed, in a process of its own."""
    kept = {k: v for k, v in os.environ.items() if k != "BOD_KERAS_READER"}
    return subprocess.run(
        [sys.executable, "-X", "importtime", "-c", START, *map(str, arguments)],
        cwd=ROOT,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)], ids=str)
def test_help_is_there_without_keras(command):
    done = console(*command, "--help")
    assert done.returncode == 0 and f"bod-keras {' '.join(command)}".strip() in done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not {"keras", "tensorflow", "torch", "jax", "matplotlib", "pyarrow"} & imported


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "command", [["train.py", "--help"], ["-m", "bod_keras.data", "--help"]], ids=" ".join
)
def test_a_reader_who_leaves_is_no_traceback(command, unbuffered):
    """As of ``| head -1`` that has ended."""
    read, write = os.pipe()
    os.close(read)
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    try:
        done = subprocess.run(
            [sys.executable, *command],
            cwd=ROOT,
            env=environment,
            stdout=write,
            stderr=subprocess.PIPE,
            timeout=120,
        )
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


def test_the_list_names_every_command(capsys):
    main([])
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()[2:]]
    assert sorted(listed) == sorted(COMMANDS)


def test_an_unknown_command_is_one_line_with_the_nearest():
    with pytest.raises(SystemExit, match="Received: 'serach'. Did you mean search?"):
        main(["serach"])


@pytest.mark.parametrize("command", ["train", "embed"])
def test_a_backend_that_is_not_installed_is_one_line(command, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['torch'] = None\n")
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = console(command, "a", "b", KERAS_BACKEND="torch", PYTHONPATH=path)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("import time:")]
    assert done.returncode == 1 and len(lines) == 1
    assert (
        f"bod-keras {command}: Keras is to run on torch, which is not installed: pip install"
        in lines[0]
    )


def test_a_config_to_start_from(tmp_path, monkeypatch):
    odd = tmp_path / 'my \'videos\'\n"""'
    for number in range(3):
        write_video(odd / f"{number}.avi", number)
    monkeypatch.chdir(tmp_path)
    told = write_config(str(odd), "config.py")
    assert "3 videos" in told and "bod-keras train --config=config.py" in told
    config = runpy.run_path("config.py")["get_config"]()
    assert config.data.source == str(odd) and config.clips.batch_size == 3
    with pytest.raises(UserError, match="config.py is there already"):
        write_config(str(odd), "config.py")
    with pytest.raises(UserError, match="must be a Python file"):
        write_config(str(odd), "config.txt")


@pytest.mark.parametrize("text, value", [("2s", 2), ("0.5", 0.5), ("1.5 s", 1.5), (".25s", 0.25)])
def test_durations(text, value):
    assert seconds("every", text) == value


@pytest.mark.parametrize("text", ["", "2m", "-1", "1e3", "s"])
def test_wrong_durations(text):
    with pytest.raises(UserError, match="--every must be a number of seconds, such as 2s"):
        seconds("every", text)


@pytest.fixture
def here(tmp_path, capsys, monkeypatch):
    """A run and four videos; runs a command in this process: what it printed."""
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "run")
    for number in range(4):
        write_video(tmp_path / "videos" / f"{number}\n.avi", number)

    def here(*arguments):
        with mock.patch.object(sys, "argv", ["bod-keras", *arguments]):
            main()
        return capsys.readouterr().out

    return here


def test_embed_and_search_at_the_prompt(here, tmp_path):
    (tmp_path / "videos" / "cut.mp4").write_bytes(b"")
    told = here("embed", "run", "videos", "--output=library", "--workers=0", "--format=csv")
    assert "library.parquet: 4 rows" in told and "library.csv: 4 rows" in told
    assert "1 could not be read" in told and "cut.mp4: " in told
    told = here(
        "search", "library", "videos/2\n.avi", "--by=motion", "--top=2", "--output=found.csv"
    )
    table = told.splitlines()
    assert (
        table[0].split() == ["rank", "score", "motion", "start", "end", "path"] and len(table) == 4
    )
    assert "\\n.avi" in table[1]  # a name's line break is no line break of the table
    with open("found.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["rank"] for row in rows] == ["1", "2"] and rows[0]["path"].endswith("\n.avi")
    here("search", "library", "videos/2\n.avi", "--itself", "--output=found.json")
    assert len(json.loads((tmp_path / "found.json").read_text())) == 4
    told = here("search", "library", "--duplicates=1")
    assert told.startswith("0 groups") and "Nothing was found" in told
    with pytest.raises(SystemExit, match="bod-keras search: --output must end in .csv or .json"):
        here("search", "library", "a.avi", "--output=found.txt")
    told = here("explore", "library", "--output=page", "--workers=0")
    assert "page/index.html" in told and (tmp_path / "page" / "index.html").is_file()


@slow
def test_search_needs_no_keras_where_the_library_knows_the_query(here, tmp_path):
    here("embed", "run", "videos", "--output=library", "--workers=0")
    done = console("search", tmp_path / "library", tmp_path / "videos" / "2\n.avi")
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 4
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not {"keras", "tensorflow"} & imported
    os.rename(tmp_path / "videos" / "2\n.avi", tmp_path / "new.avi")
    done = console("search", tmp_path / "library", tmp_path / "new.avi")
    assert done.returncode == 0 and "1.000" in done.stdout.splitlines()[1]
