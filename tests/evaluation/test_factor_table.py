"""What the parts predict of the factors: known answers of probes, table and words; the protocol on arrays."""

import dataclasses

import keras
import numpy as np
import pytest

from bod_keras.configs.protocols.factors import get_config
from bod_keras.data import Catalog, ClipDataset
from bod_keras.data.video.array_store import array_records
from bod_keras.evaluation import factor_probes, factor_table, mlp_probe, plot_factor_table
from bod_keras.evaluation.protocols import Split, Subject, change_protocol, run_protocol
from tests.outputs import read_picture

CLASSES = 4


def labels(rows, seed):
    rng = np.random.default_rng(seed)
    return {name: rng.permutation(np.arange(rows) % CLASSES) for name in ("static", "dynamic")}


def one_hot_parts(factors):
    """A static part that is the static label, a dynamic part that is the dynamic one; pooled has both."""
    static, dynamic = np.eye(CLASSES)[factors["static"]], np.eye(CLASSES)[factors["dynamic"]]
    return {"pooled": np.hstack([static, dynamic]), "static": static, "dynamic": dynamic}


def test_parts_that_are_the_labels_predict_their_own_factor_alone():
    splits = [(one_hot_parts(y), y) for y in (labels(240, 0), labels(240, 1))]
    found = factor_probes(*splits, measures=("linear", "mlp"))
    table, sentences = factor_table(found, ["static"], ["dynamic"])
    assert list(table) == ["linear", "mlp"]
    for cells in table.values():
        for part, other in (("static", "dynamic"), ("dynamic", "static")):
            assert cells[part][part] == 1.0
            # Three deviations of 240 throws, on the scale of the excess.
            assert abs(cells[part][other]) < 3 * np.sqrt(0.25 * 0.75 / 240) / 0.75
    assert sentences[0].startswith(
        "static part: predicts static (1.000, chance 0.250), does not predict"
    )
    assert sentences[1].startswith("dynamic part: predicts dynamic (1.000, chance 0.250), does not")
    assert all(sentence.endswith(", as it should.") for sentence in sentences)


def test_a_part_that_predicts_both_is_named():
    split = labels(240, 0)
    parts = {**one_hot_parts(split), "static": one_hot_parts(split)["pooled"]}
    found = factor_probes((parts, split), (parts, split), measures=("linear",))
    _, sentences = factor_table(found, ["static"], ["dynamic"], ["linear"])
    assert "predicts static" in sentences[0] and ", predicts dynamic (1.000" in sentences[0]
    assert sentences[0].endswith("NOT as it should.") and "NOT" not in sentences[1]


def test_a_network_reads_what_a_line_cannot():
    """The parity of two signs; and twice is identical."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 3))
    y = (x[:, 0] * x[:, 1] > 0).astype(int)
    split = {"pooled": x[:400]}, {"parity": y[:400]}
    test = {"pooled": x[400:]}, {"parity": y[400:]}
    found = factor_probes(split, test, measures=("linear", "mlp"))["parity"]["pooled"]
    assert found["linear"] < 0.65 and found["mlp"] > 0.9
    assert mlp_probe(x[:400], y[:400], x[400:], y[400:]) == found["mlp"]


def test_the_network_never_chooses_on_test():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(80, 3)), np.arange(80) % 2
    x[:, 0] += 2 * y
    right = mlp_probe(x[:40], y[:40], x[40:], y[40:])
    assert mlp_probe(x[:40], y[:40], x[40:], 1 - y[40:]) == pytest.approx(1 - right)


@pytest.mark.parametrize(
    ("measures", "message"),
    [
        (("linaer",), r"one or more of linear, knn, mlp. Received: \['linaer'\]"),
        ((), r"Received: \[\]"),
    ],
)
def test_unknown_measures(measures, message):
    split = ({"pooled": np.eye(4)}, {"static": np.arange(4)})
    with pytest.raises(ValueError, match=message):
        factor_probes(split, split, measures=measures)


def test_errors_of_the_table(tmp_path):
    cells = {"static": {"linear": 0.5}, "chance": 0.25}
    with pytest.raises(ValueError, match=r"factor 'digit', which lacks \['dynamic'\]"):
        factor_table({"digit": cells}, ["digit"], [], ["linear"])
    with pytest.raises(
        ValueError, match=r"lacks \['static', 'dynamic'\]; the factors are \['digit'\]"
    ):
        factor_table({"digit": cells}, ["shape"], [], ["linear"])
    with pytest.raises(ValueError, match=r"Received: the factors \['digit'\], and parts for \[\]"):
        plot_factor_table({"linear": {"static": {"digit": 0.5}}}, {}, tmp_path / "t.png")


class OneHot(keras.Model):
    """Reads the static factor from the brightness of the first frame, the dynamic one from that of the last."""

    def __init__(self):
        super().__init__()
        self.unused = self.add_weight(shape=(1,))

    def embedder(self):
        return self.parts

    def parts(self, clips, training):
        frames = keras.ops.mean(clips, axis=(2, 3, 4)) * 255.0 / 10.0
        codes = {"static": frames[:, 0], "dynamic": frames[:, -1]}
        return {part: keras.ops.one_hot(keras.ops.round(x), CLASSES) for part, x in codes.items()}


@pytest.fixture(scope="module")
def subject(tmp_path_factory):
    splits = []
    for seed, name in enumerate(("train", "test")):
        factors = labels(32, seed)
        videos = np.empty((32, 4, 8, 8, 3), np.uint8)
        videos[:, :-1] = 10 * factors["static"][:, None, None, None, None]
        videos[:, -1] = 10 * factors["dynamic"][:, None, None, None]
        records = [
            dataclasses.replace(record, factors={k: int(v[i]) for k, v in factors.items()})
            for i, record in enumerate(array_records(videos))
        ]

        def make(catalog, **changes):
            return ClipDataset(
                catalog.records, **{"frames": 4, "size": 8, "batch_size": 8, **changes}
            )

        splits.append(Split(Catalog(records), make, name))
    folder = tmp_path_factory.mktemp("factors")
    return Subject(OneHot(), {}, *splits, folder / "evaluation" / "factors")


def protocol(*changes):
    config = get_config()
    config.modified = {}
    return change_protocol(config, list(changes))


def test_the_protocol_makes_the_table(subject):
    result = run_protocol(subject, protocol())
    assert result["table"]["linear"]["static"]["static"] == 1.0
    assert list(result["factors"]["static"]["static"]) == ["linear", "knn", "mlp"]
    assert list(result["table"]) == ["linear", "mlp"]
    assert result["verdicts"][1].startswith("dynamic part: predicts dynamic (1.000")
    read_picture(subject.folder / result["files"][0])


def test_which_factors_are_static_is_a_choice(subject):
    chosen = ("measures=('linear',)", "static_factors=('dynamic',)", "dynamic_factors=('static',)")
    result = run_protocol(subject, protocol(*chosen))
    assert all("NOT as it should" in verdict for verdict in result["verdicts"])
    with pytest.raises(
        ValueError, match="names shape; the columns of these videos are static, dyn"
    ):
        run_protocol(subject, protocol("measures=('linear',)", "static_factors=('shape',)"))
    without = run_protocol(subject, protocol("measures=('linear',)", "static_factors=()"))
    assert "table" not in without
