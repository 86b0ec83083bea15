"""VideoMAE's weights by the names of the package transformers, whose files hold three maps for one."""

import keras
import numpy as np
import pytest

from bod_keras.encoders import VideoViT
from bod_keras.weights import load_torch, read_state, save_torch, write_state


def make(seed):
    """A tiny network, every weight of which is random."""
    model = VideoViT((4, 16, 16, 3), 2, width=6, depth=2, heads=2)
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        weight.assign(rng.normal(size=weight.shape).astype("float32"))
    return model


def renamed(key, value):
    """By transformers' own conversion of VideoMAE's files."""
    root, block = "videomae.", key.split(".")[1]
    layer = f"{root}encoder.layer.{block}."
    if key.endswith("qkv.weight"):
        names = [f"{layer}attention.attention.{n}.weight" for n in ("query", "key", "value")]
        return dict(zip(names, np.split(value, 3)))
    for old, new in {
        "patch_embed.proj.": f"{root}embeddings.patch_embeddings.projection.",
        f"blocks.{block}.norm1.": f"{layer}layernorm_before.",
        f"blocks.{block}.norm2.": f"{layer}layernorm_after.",
        f"blocks.{block}.attn.proj.": f"{layer}attention.output.dense.",
        f"blocks.{block}.attn.": f"{layer}attention.attention.",
        f"blocks.{block}.mlp.fc1.": f"{layer}intermediate.dense.",
        f"blocks.{block}.mlp.fc2.": f"{layer}output.dense.",
    }.items():
        if key.startswith(old):
            return {key.replace(old, new): value}
    return {f"{root}layernorm.{key.removeprefix('norm.')}": value}


def of_version_5(state):
    """As `state_dict()` of a model names the biases there."""
    new = {"attention.q_bias": "attention.query.bias", "attention.v_bias": "attention.value.bias"}
    for old, name in new.items():
        state = {key.replace(old, name): value for key, value in state.items()}
    return state


@pytest.mark.parametrize("root", ["videomae.", "", "model.videomae."])
@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("finetuned", [False, True])
def test_the_files_of_transformers(finetuned, version, root, tmp_path):
    model, other = make(0), make(1)
    save_torch(model, tmp_path / "own.safetensors")
    own = read_state(tmp_path / "own.safetensors")
    assert own["blocks.1.attn.qkv.weight"].shape == (18, 6)
    state = {}
    for key, value in own.items():
        state.update(renamed(key, value))
    if finetuned:
        for part in ("weight", "bias"):
            state[f"fc_norm.{part}"] = state.pop(f"videomae.layernorm.{part}")
        state["classifier.weight"] = np.zeros((3, 6), "float32")
        if root != "videomae.":
            pytest.skip("the classifier's model has a prefix of its own")
    state = {key.replace("videomae.", root): value for key, value in state.items()}
    if version == 5:
        state = of_version_5(state)
    write_state(tmp_path / "model.safetensors", state)
    report = load_torch(other, tmp_path / "model.safetensors")
    name = "transformers_videomae" if version == 4 else "transformers5_videomae"
    assert report.layout == name + "_finetuned" * finetuned
    for one, two in zip(model.weights, other.weights):
        np.testing.assert_array_equal(
            keras.ops.convert_to_numpy(one), keras.ops.convert_to_numpy(two), err_msg=one.path
        )
