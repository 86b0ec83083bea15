"""Models that travel: to a hub on loopback and back, with a card, and without names of the user's files."""

import importlib.util
import io
import json
import os
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest

import bod_keras
from bod_keras import experiment
from bod_keras.configs import demo
from bod_keras.errors import UserError
from bod_keras.hub import model_card, public_report
from tests.hub.hub_server import HubServer
from tests.small_run import FRAMES, SIZE, write_run
from tests.tiers import slow
from tests.typed_commands import ROOT

HAS_HUB = importlib.util.find_spec("huggingface_hub") is not None
needs_hub = pytest.mark.skipif(
    not HAS_HUB, reason="huggingface_hub is not installed here, as in .venv-latest"
)
SECRET = "/home/ann/Private Videos"


def report_of_a_run():
    config = demo.get_config("bod,smoke").to_dict()
    config["data"]["source"] = f"{SECRET}/list.csv"
    config["name"] = "a|b <script>alert(1)</script>"
    config["clips"] |= {"frames": FRAMES, "stride": 2, "size": SIZE}
    linear = {
        "protocol": "linear",
        "version": 2,
        "label": {"static": 0.75, "chance": 0.5},
        "skipped": {f"{SECRET}/broken.mp4": "cut"},
        "provenance": {"data": {"test": {"list": f"{SECRET}/test.csv", "files_sha256": "ab" * 32}}},
    }
    return {
        "config": config,
        "environment": {"keras": "3.15.1", "git": {"revision": "12ab", "dirty": True}},
        "videos": {"count": 7, "sha256": "cd" * 32},
        "training": {"steps": 12, "skipped": {f"{SECRET}/cut.mp4": "cut"}},
        "init_from": {"run": f"{SECRET}/runs/first-seed0", "taken": 3},
        "evaluation_linear": linear,
    }


@pytest.fixture
def run(tmp_path):
    folder = write_run(tmp_path / "run")
    (folder / "report.json").write_text(json.dumps(report_of_a_run()))
    return folder


def test_a_report_for_others_has_no_names_of_files():
    public = public_report(report_of_a_run())
    text = json.dumps(public)
    assert "Private" not in text and "broken.mp4" not in text and "cut.mp4" not in text
    assert public["config"]["data"]["source"] == "list.csv"
    assert public["init_from"]["run"] == "first-seed0"
    assert public["config"]["clips"]["frames"] == FRAMES
    address = {"config": {"data": {"source": "s3://bucket/cats.csv?signature=x"}}}
    assert public_report(address)["config"]["data"]["source"] == "cats.csv"


def test_what_an_evaluation_was_told_is_no_name_of_a_folder_either():
    told = f"{SECRET}/masks of mine"
    name = f"evaluation_bias-masks={told}".replace("/", "_").replace(" ", "")
    section = {
        "version": 1,
        "modified": {"masks": ["", told]},
        "warnings": [f"1 copy: {SECRET}/a.mp4", "classes differ"],
        "provenance": {"protocol": {"settings": {"masks": told, "other": told}}},
    }
    public = public_report({name: section})
    assert list(public) == ["evaluation_bias-masks=masks of mine"]
    assert "Private" not in json.dumps(public)
    assert public[next(iter(public))]["warnings"] == ["classes differ"]
    assert "Private" not in model_card(public, "ann/cats")


def test_a_card_says_where_the_model_comes_from_and_how_to_load_it():
    card = model_card(public_report(report_of_a_run()), "ann/cats", license="cc-by-4.0")
    head, body = card.split("\n---\n", 1)
    assert 'license: "cc-by-4.0"' in head and 'library_name: "keras"' in head
    assert "<script>" not in card and "# a\\|b &lt;script&gt;" in body
    for backend in ("tensorflow", "jax", "torch"):
        block = body.split(f'"KERAS_BACKEND"] = "{backend}"')[1].split("```")[0]
        assert 'bod_keras.load("hf://ann/cats")' in block and block.count("\n") == 3
    for row in (
        "| source | list.csv |",
        "| videos | 7 |",
        "| epochs | 3 |",
        "| framework.name | vsimclr |",
        "| linear (version 2) | label.static | 0.75 | abababab |",
        "| git revision | 12ab |",
        "| began with the weights of | first-seed0 |",
    ):
        assert row in body, row
    bare = model_card({"config": {"name": "x"}}, "ann/cats")
    assert "Nothing has been measured." in bare and "None was given for the weights." in bare
    assert "license:" not in bare


@pytest.mark.parametrize(
    "address, message",
    [
        ("hf://cats", "A model on the hub is hf://owner/name"),
        ("hf://ann/cats/../../etc/x.json", "A model on the hub is hf://owner/name"),
        ("hf://ann/cats/weights.pth", "which hold no code. Received: hf://ann/cats/weights.pth"),
        ("hf://ann/cats/code.py", "which hold no code"),
    ],
)
def test_wrong_addresses(address, message):
    with pytest.raises(UserError, match=message):
        bod_keras.load(address)


def test_a_missing_package_names_the_extra(run, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'bod-keras\[hub\]'"):
        bod_keras.load("hf://ann/cats")
    with pytest.raises(UserError, match=r"pip install 'bod-keras\[hub\]'"):
        bod_keras.push_to_hub(run, "ann/cats")


@pytest.fixture
def server(tmp_path, monkeypatch):
    if not HAS_HUB:
        pytest.skip("huggingface_hub is not installed here, as in .venv-latest")
    import huggingface_hub.constants

    server = HubServer()
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    for name, value in {"HF_HUB_CACHE": str(tmp_path / "cache"), "HF_HUB_OFFLINE": False}.items():
        monkeypatch.setattr(huggingface_hub.constants, name, value)
    yield server
    server.stop()
    huggingface_hub.close_session()


@slow
@needs_hub
def test_a_run_travels_to_a_hub_and_back(run, server, tmp_path):
    clips = np.random.default_rng(0).random((3, FRAMES, SIZE, SIZE, 3), "float32")
    whole = bod_keras.load(run).embed(clips)
    address = bod_keras.push_to_hub(run, "ann/cats", license="apache-2.0", private=True)
    ((commit, files),) = server.files["ann/cats"]
    assert address == f"hf://ann/cats@{commit}" and server.private["ann/cats"]
    assert set(files) == {"README.md", "encoder.keras", "model.keras", "report.json"}
    for name, content in files.items():
        if name.endswith(".keras"):
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                content = b"".join(map(archive.read, archive.namelist()))
                assert "run_settings" not in " ".join(archive.namelist())
        assert b"Private" not in content, name
    for where in (address, "hf://ann/cats"):
        again = bod_keras.load(where).embed(clips)
        for part, values in whole.items():
            np.testing.assert_array_equal(values, again[part])
    assert not [path for _, path in server.asked if path.endswith("encoder.keras")]
    encoder = bod_keras.load_encoder("hf://ann/cats")
    assert encoder.output_shape == (None, FRAMES, 8)

    config = demo.get_config("bod,smoke")
    config.clips.update({"frames": FRAMES, "size": SIZE})
    config.encoder.arguments = {"widths": (4, 8)}
    config.encoder.weights = "hf://ann/cats"
    built = experiment.build_encoder(config.to_dict())
    np.testing.assert_array_equal(built.get_weights()[0], encoder.get_weights()[0])

    from bod_keras.library.trained_run import TrainedRun

    used = TrainedRun("hf://ann/cats")
    assert (used.clips.frames, used.name) == (FRAMES, "hf://ann/cats")


@slow
@needs_hub
def test_an_encoder_begins_with_a_file_of_a_repository(server, tmp_path):
    """By the published names of PyTorch."""
    published = bod_keras.encoders.R3D18(input_shape=(None, 16, 16, 3))
    bod_keras.weights.save_torch(published, tmp_path / "r3d_18.safetensors")
    content = (tmp_path / "r3d_18.safetensors").read_bytes()
    server.files["ann/torch"] = [("c0ffee", {"r3d_18.safetensors": content, "pickle.bin": b"no"})]
    config = demo.get_config("bod,smoke")
    config.clips.update({"frames": FRAMES, "size": SIZE})
    config.encoder.update({"name": "r3d18", "weights": "hf://ann/torch@c0ffee/r3d_18.safetensors"})
    built = experiment.build_encoder(config.to_dict())
    for one, other in zip(published.get_weights(), built.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not [path for _, path in server.asked if path.endswith("pickle.bin")]


@slow
@needs_hub
def test_what_a_hub_refuses_is_one_line(run, server, monkeypatch):
    with pytest.raises(OSError, match="hf://ann/nothing cannot be fetched: "):
        bod_keras.load("hf://ann/nothing")
    bod_keras.push_to_hub(run, "ann/cats")
    with pytest.raises(OSError, match="hf://ann/cats@v9 cannot be fetched: "):
        bod_keras.load("hf://ann/cats@v9")
    with pytest.raises(FileNotFoundError, match="There is no other.keras in hf://ann/cats"):
        bod_keras.load("hf://ann/cats/other.keras")
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    with pytest.raises(OSError, match="ann/cats cannot be stored: .*401"):
        bod_keras.push_to_hub(run, "ann/cats")


@slow
@needs_hub
def test_another_backend_loads_it(run, server, tmp_path):
    """In a process of its own, as the card says."""
    bod_keras.push_to_hub(run, "ann/cats")
    others = [b for b in ("torch", "jax", "tensorflow") if b != keras.backend.backend()]
    other = next((b for b in others if importlib.util.find_spec(b) is not None), None)
    if other is None:
        pytest.skip("one backend alone is installed here")
    code = server.files["ann/cats"][0][1]["README.md"].decode()
    code = code.split(f'"KERAS_BACKEND"] = "{other}"')[1].split("```")[0]
    lines = [f'import os; os.environ["KERAS_BACKEND"] = "{other}"{code}', "print(sorted(parts))"]
    lines.insert(
        0, f"import numpy; clips = numpy.zeros((2, {FRAMES}, {SIZE}, {SIZE}, 3), 'float32')"
    )
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_CACHE": str(tmp_path / "other")},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout.strip() == "['dynamic', 'pooled', 'static']", done.stderr
