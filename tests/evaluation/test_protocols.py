"""Every protocol of configs/protocols on UCF101 in small; what their files must say; slow truths."""

import ast
import csv
from pathlib import Path

import keras
import numpy as np
import pytest

from bod_keras.evaluation import linear_probe
from bod_keras.evaluation.feature_cache import FeatureCache
from bod_keras.evaluation.protocols import (
    KINDS,
    Subject,
    change_protocol,
    read_protocol,
    run_protocol,
)
from tests.evaluation.ucf101_tree import CLASSES, read_splits, write_ucf101
from tests.outputs import check_output
from tests.tiers import slow, slow_unless
from tests.tiny_models import make_framework, weights_of

FOLDER = Path(__file__).parents[2] / "configs" / "protocols"
NAMES = sorted(p.stem.replace("_", "-") for p in FOLDER.glob("*.py") if p.stem != "common")


def docstring_of(name):
    return ast.get_docstring(ast.parse((FOLDER / f"{name.replace('-', '_')}.py").read_text()))


PUBLISHED = [name for name in NAMES if not docstring_of(name).startswith("Ours: ")]
ON_FEATURES = [n for n in NAMES if read_protocol(n, FOLDER).kind in ("linear", "knn", "retrieval")]
TRAINING = [name for name in NAMES if read_protocol(name, FOLDER).kind == "finetune"]
SMALL = ["frames=4", "size=8", "stride=2", "views=2"]
SMALL += ["crops=1", "epochs=2", "batch_size=4", "warmup_epochs=0.0"]  # of those that train


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return write_ucf101(tmp_path_factory.mktemp("ucf101"))


@pytest.fixture(scope="module")
def shared(tree, tmp_path_factory):
    """A model, the splits, and the cache that all tests of this file fill."""
    model = make_framework("vsimclr")
    return model, read_splits(tree, stride=2), FeatureCache(tmp_path_factory.mktemp("features"))


def subject_of(shared, folder, seed=0):
    model, splits, cache = shared
    return Subject(model, {}, *splits, folder, seed, cache)


def of_tiers(names):
    """Variants of a protocol, by their hyphen, are of the second tier."""
    return [pytest.param(name, marks=slow_unless("-" not in name)) for name in names]


def small(name, *changes):
    protocol = read_protocol(name, FOLDER)
    changes = [*SMALL, *changes]
    return change_protocol(protocol, [c for c in changes if c.partition("=")[0] in protocol])


@pytest.mark.parametrize("name", of_tiers(ON_FEATURES))
def test_a_protocol_on_features_runs(shared, tmp_path, name):
    protocol = small(name)
    subject = subject_of(shared, tmp_path / "out")
    result = run_protocol(subject, protocol)
    scores = result["factors"]["label"]
    parts = [part for part in scores if part != "chance"]
    assert parts == list(protocol.parts or ("pooled", "static", "dynamic"))
    assert scores["chance"] == pytest.approx(1 / 3)
    for part in parts:
        assert all(0 <= value <= 1 for value in scores[part].values() if value is not None)
    assert result["files"]
    for file in result["files"]:
        check_output(tmp_path / "out" / file)


@pytest.mark.parametrize("name", of_tiers(TRAINING))
def test_a_protocol_that_trains_runs_and_is_then_read_from_its_file(shared, tmp_path, name, capsys):
    model, (train, test), _ = shared
    before = weights_of(model)
    subject = Subject(model, {}, train, test, tmp_path)
    protocol = small(name)
    result = run_protocol(subject, protocol)
    measures = result["factors"]["label"]["classifier"]
    assert list(measures) == ["top1", "top5", "mean_class"] and 0 <= measures["top1"] <= 1
    assert result["chosen_on"] == (None if protocol.checkpoint == "last" else protocol.checkpoint)
    assert bool(result["warnings"]) == (protocol.checkpoint == "test")
    for file in result["files"]:
        check_output(tmp_path / file)
    (folder,) = tmp_path.glob("training-*")
    left = {path.name for path in folder.iterdir()}
    assert left == {"classifier.keras", "history.csv", "result.npz"}
    with open(folder / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    # Without a validation part all 12 videos are learned from; with one, 4 of each class less one.
    videos = 9 if protocol.checkpoint == "validation" else 12
    assert [int(row["step"]) for row in rows] == [videos // 4, 2 * (videos // 4)]
    assert ("val_accuracy" in rows[0]) == (protocol.checkpoint != "last")
    if protocol.checkpoint != "last":
        accuracies = [float(row["val_accuracy"]) for row in rows]
        assert result["epoch"] == 1 + int(np.argmax(accuracies))
        assert result["chosen_accuracy"] == max(accuracies)
    for one, other in zip(before, weights_of(model), strict=True):
        np.testing.assert_array_equal(one, other)
    capsys.readouterr()
    assert run_protocol(subject, protocol) == result
    assert f"Trained before: read from {folder}/result.npz" in capsys.readouterr().out


def test_training_twice_is_identical_and_another_seed_is_not(shared, tmp_path):
    model, (train, test), _ = shared
    found = []
    for place, seed in (("one", 0), ("other", 0), ("third", 1)):
        subject = Subject(model, {}, train, test, tmp_path / place, seed)
        run_protocol(subject, small("linear-coclr", "epochs=1"))
        (file,) = (tmp_path / place).glob("training-*/result.npz")
        found.append(np.load(file)["probabilities"])
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any()


@pytest.mark.parametrize(
    "name", ["knn", *(pytest.param(n, marks=slow) for n in ("linear", "retrieval-rspnet"))]
)
def test_twice_is_identical_and_another_cache_changes_nothing(shared, tmp_path, name):
    model, splits, _ = shared
    first = run_protocol(subject_of(shared, tmp_path / "out"), small(name))
    fresh = FeatureCache(tmp_path / "features")
    subject = Subject(model, {}, *splits, tmp_path / "again", 0, fresh)
    assert run_protocol(subject, small(name)) == first
    for file in first["files"]:
        assert (tmp_path / "out" / file).read_bytes() == (tmp_path / "again" / file).read_bytes()


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_protocol_names_its_choices(name):
    """And asks for clips of its own, so that another model is refused and not silently evaluated."""
    entries = [line.partition(":")[0] for line in docstring_of(name).splitlines()]
    needed = ("Command", "Source", "Clips", "Views", "Batch norm", "Normalized")
    for entry in (*needed, "Chosen", "Reported", "Differs", "Unverified"):
        assert entry in entries
    protocol = read_protocol(name, FOLDER)
    assert protocol.name == name and protocol.version >= 1 and protocol.kind in KINDS
    if name != "knn-lightly":
        assert protocol.frames and protocol.size and protocol.stride
    if protocol.kind == "finetune":
        assert (protocol.checkpoint == "test") == ("ON TEST" in docstring_of(name))


def test_our_own_protocols_never_choose_on_test():
    for name in set(NAMES) - set(PUBLISHED):
        assert read_protocol(name, FOLDER).get("checkpoint", "validation") == "validation"


def test_the_linear_protocol_is_the_linear_probe(shared, tmp_path):
    subject = subject_of(shared, tmp_path)
    result = run_protocol(subject, small("linear"))
    (train, train_y), (test, test_y) = (
        subject.labeled(split, views=2)[:2] for split in (subject.train, subject.test)
    )
    for part in train:
        truth = linear_probe(train[part], train_y["label"], test[part], test_y["label"])
        assert result["factors"]["label"][part]["linear"] == truth


def test_the_tables_hold_what_was_counted(shared, tmp_path):
    result = run_protocol(subject_of(shared, tmp_path), small("knn", "k=3"))
    with open(tmp_path / "label-static" / "confusion.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["class", *CLASSES] and [row[0] for row in rows[1:]] == list(CLASSES)
    counts = np.array([row[1:] for row in rows[1:]], int)
    assert counts.sum(axis=1).tolist() == [2, 2, 2]
    assert np.trace(counts) / 6 == pytest.approx(result["factors"]["label"]["static"]["knn"])


def test_neighbors_and_recalls_are_those_of_a_slow_search(shared, tmp_path):
    """One query and one gallery video at a time, centered as CoCLR does it."""
    subject = subject_of(shared, tmp_path)
    result = run_protocol(subject, small("retrieval-coclr"))
    (gallery, gallery_y), (queries, queries_y) = (
        subject.labeled(split, views=2, kind="pooled")[:2]
        for split in (subject.train, subject.test)
    )
    gallery, queries = (
        x["pooled"].astype("float64") - x["pooled"].astype("float64").mean(axis=0)
        for x in (gallery, queries)
    )
    with open(tmp_path / "neighbors-pooled.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    hits = {k: 0 for k in (1, 5, 10)}
    for q, query in enumerate(queries):
        cosines = [
            sum(a * b for a, b in zip(query, one)) / np.linalg.norm(query) / np.linalg.norm(one)
            for one in gallery
        ]
        order = sorted(range(len(gallery)), key=lambda i: (-round(cosines[i], 12), i))
        for rank in range(5):
            row = rows[5 * q + rank]
            assert row["query"] == subject.test.records[q].path and row["rank"] == str(rank + 1)
            assert row["neighbor"] == subject.train.records[order[rank]].path
        for k in hits:
            found = {gallery_y["label"][i] for i in order[:k]}
            hits[k] += queries_y["label"][q] in found
    assert result["factors"]["label"]["pooled"] == {f"R@{k}": n / 6 for k, n in hits.items()}
    assert result["gallery"] == 12  # so R@20 and R@50 are not there


@slow
def test_neighbors_by_motion_move(shared, tmp_path):
    image = pytest.importorskip("PIL.Image")
    files = run_protocol(subject_of(shared, tmp_path), small("retrieval"))["files"]
    assert [name for name in files if name.endswith(".gif")] == ["neighbors-dynamic-label.gif"]
    with image.open(tmp_path / "neighbors-dynamic-label.gif") as picture:
        pages = []
        for page in range(picture.n_frames):
            picture.seek(page)
            pages.append(np.asarray(picture.convert("L"), float))
    assert len(pages) > 1
    assert all(np.abs(a - b).max() > 20 for a, b in zip(pages, pages[1:]))


def test_a_part_that_is_not_there(shared, tmp_path):
    protocol = small("knn", "parts=('static', 'motion')")
    with pytest.raises(ValueError, match="asks for the parts static, motion, but .*pooled, static"):
        run_protocol(subject_of(shared, tmp_path), protocol)


def test_an_encoder_alone_has_one_part(shared, tmp_path):
    model, splits, cache = shared
    subject = Subject(model.encoder, {}, *splits, tmp_path, 0, cache)
    assert list(run_protocol(subject, small("knn"))["factors"]["label"]) == ["pooled", "chance"]
    with pytest.raises(ValueError, match="'projected' needs a framework .*Choose 'pooled'"):
        run_protocol(subject, small("knn-slowfast"))


def test_time_steps_are_laid_side_by_side(shared, tmp_path):
    subject = subject_of(shared, tmp_path)
    features, _ = subject.features(subject.test, kind="pooled", time_steps=4)
    (batch,) = subject.test.clips(batch_size=6).evaluation_numpy()
    frames = keras.ops.convert_to_numpy(subject.encoder(batch["views"][:, 0], training=False))
    np.testing.assert_allclose(features["pooled"], frames.reshape(6, -1), rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match="divide the 4 time steps .*Received: 3"):
        subject.features(subject.test, kind="pooled", time_steps=3)


def test_an_unknown_kind(shared, tmp_path):
    protocol = change_protocol(read_protocol("knn", FOLDER), ["kind=retrival"])
    with pytest.raises(
        ValueError,
        match="kind of a protocol must be .*Received: 'retrival'.*Did you mean retrieval",
    ):
        run_protocol(subject_of(shared, tmp_path), protocol)
