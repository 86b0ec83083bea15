"""A label means the same in train and test, whatever classes and columns either list has."""

import pytest

from bod_keras.data import Catalog, Record, pair_catalogs, read_source
from tests.data.datasets.trees import touch


def test_classes_are_matched_by_name(tmp_path):
    touch(tmp_path, *(f"train/{name}/{name}.mp4" for name in "abc"))
    touch(tmp_path, "test/a/x.mp4", "test/c/y.mp4")
    (tmp_path / "test.csv").write_text("path,label\nx.mp4,c\ny.mp4,b\n")
    train = read_source(tmp_path / "train")
    for source, labels in (("test", [0, 2]), ("test.csv", [2, 1])):
        _, test = pair_catalogs(train, read_source(tmp_path / source))
        assert [r.label for r in test.records] == labels
        assert test.class_names == ["a", "b", "c"]


def test_a_class_that_train_has_not_is_left_to_the_check():
    train, test = Catalog([Record("a", 0)], ["x"]), Catalog([Record("b", 0)], ["y"])
    assert pair_catalogs(train, test) == (train, test)


@pytest.mark.parametrize(
    "name, of_train, of_test", [("n", 30, 60), ("same", 0, 0), ("only", 30, None)]
)
def test_columns_that_cannot_be_tested_are_left_out(name, of_train, of_test):
    def records(first, constant):
        values = [{} if first is None else {name: constant and first + i} for i in range(4)]
        return [Record(f"{first}{i}", i % 2, {"good": i % 2, **v}) for i, v in enumerate(values)]

    train, test = records(of_train, of_train), records(of_test, of_test)
    train, test = pair_catalogs(Catalog(train), Catalog(test))
    assert all(set(r.factors) == {"good"} for r in (*train.records, *test.records))
    if of_test is not None:
        assert test.remarks[0].startswith(f"column {name} left out")


def test_the_last_column_stays_for_the_error_of_the_probe():
    train, test = Catalog([Record("a", factors={"n": 1})]), Catalog([Record("b", factors={"n": 2})])
    assert pair_catalogs(train, test) == (train, test)
