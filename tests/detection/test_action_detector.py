"""The detector: each box by itself, the loss of the boxes that there are, files, precision."""

import zipfile

import h5py
import keras
import numpy as np
import pytest

from bod_keras.detection import ActionDetector, RoIAlign
from bod_keras.encoders import FrameCNN, feature_map
from tests.tiny_models import numpy

CLIPS = (4, 16, 16, 3)


def make_detector(multi_label=True, **kwargs):
    features = feature_map(FrameCNN(CLIPS, widths=(4, 8)))
    return ActionDetector(features, classes=3, multi_label=multi_label, bins=3, **kwargs)


def make_inputs(batch=2, boxes=3):
    rng = np.random.default_rng(0)
    first, size = rng.uniform(0, 0.5, (2, batch, boxes, 2))
    corners = np.concatenate([first, first + 0.2 + size], -1).astype("float32")
    return {"clips": rng.random((batch, *CLIPS), "float32"), "boxes": corners}


def test_it_is_pooling_a_cut_and_a_linear_map():
    detector = make_detector(time_pool="max", bin_pool="mean")
    inputs = make_inputs()
    maps = numpy(detector.features(inputs["clips"])).max(axis=1)
    regions = numpy(detector.roi_align(maps, inputs["boxes"])).mean(axis=(2, 3))
    kernel, bias = (numpy(w) for w in detector.classifier.weights)
    np.testing.assert_allclose(numpy(detector(inputs)), regions @ kernel + bias, atol=1e-6)


@pytest.mark.parametrize("multi_label", [False, True])
def test_only_boxes_that_are_there_count_in_the_loss(multi_label):
    detector = make_detector(multi_label)
    logits = np.random.default_rng(1).normal(size=(2, 3, 3)).astype("float32")
    targets = np.eye(3, dtype="float32")[[[0, 1, 2], [2, 0, 0]]]
    mask = np.array([[1, 0, 0], [1, 1, 0]], "float32")
    loss = float(detector.loss_function()(targets, logits, sample_weight=mask))
    scores = numpy(detector.scores(logits)).astype("float64")
    each = -(targets * np.log(scores)).sum(-1)
    if multi_label:
        each = (each - ((1 - targets) * np.log(1 - scores)).sum(-1)) / 3
    assert loss == pytest.approx(each[mask == 1].mean(), rel=1e-5)


def test_it_comes_back_from_a_file(tmp_path):
    detector = make_detector(dropout=0.25)
    inputs = make_inputs()
    logits = numpy(detector(inputs))
    detector.save(tmp_path / "detector.keras")
    again = keras.models.load_model(tmp_path / "detector.keras")
    configs = [{**model.get_config(), "features": None} for model in (again, detector)]
    assert configs[0] == configs[1] and configs[0]["dropout"] == 0.25
    np.testing.assert_array_equal(numpy(again(inputs)), logits)


def test_a_detector_of_version_0_1_loads(tmp_path):
    """Its file has no counters and no states of seeds."""
    detector = make_detector(dropout=0.25)
    detector.count(np.arange(3))
    detector.save(tmp_path / "detector.keras")
    with zipfile.ZipFile(tmp_path / "detector.keras") as archive:
        archive.extractall(tmp_path / "parts")
    with h5py.File(tmp_path / "parts" / "model.weights.h5", "a") as file:
        assert len(file["vars"])
        for name in list(file["vars"]):
            del file["vars"][name]
    with zipfile.ZipFile(tmp_path / "old.keras", "w") as archive:
        for part in (tmp_path / "parts").iterdir():
            archive.write(part, part.name)
    again = keras.models.load_model(tmp_path / "old.keras")
    assert int(again.steps_taken) == 0
    inputs = make_inputs()
    np.testing.assert_array_equal(numpy(again(inputs)), numpy(detector(inputs)))


def test_half_precision_leaves_boxes_and_logits_in_float32():
    keras.config.set_dtype_policy("mixed_bfloat16")
    dtypes = []

    class Spy(RoIAlign):
        def call(self, maps, boxes):
            dtypes.append(keras.backend.standardize_dtype(boxes.dtype))
            return super().call(maps, boxes)

    detector = make_detector()
    detector.roi_align = Spy(3)
    logits = detector(make_inputs())
    assert dtypes == ["float32"] and detector.roi_align.compute_dtype == "bfloat16"
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
    assert np.isfinite(numpy(logits)).all()


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"maps .*Received: one with the outputs \(None, 4, 8\)"):
        ActionDetector(FrameCNN(CLIPS, widths=(4, 8)), 3, True)
    with pytest.raises(ValueError, match="bin_pool must be one of mean, max. Received: 'sum'"):
        make_detector(bin_pool="sum")
