"""From the keys of a config to the videos that are trained on and tested."""

import json

import numpy as np
import pytest

from bod_keras import experiment
from bod_keras.configs import base, demo
from bod_keras.errors import UserError
from tests.data.datasets.trees import touch, write_files
from tests.video_files import save_video


def config_of(**data):
    config = base.get_config()
    config.data.update(data)
    config.clips.update({"frames": 4, "size": 16, "batch_size": 2, "recipe": "rho", "workers": 1})
    return config


@pytest.fixture
def ucf101(tmp_path):
    """Twelve annotated videos for training, one of them missing, and one for testing."""
    names = [f"Archery/v_Archery_g{group:02d}_c01.avi" for group in range(1, 14)]
    root = touch(tmp_path / "UCF-101", *names[:-1])
    lists = {"classInd.txt": "1 Archery\n", "testlist01.txt": names[0], "testlist02.txt": names[1]}
    lists["trainlist01.txt"] = "".join(f"{name} 1\n" for name in names[1:])
    lists["trainlist02.txt"] = f"{names[0]} 1\n"
    return {"dataset": "ucf101", "root": root, "annotations": write_files(tmp_path / "l", lists)}


def test_a_data_set_gives_its_splits_to_training_and_probe(ucf101, capsys):
    config = config_of(**ucf101).to_dict()
    catalog = experiment.training_catalog(config)
    assert len(catalog.records) == 11 and catalog.missing == ["Archery/v_Archery_g13_c01.avi"]
    assert "1 of 12 annotated videos have no file: Archery/v_Archery_g13" in capsys.readouterr().out
    assert len(experiment.training_data(config, catalog)) == 11
    assert experiment.probe_catalog(config, "train") == catalog
    test = experiment.probe_catalog(config, "test")
    assert [record.split for record in test.records] == ["test"]
    assert len(experiment.probe_data(config, test)) == 1
    config = config_of(**ucf101, fold=2, split="test").to_dict()
    (record,) = experiment.training_catalog(config).records
    assert record.path.endswith("g02_c01.avi")


def test_too_many_missing_videos_stop_the_run(ucf101):
    config = config_of(**ucf101)
    config.clips.max_bad_share = 0.05
    with pytest.raises(ValueError, match=r"1 of 12 annotated .*g13_c01.avi .*max_bad_share=0.05"):
        experiment.training_catalog(config.to_dict())


@pytest.mark.parametrize("generic", [False, True])
def test_a_blocklist_leaves_videos_out(ucf101, tmp_path, capsys, generic):
    blocklist = tmp_path / "bad.tsv"
    blocklist.write_text("Archery/v_Archery_g03_c01.avi\ttruncated\nArchery/gone.avi\tempty\n")
    data = {"source": ucf101["root"]} if generic else ucf101
    catalog = experiment.training_catalog(config_of(**data, blocklist=str(blocklist)).to_dict())
    assert len(catalog.records) == (11 if generic else 10)
    assert list(catalog.blocked.values()) == ["truncated"]
    assert f"Videos left out by {blocklist}: 1." in capsys.readouterr().out


@pytest.mark.parametrize(
    "change, expected",
    [
        ({"source": "videos"}, "data.source and data.dataset both say.*videos and ucf101"),
        ({"root": None}, "--config.data.root is missing: the folder of the videos of ucf101"),
        ({"dataset": "ucf102"}, "Received: 'ucf102'. Did you mean ucf101?"),
        ({"dataset": ""}, "No videos were named. .*--config.data.dataset=NAME"),
    ],
)
def test_settings_that_do_not_fit_together(ucf101, change, expected):
    with pytest.raises(ValueError, match=expected):
        experiment.training_catalog(config_of(**{**ucf101, **change}).to_dict())


@pytest.fixture
def ssv2(tmp_path):
    """Videos that are dark on the left and bright on the right, so that a flip can be seen."""
    clip = np.zeros((8, 32, 32, 3), np.uint8)
    clip[:, :, 16:] = 200
    (tmp_path / "v").mkdir()
    for number in range(4):
        save_video(tmp_path / "v" / f"{number}.avi", clip)
    name = "Pushing something from left to right"
    entries = [
        {"id": str(n), "template": name.replace("something", "[something]")} for n in range(4)
    ]
    files = {"labels.json": json.dumps({name: "0"}), "train.json": json.dumps(entries)}
    labels = write_files(tmp_path / "labels", files)
    return {"dataset": "ssv2", "root": str(tmp_path / "v"), "annotations": labels}


@pytest.mark.parametrize(
    "flip, flips",
    [(None, False), (0.5, True), (0.0, False)],
)
def test_flips_are_off_where_the_label_is_a_direction(ssv2, flip, flips):
    config = config_of(**ssv2)
    config.clips.flip = flip
    config = config.to_dict()
    catalog = experiment.training_catalog(config)
    stream = experiment.training_data(config, catalog).training(steps=12)
    views = np.concatenate([batch["views"] for batch in stream.as_numpy_iterator()])
    left, right = (half.mean(axis=(2, 3, 4, 5)) for half in np.split(views, 2, axis=4))
    assert (left > right + 0.05).any() == flips and (right > left + 0.05).any()


def test_an_image_model_by_its_name():
    config = base.get_config()
    config.clips.update({"frames": 3, "size": 32})
    config.encoder.name = "frame_encoder"
    config.encoder.arguments = {"model": "MobileNet", "preprocessing": "tf", "alpha": 0.25}
    model = experiment.build_model(config.to_dict(), 1)
    assert model.encoder.output_shape == (None, 3, 256)
    config.encoder.arguments["model"] = "MobileNetV"
    with pytest.raises(ValueError, match="Received: .MobileNetV.. Did you mean MobileNetV2?"):
        experiment.build_model(config.to_dict(), 1)


def test_what_needs_no_labels_takes_the_test_videos_or_else_all(ucf101, tmp_path):
    test = experiment.unlabeled_catalog(config_of(**ucf101).to_dict())
    assert [record.split for record in test.records] == ["test"]
    own = config_of(source=ucf101["root"])
    assert len(experiment.unlabeled_catalog(own.to_dict()).records) == 12
    touch(tmp_path / "others", "a.avi", "b.avi")
    own.probe.test = str(tmp_path / "others")
    assert len(experiment.unlabeled_catalog(own.to_dict()).records) == 2


def test_an_unknown_encoder_is_told_before_videos_are_read():
    config = demo.get_config("bod,smoke").to_dict()
    config["encoder"]["name"] = "frame_cn"
    with pytest.raises(UserError, match="frame_cn.*frame_cnn"):
        experiment.check_settings(config)
