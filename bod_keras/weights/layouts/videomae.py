"""ViT for video by the names of VideoMAE's own files and of the package transformers.

Files of pre-training and of fine-tuning differ in the name of the last normalization, versions of transformers
in those of the biases: `state_dict()` has `query.bias` in version 5, what `save_pretrained` writes `q_bias`.
"""

import functools

import numpy as np

from bod_keras.encoders.self_attention import SelfAttention
from bod_keras.weights.layout import Layout, Tensor

_BIASES = ("q_bias", "v_bias")
_LINEAR_BIASES = ("query.bias", "value.bias")


def _rules(blocks, patches, parts, norm):
    """A rule for each part of a block, numbered from 0 there."""
    of_blocks = [
        (rf"block(\d+)_{name}", lambda block, part=part: f"{blocks}.{block - 1}.{part}")
        for name, part in parts.items()
    ]
    return (("tubelets", patches), *of_blocks, ("norm", norm))


def _fused(layer, module):
    """The query, key and value maps are one tensor, as in the layer."""
    if not isinstance(layer, SelfAttention):
        return None
    kernel = Tensor(layer.kernel, (f"{module}.qkv.weight",), np.transpose, lambda value: [value.T])
    return [kernel, *_biases(layer, module)]


def _separate(layer, module, biases):
    """The query, key and value maps are three tensors."""
    if not isinstance(layer, SelfAttention):
        return None
    keys = tuple(f"{module}.{name}.weight" for name in ("query", "key", "value"))
    kernel = Tensor(
        layer.kernel,
        keys,
        lambda *arrays: np.concatenate(arrays).T,
        lambda value: np.split(value.T, 3),
    )
    return [kernel, *_biases(layer, module, biases)]


def _biases(layer, module, names=_BIASES):
    weights = (layer.query_bias, layer.value_bias)
    return [Tensor(weight, (f"{module}.{name}",)) for weight, name in zip(weights, names)]


_OWN = {
    "norm1": "norm1",
    "attention": "attn",
    "projection": "attn.proj",
    "norm2": "norm2",
    "hidden": "mlp.fc1",
    "output": "mlp.fc2",
}
_TRANSFORMERS = {
    "norm1": "layernorm_before",
    "attention": "attention.attention",
    "projection": "attention.output.dense",
    "norm2": "layernorm_after",
    "hidden": "intermediate.dense",
    "output": "output.dense",
}


def _own(name, norm):
    return Layout(name, _rules("blocks", "patch_embed.proj", _OWN, norm), tensors=_fused)


def _transformers(name, root, norm, biases):
    patches = f"{root}embeddings.patch_embeddings.projection"
    rules = _rules(f"{root}encoder.layer", patches, _TRANSFORMERS, norm)
    return Layout(name, rules, tensors=functools.partial(_separate, biases=biases))


VIDEOMAE = (
    _own("videomae", "norm"),
    _own("videomae_finetuned", "fc_norm"),
    _transformers("transformers_videomae", "", "layernorm", _BIASES),
    # Its last normalization stands outside of the network's prefix.
    _transformers("transformers_videomae_finetuned", "videomae.", "fc_norm", _BIASES),
    _transformers("transformers5_videomae", "", "layernorm", _LINEAR_BIASES),
    _transformers("transformers5_videomae_finetuned", "videomae.", "fc_norm", _LINEAR_BIASES),
)
