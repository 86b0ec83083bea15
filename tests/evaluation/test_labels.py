"""Labels of a probe: names of classes reach the tables, and what cannot be probed is an error."""

import csv
import shutil

import pytest

from bod_keras.data import Catalog, ClipDataset, Record
from bod_keras.evaluation.protocols import Split
from tests.test_evaluate_command import evaluate, run  # noqa: F401


def split(*labels):
    records = [
        Record(
            f"{i}.mp4",
            label if isinstance(label, int) else None,
            labels=label or () if not isinstance(label, int) else (),
        )
        for i, label in enumerate(labels)
    ]
    return Split(
        Catalog(records), lambda catalog: ClipDataset(catalog.records, batch_size=1), "test"
    )


@pytest.mark.parametrize(
    "labels, expected",
    [
        ((0, None, 1, None), "2 of the 4 test videos have no label: 1.mp4, 3.mp4. Give them one"),
        (((0, 1), (1, 2)), "test videos have several labels each"),
        ((None, None), "have no labels"),
    ],
)
def test_labels_that_cannot_be_probed(labels, expected):
    with pytest.raises(ValueError, match=expected):
        _ = split(*labels).labels


def test_names_of_classes_and_other_columns(evaluate, run, tmp_path):  # noqa: F811
    """Names in a list, a formula among them; a class that test lacks; columns that are no label."""
    videos = sorted((run.parent / "UCF-101").rglob("*.avi"))
    names = [r"a_$\frac$", "never in test", "run, fast"]
    for part, numbers in (("train", range(6)), ("test", range(6, 10))):
        with open(tmp_path / f"{part}.csv", "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["", "path", "action", "num_frames", "camera"])
            for row, number in enumerate(numbers):
                path = tmp_path / f"{part}{number}.avi"
                shutil.copy(videos[number % len(videos)], path)
                with open(path, "ab") as stream:  # no copy of another one
                    stream.write(bytes([number]) * 8)
                name = names[row % 3 if part == "train" else 2 * (row % 2)]
                writer.writerow([row, path, name, 30 + number, number // 2])
    flags = [f"--probe_{part}={tmp_path}/{part}.csv" for part in ("train", "test")]
    code, output, errors = evaluate(run, "--protocol=knn", *flags)
    assert code == 0, errors
    assert (
        "4 videos, 4 labels, 2 classes, factor camera; columns without a name, num_frames ignored"
        in output
    )
    assert (
        "WARNING: column camera left out: train must have two values, and all that test has."
        in output
    )
    (table,) = run.rglob("evaluation/knn/label-static/per_class.csv") or run.rglob(
        "label-*/per_class.csv"
    )
    with open(table, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["class"] for row in rows] == names
    assert [row["videos"] for row in rows] == ["2", "0", "2"]
