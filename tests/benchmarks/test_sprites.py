"""LPC Sprites: sheets of tiles that tell their number, put together and read as the study does."""

import json

import cv2
import numpy as np
import pytest

from benchmarks.cooccurrence import report, run_case, scenes
from benchmarks.cooccurrence.lpc_sprites import LpcScenes, draw_sequences
from benchmarks.cooccurrence.run_case import Case
from tests.tiers import slow

LAYERS = ("body", "bottomwear", "topwear", "hair", "shoes")
# From left to right, front and right: walk, spellcard, slash.
TILES = {0: [125, 118, 119, 120, 121, 122, 123, 124], 4: [26, 27, 28, 29, 30, 31, 30, 32]}
TILES[8] = [195, 196, 197, 198, 199, 200, 199, 195]
pytestmark = pytest.mark.xdist_group("sprites")  # one process: they share the clips


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Each layer is a bar of its own columns, as bright as its kind; the body's height is its tile's number."""
    place = tmp_path_factory.mktemp("sheets")
    for layer, name in enumerate(LAYERS):
        (place / name).mkdir()
        for kind in range(6):
            sheet = np.zeros((21, 64, 13, 64, 4), np.uint8)
            # Blue, green, red: the body covers all, and what is above covers the body.
            color = (40 * kind + 30, 0, 0, 255) if layer == 0 else (0, 0, 40 * kind + 30, 255)
            columns = slice(8, 56) if layer == 0 else slice(4 + 8 * layer, 12 + 8 * layer)
            sheet[:, 8:32, :, columns] = color
            if layer == 0:
                number = np.arange(21 * 13).reshape(21, 1, 13, 1)
                sheet[:, 32:56, :, 8:56, 1] = number.astype(np.uint16) * 255 // 272
                sheet[:, 32:56, :, 8:56, 3] = 255
            picture = sheet.reshape(21 * 64, 13 * 64, 4)
            cv2.imwrite(
                str(place / name / f"{kind}.png"), picture, [cv2.IMWRITE_PNG_COMPRESSION, 1]
            )
    return place


@pytest.fixture(scope="module")
def arrays(folder, tmp_path_factory):
    cache = tmp_path_factory.mktemp("scenes")
    return scenes.load_scenes("sprites", 1.0, 0, cache, videos=20, probe_videos=80, files=folder)


@pytest.mark.parametrize("action", TILES)
def test_layers_cover_one_another_and_tiles_follow_their_order(folder, action):
    # 48 pixels a side: nothing is resized. Character 3 * 216 + 1 * 36 + 5 * 6 + 2.
    frames = LpcScenes(48, folder).sequence(3 * 216 + 1 * 36 + 5 * 6 + 2, action)
    assert frames.shape == (8, 48, 48, 3) and frames.dtype == np.uint8
    assert (frames[:, 40, 40, 1] == np.array(TILES[action]) * 255 // 272).all()
    seen = [tuple(frames[0, 10, column]) for column in (2, 6, 14, 22, 30, 40)]
    reds = [(40 * kind + 30, 0, 0) for kind in (1, 5, 2, 1)]  # the shoes are number 1
    assert seen == [(0, 0, 150), *reds, (0, 0, 150)]


def test_half_opaque_pixels_are_mixed(folder, tmp_path):
    for name in LAYERS:
        (tmp_path / name).symlink_to(folder / name)
    (tmp_path / "shoes").unlink()
    (tmp_path / "shoes").mkdir()
    sheet = np.full((21 * 64, 13 * 64, 4), (0, 200, 0, 51), np.uint8)
    cv2.imwrite(str(tmp_path / "shoes" / "1.png"), sheet)
    frames = LpcScenes(48, tmp_path).sequence(0, 0)
    assert tuple(frames[0, 10, 40]) == (0, 40, 24)  # a fifth of the shoes, the rest of the body


def test_what_lacks_or_is_no_sheet_is_named(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="lacks 25 sheets, first .*0.png.*Sprites"):
        LpcScenes(32, tmp_path)
    for name in LAYERS[1:]:
        (tmp_path / name).symlink_to(folder / name)
    (tmp_path / "body").mkdir()
    for kind in range(6):
        cv2.imwrite(str(tmp_path / "body" / f"{kind}.png"), np.zeros((64, 64, 4), np.uint8))
    with pytest.raises(ValueError, match=r"0.png must be a sheet .*Found: \(64, 64, 4\)"):
        LpcScenes(32, tmp_path)


def test_characters_are_split_and_the_hair_is_tied_in_training_alone():
    rng = np.random.default_rng(0)
    train, actions = draw_sequences(3000, 1.0, "train", rng)
    assert (train % 6 == actions % 6).all() and len(np.unique(actions)) == 9
    fit, free = draw_sequences(3000, 0.0, "fit", rng)
    assert abs((fit % 6 == free % 6).mean() - 1 / 6) < 0.03
    test, every = draw_sequences(0, 0.0, "test", rng)
    assert len(set(zip(test, every))) == 296 * 9
    assert not set(test) & (set(train) | set(fit))
    # The published permutation.
    assert test[0] == np.random.RandomState(423).permutation(1296)[1000]


@slow
def test_clips_of_all_characters(arrays):
    assert (arrays["train_hair"] == arrays["train_action"] % 6).all()
    assert arrays["train"].shape[1:] == (20, 8, 32, 32, 3)
    assert arrays["probe_test"].shape == (1, 2664, 8, 32, 32, 3)


def test_training_clips_begin_anywhere_and_those_of_the_probe_at_the_first_frame(folder):
    made, rng = LpcScenes(48, folder), np.random.default_rng(0)
    sequence = made.sequence(5, 4)
    clips = [made.video(5, 4, "train", rng)() for _ in range(40)]
    rolled = [np.roll(sequence, -start, axis=0) for start in range(8)]
    found = {next(i for i, r in enumerate(rolled) if (r == clip).all()) for clip in clips}
    assert found == set(range(8))
    for images in ("fit", "test"):
        assert (made.video(5, 4, images, rng)() == sequence).all()


@slow
def test_cases_are_trained_probed_and_tabled(arrays, monkeypatch, eagerly):
    few = {name: x[:, :90] if x.ndim > 1 else x[:90] for name, x in arrays.items()}  # 10 characters
    monkeypatch.setattr(run_case, "load_scenes", lambda *args, **kwargs: few)
    monkeypatch.setattr(run_case, "linear_probe", lambda *args: 0.5)
    results = []
    for variant in ("supervised", "default"):
        case = Case(variant, "sprites", rho=1.0, steps=1, batch=4, probe_videos=80)
        results.append(json.loads(json.dumps(run_case.run(case, None, None))))
    assert list(results[0]["factors"]) == ["body", "bottom", "top", "hair", "action"]
    mean = np.mean([results[0]["factors"][name]["supervised"] for name in scenes.ATTRIBUTES])
    assert results[0]["probes"]["static"] == {"supervised": pytest.approx(mean)}
    assert set(results[1]["probes"]["dynamic"]) == {"pooled", "static", "dynamic"}
    assert results[1]["chance"]["dynamic"] == pytest.approx(1 / 9)
    assert 0 <= results[1]["swap"] <= 1
    header, _, supervised, decoupled = report.table(results).splitlines()
    assert header.split()[-5:] == ["swap", "modularity", "compactness", "explicitness", "s/step"]
    assert set(results[1]["dci"]) == {"modularity", "compactness", "explicitness"}
    assert "dynamic: excess" in header and "0.389" in decoupled and "0.389" not in supervised
