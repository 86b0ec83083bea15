"""Results of several splits and seeds as one, and the tables."""

import statistics

import pytest
from ml_collections import ConfigDict

from bod_keras.evaluation.protocols import KINDS, combine, result_tables, run_protocol


def result(seed, top1, fold=1):
    parts = {p: {"linear": top1 - i / 10, "top5": None} for i, p in enumerate(("pooled", "static"))}
    return {
        "fold": fold,
        "seed": seed,
        "version": 1,
        "videos": [8, 4],
        "factors": {"label": {**parts, "chance": 0.25}},
        "provenance": {"seconds": 1.5, "seed": seed},
    }


def test_one_result_stays_as_it_is():
    assert combine([result(0, 0.5)]) == result(0, 0.5)


def test_several_give_mean_and_deviation():
    values = [0.5, 0.7, 0.9]
    each = [result(seed, top1) for seed, top1 in enumerate(values)]
    combined = combine(each)
    assert combined["factors"]["label"]["pooled"]["linear"] == pytest.approx(0.7)
    assert combined["factors"]["label"]["pooled"]["top5"] is None
    assert combined["deviation"] == {
        "factors": {
            "label": {
                "pooled": {"linear": pytest.approx(statistics.stdev(values))},
                "static": {"linear": pytest.approx(statistics.stdev(values))},
                "chance": 0.0,
            }
        }
    }
    assert combined["each"] == each and combined["provenance"] == each[0]["provenance"]


def test_runs_of_one_name_are_averaged_over_their_splits_too():
    runs = [
        ("plain", [result(0, 0.5), result(0, 0.7, fold=2)]),
        ("plain", [result(1, 0.9), result(1, 0.5, fold=2)]),
        ("decoupled", [result(0, 1.0), result(0, 1.0, fold=2)]),
    ]
    table = result_tables(runs, "factors").splitlines()
    deviation = statistics.stdev([0.5, 0.7, 0.9, 0.5])
    header, plain, decoupled = table[-4], table[-2], table[-1]
    assert header.split()[:6] == ["run", "seeds", "factor", "chance", "linear:", "pooled"]
    assert plain.split()[:7] == ["plain", "4", "label", "0.250", "0.650", "±", f"{deviation:.3f}"]
    assert decoupled.split()[:3] == ["decoupled", "2", "label"] and decoupled.endswith(
        "0.900 ± 0.000"
    )


def test_a_kind_without_columns_of_parts_has_a_row_a_part():
    header, _, *rows = result_tables([("a", [result(0, 0.5)])], "linear").splitlines()[-4:]
    assert header.split() == ["run", "runs", "label", "chance", "part", "linear"]
    assert [row.split()[4:] for row in rows] == [["pooled", "0.500"], ["static", "0.400"]]


def test_what_only_some_results_have_is_not_averaged():
    combined = combine([{"a": 1.0, "b": {"c": 1}}, {"a": 3.0, "b": {"d": 2}}])
    assert (
        combined["a"] == 2.0 and combined["b"] == {"c": 1} and list(combined["deviation"]) == ["a"]
    )


def test_what_has_no_parts_shows_its_numbers():
    runs = [("a", [{"frame_map": 0.5, "fold": None, "seed": 0, "videos": [1, 2]}])]
    assert result_tables(runs, "detect").splitlines()[-1].split() == ["a", "1", "0.500"]


def test_a_kind_from_outside_says_what_its_table_shows(tmp_path, monkeypatch):
    (tmp_path / "my_kinds.py").write_text(
        "from bod_keras.evaluation.protocols import kind\n"
        "@kind('mine', columns=('videos',))\n"
        "def count(subject, protocol):\n"
        "    return {'videos_read': 3, 'other': 1}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    found = run_protocol(None, ConfigDict({"kind": "my_kinds:count"}))
    assert "mine" in KINDS
    assert result_tables([("a", [found])], "mine").splitlines()[0].split() == [
        *("run", "runs", "videos_read")
    ]
