"""Sensitivities and energies with known answers, verdicts, and the page of a small model on real files."""

import re

import keras
import numpy as np
import pytest

import bod_keras
from bod_keras.configs.protocols.diagnose import get_config
from bod_keras.data import Catalog, ClipDataset, read_catalog
from bod_keras.evaluation import dimension_shares, operator_eigenvalues
from bod_keras.evaluation.part_energy import part_energy
from bod_keras.evaluation.pictures import diagnose_page as diagnose_page_module
from bod_keras.evaluation.pictures.diagnose_plots import plot_distances
from bod_keras.evaluation.protocols import Split, Subject, change_protocol, run_protocol
from bod_keras.evaluation.protocols import diagnose as diagnose_module
from bod_keras.evaluation.sensitivity import sensitivity, shuffle_frames
from bod_keras.evaluation.stage_means import StageMeans
from bod_keras.evaluation.verdicts import sensitivity_verdicts
from bod_keras.views.background_swap import BackgroundSwap
from tests.outputs import check_output
from tests.tiny_models import make_moving_views
from tests.video_files import save_video


def time_mean(clips):
    return clips.mean(axis=1).reshape(len(clips), -1)


def steps(clips):
    """From frame to frame, so that nothing is left of what stands still."""
    return np.diff(clips, axis=1).reshape(len(clips), -1)


def test_an_encoder_that_ignores_order_and_one_that_sees_only_order():
    clips = make_moving_views(videos=6, frames=6)[:, 0]
    shuffled = shuffle_frames(clips, np.random.default_rng(0))
    assert sensitivity(time_mean(clips), time_mean(shuffled)) < 1e-6
    assert sensitivity(steps(clips), steps(shuffled)) > 0.5


def test_what_stands_still_and_what_moves_under_another_background():
    rng = np.random.default_rng(0)
    clips = np.empty((4, 5, 8, 8, 3), "float32")
    clips[:] = rng.uniform(0, 0.4, (4, 1, 1, 1, 3))
    for video, path in enumerate(rng.permuted(np.tile(np.arange(8), (4, 1)), axis=1)[:, :5]):
        clips[video, np.arange(5), path, path] = 1.0  # a dot that no pixel sees twice
    swapped = np.asarray(BackgroundSwap(0.08)(clips))
    dots = [(x.min(axis=-1) == 1.0).reshape(4, -1).astype(float) for x in (clips, swapped)]
    assert sensitivity(*dots) == 0.0
    medians = [np.median(x, axis=1).reshape(4, -1) for x in (clips, swapped)]
    assert sensitivity(*medians) > 0.5


def test_sensitivity_is_what_loops_over_videos_give():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 5, 7))
    moved = np.mean([np.linalg.norm(a - b) for a, b in zip(x, y)])
    between = [np.linalg.norm(x[i] - x[j]) for i in range(5) for j in range(5) if i != j]
    assert sensitivity(x, y) == pytest.approx(moved / np.mean(between))
    assert sensitivity(3 * x, 3 * y) == pytest.approx(sensitivity(x, y))
    assert np.isnan(sensitivity(np.ones((3, 2)), np.zeros((3, 2))))
    with pytest.raises(ValueError, match="two or more. Received: 1 and 1"):
        sensitivity(x[:1], y[:1])


def test_no_clip_keeps_its_order():
    clips = np.tile(np.arange(2.0).reshape(1, 2, 1, 1, 1), (20, 1, 1, 1, 1))
    shuffled = shuffle_frames(clips, np.random.default_rng(0))
    assert (shuffled[:, :, 0, 0, 0] == [1, 0]).all()


def slow_energy(frames, threshold, ridge):
    """By the D x D operator and its eigenvectors."""
    x = frames / np.linalg.norm(frames, axis=1, keepdims=True)
    past, future = x[:-1], x[1:]
    gram = past @ past.T
    gram += ridge * np.trace(gram) / len(gram) * np.eye(len(gram))
    operator = past.T @ np.linalg.solve(gram, future)
    values, vectors = np.linalg.eig(operator)
    near = np.abs(values - 1) <= threshold
    static = (vectors * (values * near)) @ np.linalg.inv(vectors)
    parts = past @ static.real, past @ (operator - static.real)
    energies = [np.sum(part**2) for part in parts]
    overlap = 2 * np.sum(parts[0] * parts[1]) / sum(energies)
    return energies[0] / sum(energies), energies[1] / sum(energies), overlap


def moving_frames(clips=3, width=6, time=6):
    """A constant and a rotation, with some noise, in a random basis."""
    rng = np.random.default_rng(0)
    frames = 0.1 * rng.normal(size=(clips, time, width))
    angle = 0.9 * np.arange(time) + rng.uniform(0, 6, (clips, 1))
    frames[:, :, 0] += 1.0
    frames[:, :, 1] += 0.7 * np.cos(angle)
    frames[:, :, 2] += 0.7 * np.sin(angle)
    return (frames @ np.linalg.qr(rng.normal(size=(width, width)))[0]).astype("float32")


def test_energies_are_those_of_the_full_operator():
    frames = moving_frames()
    layer = bod_keras.KoopmanSplit(threshold=0.3, ridge=1e-3, projector_gradient=True)
    layer.build(frames.shape)
    found = part_energy(layer, frames)
    truth = np.array([slow_energy(clip.astype("float64"), 0.3, 1e-3) for clip in frames])
    for name, expected in zip(("static", "dynamic", "overlap"), truth.T):
        np.testing.assert_allclose(found[name], expected, rtol=1e-3, atol=1e-4)


def test_shares_of_what_stays_what_moves_and_noise():
    rng = np.random.default_rng(0)
    looks, motions, noise = rng.normal(size=(3, 4000, 2))
    other_looks, other_motions, other_noise = rng.normal(size=(3, 4000, 2))

    def shares(make):
        return dimension_shares(
            make(looks, motions, noise),
            make(looks, other_motions, other_noise),
            make(other_looks, motions, other_noise),
        )

    one, two = np.e / (2 * np.e + 1), np.e / (np.e + 2)
    sees_looks = shares(lambda s, d, n: 5 * s - 3)
    assert sees_looks["static"] == pytest.approx(one, abs=0.02)
    assert sees_looks["dynamic"] == pytest.approx(1 / (2 * np.e + 1), abs=0.02)
    sees_motion = shares(lambda s, d, n: d)
    assert sees_motion["dynamic"] == pytest.approx(one, abs=0.02)
    assert sees_motion["static"] < 0.2
    assert shares(lambda s, d, n: n)["residual"] == pytest.approx(two, abs=0.02)
    both = shares(lambda s, d, n: np.concatenate([s, d], axis=1))
    assert both["static"] == pytest.approx(both["dynamic"], abs=0.02) and both["static"] > 0.27
    assert np.isnan(shares(lambda s, d, n: np.ones_like(s))["static"])
    with pytest.raises(ValueError, match="same_static must be of the same videos"):
        dimension_shares(looks, looks[:3], looks)


def test_stages_of_frames_and_of_clips():
    clips = make_moving_views(videos=2, frames=4, size=16)[:, 0]
    encoder = bod_keras.encoders.FrameCNN((4, 16, 16, 3), widths=(4, 6))
    last = keras.Model(encoder.input, encoder.get_layer("stage2_relu").output)
    maps = keras.ops.convert_to_numpy(last(clips)).reshape(2, 4, 4, 4, 6)
    np.testing.assert_allclose(
        StageMeans(encoder)(clips)["stage2"], maps.mean((1, 2, 3)), rtol=1e-5, atol=1e-6
    )
    assert StageMeans(keras.Sequential([keras.Input((4, 2)), keras.layers.Dense(3)]))(clips) == {}


def test_verdicts():
    moved = {
        "shuffled": {"static": 0.3, "dynamic": 0.4},
        "background": {"static": float("nan"), "dynamic": 0.1},
    }
    first = [verdict.partition(":")[0] for verdict in sensitivity_verdicts(moved, 0.5)]
    assert first == ["unclear", "unclear", "does not hold", "holds"]
    first = [verdict.partition(":")[0] for verdict in sensitivity_verdicts(moved, 0.5, 0.4, 0.3)]
    assert first == ["holds", "holds", "does not hold", "holds"]
    assert sensitivity_verdicts(moved, 0.01)[3].startswith("not tested: ")
    with pytest.raises(ValueError, match="unchanged=0.5, changed=0.5"):
        sensitivity_verdicts(moved, 0.5, 0.5, 0.5)


def test_no_eigenvalue(tmp_path):
    with pytest.raises(ValueError, match=r"Received: \{'embedding': 0\}"):
        plot_distances({"embedding": np.ones(0)}, 0.1, tmp_path / "d.png")


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    """Real files of dots that circle over levels of gray, an odd number of them."""
    folder = tmp_path_factory.mktemp("videos")
    for number, clip in enumerate(make_moving_views(videos=9, frames=8, size=16)[:, 0]):
        save_video(folder / f"{number}.avi", np.round(255 * np.clip(clip, 0, 1)).astype(np.uint8))

    def make(catalog, **changes):
        settings = {"frames": 4, "size": 8, "batch_size": 4, "views": 1, "workers": 0, **changes}
        return ClipDataset(catalog.records, **settings)

    return Split(Catalog(read_catalog(folder)), make, "test")


def make_model(decoupling=True):
    keras.utils.set_random_seed(0)
    encoder = bod_keras.encoders.FrameCNN((4, 8, 8, 3), widths=(4, 6))
    head = bod_keras.ProjectionHead(12, 8)
    return bod_keras.VSimCLR(encoder, decoupling, projection_head=head)


def diagnose(split, folder, model, *changes):
    config = get_config()
    config.modified = {}
    subject = Subject(model, {"name": "a <run>"}, None, split, folder / "evaluation" / "diagnose")
    return subject, run_protocol(subject, change_protocol(config, list(changes)))


def test_the_page_has_every_part_and_opens_offline(split, tmp_path, monkeypatch):
    model = make_model()
    subject, found = diagnose(split, tmp_path, model)
    page = (subject.folder / "diagnose.html").read_text(encoding="utf-8")
    assert (
        "Diagnosis of a &lt;run&gt;" in page
        and found["warnings"] == []
        and 'class="note"' not in page
    )
    assert list(found["shares"]) == ["stage1", "stage2", "pooled", "static", "dynamic"]
    assert all(sum(of.values()) == pytest.approx(1) for of in found["shares"].values())
    # The encoder sees one frame at a time, so that a shuffled clip has the same means.
    assert found["shares"]["stage1"]["static"] == pytest.approx(
        found["shares"]["stage1"]["residual"]
    )
    for section in (
        "Verdicts",
        "Sensitivity",
        "Dimension shares",
        "Eigenvalues of",
        "Energy of",
        "Embeddings",
    ):
        assert f"<h2>{section}" in page
    assert not re.search(r"<script|<link|https?:|url\(|@import", page)
    sources = re.findall(r'src="([^"]{0,40})', page)
    assert len(sources) == 4 and all(s.startswith("data:image/png;base64,") for s in sources)
    assert len(re.findall(r"<li ", page)) == 4 == len(found["verdicts"])
    assert list(found["eigenvalues"]) == ["static part", "dynamic part"]
    assert all(9 <= of["number"] <= 27 for of in found["eigenvalues"].values())
    assert found["eigenvalues"]["static part"] != found["eigenvalues"]["dynamic part"]
    assert found["used"] == 9 and found["sensitivity"]["shuffled"]["pooled"] < 1e-3
    assert "$" not in page
    for file in found["files"]:
        check_output(subject.folder / file)
    monkeypatch.setattr(diagnose_module, "draw_pictures", lambda *arguments: {})
    monkeypatch.setattr(diagnose_module, "diagnose_page", lambda *arguments: "")
    again = diagnose(split, tmp_path / "again", model)[1]
    assert again == {**found, "files": ["diagnose.html"]}


def test_the_page_escapes_every_text(split, tmp_path):
    model = make_model()
    subject, found = diagnose(split, tmp_path, model)
    hostile = '<script>alert("1")</script>'
    for key in ("sensitivity", "embeddings", "eigenvalues"):
        found[key] = {f"{hostile}{name}": value for name, value in found[key].items()}
    found["warnings"], found["verdicts"] = [hostile], [hostile, f'x" onload="{hostile}: y']
    pictures = {name: subject.folder / f"{name}.png" for name in diagnose_page_module.CAPTIONS}
    page = diagnose_page_module.diagnose_page(found, pictures, hostile, model.split)
    assert "<script" not in page and 'onload="' not in page
    assert page.count("&lt;script&gt;") >= 10


def test_energies_and_eigenvalues_are_those_of_the_embedding_that_a_part_is_read_from(
    split, tmp_path
):
    """A static head whose frames are all alike: every frame is predicted, and by the eigenvalue 1 alone."""
    model = make_model()
    head = model.projection_head.static
    first, _ = (w for w in head.weights if w.path.endswith("kernel"))
    (bias,) = (w for w in head.weights if w.path.endswith("bias"))
    first.assign(0 * first)
    bias.assign(np.linspace(1, 2, bias.shape[0]))
    _, found = diagnose(split, tmp_path, model)
    assert found["eigenvalues"]["static part"]["number"] == found["used"]
    assert found["eigenvalues"]["static part"]["within_threshold"] == 1.0
    assert found["eigenvalues"]["dynamic part"]["within_threshold"] < 1.0
    assert found["energy"]["static"] == pytest.approx(1, abs=1e-3)
    assert found["energy"]["dynamic"] > 1e-7  # of frames that are all alike, the square of rounding
    views = make_moving_views(videos=4, frames=4, size=8)
    spectra = operator_eigenvalues(model, [{"views": views}])
    np.testing.assert_allclose(spectra["static part"], 1, atol=0.1)
    assert np.abs(spectra["dynamic part"] - 1).max() > 0.1


def test_a_plain_run_says_that_its_parts_are_not_its_own(split, tmp_path):
    model = make_model(decoupling=None)
    subject, found = diagnose(split, tmp_path, model, "most_videos=5")
    page = (subject.folder / "diagnose.html").read_text(encoding="utf-8")
    assert "untrained split" in found["warnings"][0] and 'class="note"' in page
    assert list(found["eigenvalues"]) == ["embedding"] and found["used"] == 5
    assert found["energy"]["static"] + found["energy"]["dynamic"] == pytest.approx(1)


def test_an_encoder_alone_is_refused(split, tmp_path):
    model = make_model()
    with pytest.raises(
        ValueError, match="diagnose reads the parts of a framework .* Received: the enc"
    ):
        diagnose(split, tmp_path, model.encoder)
