"""The encoder alone, from everything that a run leaves; and the command that exports it."""

from pathlib import Path

import keras
import numpy as np
import pytest

import bod_keras
from bod_keras.weights import read_state
from bod_keras.weights.__main__ import main
from tests.tiers import first_of

ROOT = Path(__file__).parents[2]
CLIPS = np.random.default_rng(0).uniform(size=(2, 4, 16, 16, 3)).astype("float32")


def make_framework():
    encoder = bod_keras.encoders.R3D18(input_shape=(4, 16, 16, 3), width=2)
    head = bod_keras.ProjectionHead(hidden=8, width=8)
    model = bod_keras.VMoCo(encoder, projection_head=head, queue_size=4)
    model.compile(keras.optimizers.AdamW(1e-3))
    return model


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """What train.py leaves of a run that is finished, and one of its checkpoints."""
    folder = tmp_path_factory.mktemp("runs") / "videos-seed0"
    (folder / "checkpoints").mkdir(parents=True)
    model = make_framework()
    model.encoder.save(folder / "encoder.keras")
    model.save(folder / "model.keras")
    model.save(folder / "checkpoints" / "step-00000004.keras")
    return folder, keras.ops.convert_to_numpy(model.encoder(CLIPS))


@pytest.mark.parametrize(
    "name", first_of(["", "encoder.keras", "model.keras", "checkpoints/step-00000004.keras"], 2)
)
def test_the_encoder_alone(name, run):
    folder, features = run
    encoder = bod_keras.load_encoder(folder / name)
    assert isinstance(encoder, keras.Model) and not isinstance(encoder, bod_keras.ContrastiveModel)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(encoder(CLIPS)), features, rtol=1e-5)


def test_in_a_keras_app(run):
    """Its features feed further layers, and its weights train."""
    encoder = bod_keras.load_encoder(run[0])
    outputs = keras.layers.Dense(3)(keras.layers.GlobalAveragePooling1D()(encoder.output))
    model = keras.Model(encoder.input, outputs)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = encoder.get_weights()
    model.train_on_batch(CLIPS, np.array([0, 2]))
    assert not np.array_equal(before[0], encoder.get_weights()[0])
    lines = []
    encoder.summary(print_fn=lines.append, line_length=100)
    assert "stage4_block2_2_conv" in "\n".join(lines)


def test_what_is_no_encoder_is_refused(run, tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no run or file .*nowhere"):
        bod_keras.load_encoder(tmp_path / "nowhere")
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(ValueError, match="not the folder of a finished run: it holds no encoder"):
        bod_keras.load_encoder(tmp_path)
    (tmp_path / "a.pth").write_bytes(b"")
    with pytest.raises(ValueError, match=r"Received: .*a.pth. Weights of PyTorch .*load_torch"):
        bod_keras.load_encoder(tmp_path / "a.pth")
    whole = (run[0] / "encoder.keras").read_bytes()
    (tmp_path / "cut.keras").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="cut.keras is no complete .keras file"):
        bod_keras.load_encoder(tmp_path / "cut.keras")
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(tmp_path / "dense.keras")
    with pytest.raises(ValueError, match=r"holds no encoder.* Sequential .* \(None, 2\)"):
        bod_keras.load_encoder(tmp_path / "dense.keras")


def test_the_command_exports_a_run(run, tmp_path, capsys):
    folder, _ = run
    main(["--encoder", str(folder), "--output", str(tmp_path / "out.safetensors")])
    told = capsys.readouterr().out
    assert "out.safetensors: r3d18, " in told
    assert "clips (None, 4, 16, 16, 3) to frame features (None, 4, 16)" in told
    kernel = bod_keras.load_encoder(folder).get_layer("stem_conv").get_weights()[0]
    saved = read_state(tmp_path / "out.safetensors")["stem.0.weight"]
    np.testing.assert_array_equal(saved, kernel.transpose(4, 3, 0, 1, 2))


def test_the_command_says_in_one_line_what_is_wrong(tmp_path):
    with pytest.raises(SystemExit, match="^python -m bod_keras.weights: .*of a finished run.*$"):
        main(["--encoder", str(tmp_path), "--output", str(tmp_path / "out.pth")])
