"""The mutants that `make mutants` makes: of code alone, one change each, and the same ones each time."""

import ast
import importlib.util
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[1] / "tools" / "mutants.py"
MODULE = '''"""A text with 1 + 1."""

import functools


@functools.lru_cache(maxsize=7)
def f(x: "3", y=2.5):
    """Twice 2."""
    if x < 3 and not y:
        raise ValueError(f"{x + 1} is less than 3")
    x = x + y
    print(x, -1)
    return -x if x is None else True
'''


@pytest.fixture
def tool(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("mutants", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "bod_keras").mkdir()
    (tmp_path / "bod_keras" / "a.py").write_text(MODULE)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "ROOMS", {"room": {"a.py": "test_a.py"}})
    return module


def test_every_mutant_is_one_change_of_code(tool):
    mutants = tool.mutants_of("room", "a.py")
    assert {m.change for m in mutants} == {
        "2.5 -> 5.0",
        "x < 3 and not y -> (x < 3 or not y)",
        "x < 3 -> (x <= 3)",
        "3 -> 4",
        "not y -> (y)",
        "dropped: raise ValueError(f'{x + 1} is less than 3')",
        "dropped: x = x + y",
        "x + y -> (x - y)",
        "dropped: print(x, -1)",
        "-1 -> (0)",
        "-x -> (x)",
        "x is None -> (x is not None)",
        "True -> False",
    }
    lines = MODULE.splitlines()
    for mutant in mutants:
        ast.parse(mutant.text)
        assert lines[mutant.number - 1].strip() == mutant.line
        changed = [new for old, new in zip(lines, mutant.text.splitlines()) if old != new]
        assert len(changed) == 1 and mutant.text.count("\n") == MODULE.count("\n")


def test_a_sample_does_not_depend_on_other_code(tool, tmp_path):
    keys = {m.key for m in tool.sampled(7, ["room"])}
    assert len(keys) == 7 and keys == {m.key for m in tool.sampled(7, ["room"])}
    (tmp_path / "bod_keras" / "a.py").write_text("import os\n\n" + MODULE)
    assert keys == {m.key for m in tool.sampled(7, ["room"])}


def test_a_table_counts_what_no_test_can_see_apart(tool, tmp_path, monkeypatch):
    mutants = tool.sampled(4, ["room"])
    file = tmp_path / "equivalent.tsv"
    file.write_text(f"{mutants[0].key}\tA reason.\n")
    monkeypatch.setattr(tool, "EQUIVALENT", file)
    verdicts = dict(zip([m.key for m in mutants], ("passes", "passes", "fails", "hangs")))
    text = tool.table(mutants, verdicts)
    assert "| room | 4 | 2 | 1 | 66.7% |" in text and "Survivors: 1" in text
    assert mutants[1].place in text and mutants[0].place not in text


def test_every_room_names_modules_and_tests_that_are_there():
    spec = importlib.util.spec_from_file_location("mutants", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for room in module.ROOMS.values():
        for name, tests in room.items():
            assert (module.ROOT / "bod_keras" / name).is_file(), name
            for test in module.shlex.split(tests):
                assert test[0] == "-" or (module.ROOT / "tests" / test).exists(), test
    for key in module.equivalents():
        name, line, _ = key.split("\t")
        assert line in (module.ROOT / "bod_keras" / name).read_text(), key
