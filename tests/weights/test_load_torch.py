"""Files of PyTorch weights: every prefix that peers use, refusals that change nothing, hostile files."""

import importlib.util
import json
import pickle
import struct
import zipfile

import numpy as np
import pytest

from bod_keras.encoders import R3D18, FrameCNN, SlowOnlyR50
from bod_keras.weights import load_torch, read_state, save_torch, write_state
from tests.remote_servers import serve_folder

HAS_TORCH = importlib.util.find_spec("torch") is not None
needs_torch = pytest.mark.skipif(not HAS_TORCH, reason=".pth files are read and written by PyTorch")


def randomize(encoder, seed):
    """Random weights, and random statistics of batch normalization."""
    rng = np.random.default_rng(seed)
    encoder.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in encoder.weights])
    return encoder


@pytest.fixture(scope="module")
def source():
    return randomize(R3D18(input_shape=(None, 16, 16, 3), width=2), seed=1)


@pytest.fixture(scope="module")
def state(source, tmp_path_factory):
    file = tmp_path_factory.mktemp("state") / "r3d.safetensors"
    save_torch(source, file)
    return read_state(file)


@pytest.fixture(scope="module")
def built():
    return R3D18(input_shape=(None, 16, 16, 3), width=2)


@pytest.fixture
def encoder(built):
    return randomize(built, seed=2)


def write(folder, state):
    write_state(folder / "file.safetensors", state)
    return folder / "file.safetensors"


def put_before(prefix, state):
    return {f"{prefix}{key}": value for key, value in state.items()}


def is_equal(encoder, other):
    return all(np.array_equal(a, b) for a, b in zip(encoder.get_weights(), other.get_weights()))


def other_values(state):
    return {key: value + 1 for key, value in state.items()}


def test_saved_keys_are_torchvisions(state):
    """Of a block with a shortcut, one without, and the stem."""
    block = {key.removeprefix("layer2.0.") for key in state if key.startswith("layer2.0.")}
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    assert block == {
        *(f"conv{i}.0.weight" for i in (1, 2)),
        *(f"conv{i}.1.{name}" for i in (1, 2) for name in norm),
        "downsample.0.weight",
        *(f"downsample.1.{name}" for name in norm),
    }
    assert not any(key.startswith("layer1.0.downsample") for key in state)
    assert state["stem.0.weight"].shape == (2, 3, 3, 7, 7)
    # 5 of each of the 20 normalizations and a kernel of each of the 20 convolutions
    assert len(state) == 120


@pytest.mark.parametrize(
    "prefix",
    ["", "module.", "state_dict.module.encoder_q.", "model_state.backbone.", "online_encoder.net."],
)
def test_any_prefix_is_found(prefix, state, source, encoder, tmp_path):
    report = load_torch(encoder, write(tmp_path, put_before(prefix, state)))
    assert report.prefix == prefix and report.layout == "torchvision"
    assert len(report.loaded) == 100 and len(report.unused) == 20  # the counters of batches
    assert is_equal(encoder, source)


@pytest.mark.parametrize(
    "trained, average",
    [
        ("module.encoder_q.", "module.encoder_k."),  # MoCo
        ("online_encoder.", "target_encoder."),  # BYOL
        ("model_state.backbone.", "model_state.backbone_hist."),  # SlowFast
        ("backbone.", "momentum_backbone."),  # solo-learn
        ("state_dict.", "state_dict_ema."),  # timm
        ("encoder_q.0.", "sampler.0."),  # CoCLR
    ],
)
def test_the_trained_network_is_taken_not_its_average(
    trained, average, state, source, encoder, tmp_path
):
    """Heads and queues beside it are no reason to refuse."""
    both = put_before(average, other_values(state)) | put_before(trained, state)
    both |= {"queue": np.zeros((4, 8)), f"{trained}fc.0.weight": np.zeros((8, 16))}
    report = load_torch(encoder, write(tmp_path, both))
    assert report.prefix == trained
    assert {"queue", f"{trained}fc.0.weight", f"{average}stem.0.weight"} <= set(report.unused)
    assert is_equal(encoder, source)


def test_a_whole_average_does_not_replace_a_trained_network_with_a_gap(state, encoder, tmp_path):
    both = put_before("encoder_k.", state) | put_before("encoder_q.", break_missing(state))
    with pytest.raises(ValueError, match=r"missing in the file: 1 \(encoder_q.layer3.0.conv1.0"):
        load_torch(encoder, write(tmp_path, both))


def test_a_prefix_can_be_chosen(state, source, encoder, tmp_path):
    file = write(
        tmp_path, put_before("encoder_q.", other_values(state)) | put_before("encoder_k.", state)
    )
    assert load_torch(encoder, file, prefix="encoder_k.").prefix == "encoder_k."
    assert is_equal(encoder, source)


def test_equal_candidates_are_refused(state, encoder, tmp_path):
    before = encoder.get_weights()
    file = write(tmp_path, put_before("rgb.", state) | put_before("flow.", state))
    with pytest.raises(
        ValueError, match=r"holds 2 networks that fit r3d18, behind the prefixes 'flow\.', 'rgb\."
    ):
        load_torch(encoder, file)
    assert all(np.array_equal(a, b) for a, b in zip(before, encoder.get_weights()))


def break_missing(state):
    return {key: value for key, value in state.items() if key != "layer3.0.conv1.0.weight"}


def break_shape(state):
    return state | {"stem.0.weight": np.zeros((2, 3, 1, 7, 7), "float32")}


def break_unknown(state):
    return state | {"layer4.2.conv1.0.weight": np.zeros((16, 16, 3, 3, 3), "float32")}


@pytest.mark.parametrize(
    "change, message, loaded",
    [
        (break_missing, r"missing in the file: 1 \(layer3.0.conv1.0.weight\)", 99),
        (
            break_shape,
            r"another shape: 1 \(stem.0.weight \(2, 3, 1, 7, 7\), needed \(2, 3, 3, 7, 7\)\)",
            99,
        ),
        (break_unknown, r"unknown to the encoder: 1 \(layer4.2.conv1.0.weight\)", 100),
    ],
)
def test_a_strict_load_refuses_and_changes_nothing(
    change, message, loaded, state, encoder, tmp_path
):
    """What does not fit is named; with strict=False the rest is loaded, and the report names it."""
    before = encoder.get_weights()
    file = write(tmp_path, change(state))
    with pytest.raises(ValueError, match=f"does not fit r3d18:\n.*{message}\nNothing was loaded"):
        load_torch(encoder, file)
    assert all(np.array_equal(a, b) for a, b in zip(before, encoder.get_weights()))
    report = load_torch(encoder, file, strict=False)
    assert len(report.loaded) == loaded
    assert sum(map(len, report.unfit().values())) == 1
    assert not all(np.array_equal(a, b) for a, b in zip(before, encoder.get_weights()))


def test_a_file_of_another_network_is_refused_even_if_not_strict(state, tmp_path):
    encoder = SlowOnlyR50(input_shape=(None, 32, 32, 3), width=1)
    file = write(tmp_path, state)
    with pytest.raises(
        ValueError,
        match="none of its 120 tensors is named as blocks.0.conv.weight or s1.pathway0_stem",
    ):
        load_torch(encoder, file, strict=False)


def test_another_width_names_every_tensor_and_loads_none(state, tmp_path):
    encoder = R3D18(input_shape=(None, 16, 16, 3), width=4)
    with pytest.raises(ValueError, match=r"of another shape: 100 \(stem.0.weight"):
        load_torch(encoder, write(tmp_path, state), strict=False)


def test_an_encoder_without_published_names_is_refused(state, tmp_path):
    encoder = FrameCNN(input_shape=(4, 16, 16, 3), widths=(4,))
    with pytest.raises(
        ValueError, match="No scheme of PyTorch names covers the layers of frame_cnn"
    ):
        load_torch(encoder, write(tmp_path, state))
    with pytest.raises(ValueError, match="names the layers of frame_cnn; docs/weights.md"):
        save_torch(encoder, tmp_path / "out.safetensors")


def test_both_schemes_of_the_slow_pathway(tmp_path):
    encoder = SlowOnlyR50(input_shape=(None, 32, 32, 3), width=1)
    other = SlowOnlyR50(input_shape=(None, 32, 32, 3), width=1)
    for layout in ("pytorchvideo", "slowfast"):
        other.set_weights([w + 1 for w in encoder.get_weights()])
        save_torch(encoder, tmp_path / "slow.safetensors", layout=layout)
        assert load_torch(other, tmp_path / "slow.safetensors").layout == layout
        assert is_equal(encoder, other)
    with pytest.raises(ValueError, match="pytorchvideo, slowfast. Received: 'torchvision'"):
        save_torch(encoder, tmp_path / "slow.safetensors", layout="torchvision")


def test_half_precision_without_torch(tmp_path):
    """A .safetensors file by its specification: 1.5 and -2 in bfloat16, 0.5 in float16."""
    header = {
        "a": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]},
        "b": {"dtype": "F16", "shape": [1], "data_offsets": [4, 6]},
    }
    text = json.dumps(header).encode()
    data = struct.pack("<HH", 0x3FC0, 0xC000) + struct.pack("<H", 0x3800)
    (tmp_path / "half.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
    state = read_state(tmp_path / "half.safetensors")
    assert {array.dtype.name for array in state.values()} == {"float32"}
    assert state["a"].tolist() == [1.5, -2.0] and state["b"].tolist() == [0.5]


@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04 cut off"])
@pytest.mark.parametrize("name", ["a.safetensors", pytest.param("a.pth", marks=needs_torch)])
def test_broken_files(name, content, encoder, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name} (is|holds) no"):
        load_torch(encoder, tmp_path / name)


def test_a_file_on_remote_storage(state, source, encoder, tmp_path):
    write(tmp_path, state)
    with serve_folder(tmp_path) as (address, _):
        load_torch(encoder, f"{address}/file.safetensors")
    assert is_equal(encoder, source)


def test_a_missing_file(encoder, tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no file of weights .*a.pth"):
        load_torch(encoder, tmp_path / "a.pth")


@pytest.mark.skipif(HAS_TORCH, reason="PyTorch is installed")
def test_without_torch_pth_files_are_refused(encoder, tmp_path):
    (tmp_path / "a.pth").write_bytes(b"")
    with pytest.raises(ImportError, match="a.pth needs PyTorch .* in .safetensors do not"):
        load_torch(encoder, tmp_path / "a.pth")
    with pytest.raises(ImportError, match="b.pth needs PyTorch"):
        save_torch(encoder, tmp_path / "b.pth")
    assert not (tmp_path / "b.pth").exists()


class Hostile:
    """Writes a file when it is unpickled."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return open, (str(self.file), "w")


@needs_torch
def test_a_hostile_pickle_is_not_run(state, encoder, tmp_path):
    """Neither in PyTorch's own form nor as a bare pickle."""
    import torch

    trap = tmp_path / "trap"
    torch.save({"state_dict": {}, "args": Hostile(trap)}, tmp_path / "a.pth")
    (tmp_path / "b.pth").write_bytes(pickle.dumps({"args": Hostile(trap)}))
    before = encoder.get_weights()
    for name in ("a.pth", "b.pth"):
        with pytest.raises(ValueError, match=f"{name} .*could run code: it is not opened"):
            load_torch(encoder, tmp_path / name)
    assert not trap.exists()
    assert all(np.array_equal(a, b) for a, b in zip(before, encoder.get_weights()))


@needs_torch
def test_a_training_checkpoint_with_settings_and_scores(state, source, encoder, tmp_path):
    """Argparse settings, a NumPy score, an optimizer's state, half precision: as peers leave them."""
    import argparse

    import torch

    tensors = {key: torch.from_numpy(value) for key, value in state.items()}
    kernel = tensors["stem.0.weight"]
    halved = {key: t.bfloat16() if t.is_floating_point() else t for key, t in tensors.items()}
    checkpoint = {
        "model": put_before("module.", halved),
        "optimizer": {"state": {0: {"momentum_buffer": kernel}}, "param_groups": [{"lr": 0.1}]},
        "args": argparse.Namespace(lr=0.1),
        "best_acc": np.float64(0.5),
        "epoch": 3,
    }
    torch.save(checkpoint, tmp_path / "a.pth.tar")
    report = load_torch(encoder, tmp_path / "a.pth.tar")
    assert report.prefix == "model.module."
    for got, want in zip(encoder.get_weights(), source.get_weights()):
        assert got.dtype == "float32"
        np.testing.assert_allclose(got, want, rtol=2**-8)


@needs_torch
def test_saved_for_pytorch_and_read_by_it(source, state, tmp_path):
    """A strict load of PyTorch, into the network without its classifier, from either kind of file."""
    import safetensors.torch
    import torch

    from tests.torch_networks import r3d

    network = r3d.r3d_18(width=2)
    save_torch(source, tmp_path / "a.pth")
    saved = torch.load(tmp_path / "a.pth", weights_only=True)
    network.load_state_dict(saved, strict=True)
    np.testing.assert_array_equal(
        network.layer4[1].conv2[1].running_var.numpy(), state["layer4.1.conv2.1.running_var"]
    )
    save_torch(source, tmp_path / "a.safetensors")
    network.load_state_dict(safetensors.torch.load_file(tmp_path / "a.safetensors"), strict=True)


@pytest.mark.parametrize("dtype", ["F8_E4M3", "F8_E5M2", "F4", "C64", "F8_E8M0"])
def test_types_that_numpy_lacks_are_refused(dtype, tmp_path):
    size = 8 if dtype == "C64" else 1
    count = 2 if dtype == "F4" else 1
    header = {"a": {"dtype": dtype, "shape": [count], "data_offsets": [0, size]}}
    text = json.dumps(header).encode()
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + bytes(size))
    with pytest.raises(ValueError, match="a.safetensors"):
        read_state(tmp_path / "a.safetensors")


def _itself():
    held = {}
    held["a"] = held
    return held


def _in_pairs():
    import torch

    first, second = {"w": torch.ones(2)}, {}
    second["b"], first["a"] = first, second
    return first


def _doubling():
    held = {}
    for _ in range(60):
        held = {"a": held, "b": held}
    return held


def _deep():
    held = {}
    for _ in range(150):
        held = {"a": held}
    return held


def _expanded():
    import torch

    return {"w": torch.ones(1).expand(10**12)}


def _many_expanded():
    import torch

    one = torch.ones(1, dtype=torch.float16)
    return {str(n): one.expand(5000) for n in range(1000)}


def _complex():
    import torch

    return {"w": torch.ones(3, dtype=torch.complex64)}


def _sparse():
    import torch

    return {"w": torch.eye(3).to_sparse()}


def _twice():
    import torch

    return {"a.b": torch.ones(1), "a": {"b": torch.zeros(1)}}


@needs_torch
@pytest.mark.parametrize(
    "make",
    [
        *(_itself, _in_pairs, _doubling, _deep, _expanded),
        *(_many_expanded, _complex, _sparse, _twice),
    ],
)
def test_what_has_no_end_or_is_no_weight_is_refused(make, tmp_path):
    import torch

    torch.save(make(), tmp_path / "a.pth")
    with pytest.raises(ValueError, match="a.pth"):
        read_state(tmp_path / "a.pth")


@needs_torch
def test_a_file_that_unpacks_to_much_more_than_its_size_is_not_opened(tmp_path):
    import torch

    torch.save({"w": torch.zeros(10**6)}, tmp_path / "a.pth")
    with (
        zipfile.ZipFile(tmp_path / "a.pth") as whole,
        zipfile.ZipFile(tmp_path / "b.pth", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in whole.namelist():
            packed.writestr(name, whole.read(name))
    assert read_state(tmp_path / "a.pth")["w"].shape == (10**6,)
    with pytest.raises(ValueError, match="b.pth would unpack to"):
        read_state(tmp_path / "b.pth")
