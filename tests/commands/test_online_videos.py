"""Which videos a run is evaluated on while it trains, and that a look at them stops no run."""

import numpy as np
import pytest

from bod_keras import experiment
from bod_keras.commands.online_videos import online_evaluation
from bod_keras.configs import demo
from bod_keras.evaluation import OnlineEvaluation
from tests.tiers import slow
from tests.video_files import save_video


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    paths = [folder / f"{index}.avi" for index in range(40)]
    for index, path in enumerate(paths):
        save_video(path, np.full((10, 16, 16, 3), 6 * index, np.uint8))
    return paths


def write_list(path, columns):
    names, values = list(columns), list(zip(*columns.values()))
    path.write_text("\n".join(",".join(map(str, row)) for row in [names, *values]) + "\n")
    return str(path)


def config_of(tmp_path, columns, **clips):
    config = demo.get_config("bod,smoke")
    config.data.source = write_list(tmp_path / "list.csv", columns)
    config.clips.update({"workers": 0, "batch_size": 4, "frames": 4, "size": 16, **clips})
    return config


def callback(config, monkeypatch=None):
    """What the callback is made of, by name; None if there is no callback."""
    made = []
    if monkeypatch is not None:
        first = OnlineEvaluation.__init__

        def keep(self, train, test, views, *rest):
            made.append((train, test, views))
            first(self, train, test, views, *rest)

        monkeypatch.setattr(OnlineEvaluation, "__init__", keep)
    config = config.to_dict()
    online, _ = online_evaluation(config, experiment.training_catalog(config))
    return made[0] if made else online


def test_of_many_classes_both_halves_of_a_probe_get_the_same(videos, tmp_path, monkeypatch):
    columns = {"path": videos, "label": [f"class {i // 2}" for i in range(40)]}
    config = config_of(tmp_path, columns)
    config.probe.train = write_list(tmp_path / "train.csv", columns)
    config.probe.test = write_list(tmp_path / "test.csv", columns)
    config.evaluate.videos = 40
    (_, known), (_, asked), _ = callback(config, monkeypatch)
    assert set(known["label"]) == set(asked["label"]) and len(set(known["label"])) == 5


def test_a_column_that_counts_takes_no_label_away(videos, tmp_path, monkeypatch):
    """Of most of its values one video is there, in either half."""
    columns = {
        "path": videos,
        "label": [i % 2 for i in range(40)],
        "viewpoint": [i // 2 for i in range(40)],
    }
    (_, known), (clips, asked), _ = callback(config_of(tmp_path, columns), monkeypatch)
    assert list(known) == list(asked) == ["label"] and len(clips) == 20


def test_a_few_that_cannot_be_read_are_told_of_and_stop_nothing(tmp_path, capsys):
    paths = [tmp_path / f"{index}.avi" for index in range(6)]
    for path in paths:
        path.write_bytes(b"no video")
    config = config_of(tmp_path, {"path": paths, "label": [0, 1] * 3}, max_bad_share=1.0)
    assert callback(config) == []
    said = capsys.readouterr().out
    assert "The online evaluation is left out: 3 of 3 video files cannot be read" in said


@slow
def test_views_of_held_out_videos_take_a_quarter_of_a_gigabyte_at_most(
    videos, tmp_path, monkeypatch
):
    columns = {"path": videos[:10], "label": [0, 1] * 5}
    config = config_of(tmp_path, columns, size=224, frames=16, views=4, batch_size=2, recipe="none")
    config.probe.train = config.probe.test = config.data.source
    *_, views = callback(config, monkeypatch)
    assert views.shape[0] == 6 and views.nbytes <= 2**28
