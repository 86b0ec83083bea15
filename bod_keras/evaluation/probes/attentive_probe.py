"""`AttentiveProbe`: a classifier that attends to the tokens of a clip, several copies of it side by side."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from bod_keras.errors import UserError

_STD = 0.02
_EPSILON = 1e-5  # PyTorch's of a layer normalization


@keras.saving.register_keras_serializable("bod_keras")
class AttentiveProbe(keras.layers.Layer):
    """Classify tokens by blocks of self-attention, then a learned query q that attends to what they give.

        x <- x + attention(norm(x)),   x <- x + mlp(norm(x))        blocks - 1 times
        y  = q + attend(q, norm(x)),   y <- y + mlp(norm(y))        once
        logits = W y + b

    As of V-JEPA 2 the hidden layer is four times as wide, GELU, and what the query reads has no projection of
    its own. With ``blocks=0`` there is one pooling layer alone, as of VideoGLUE: y = W_o attend(q, norm(x)) +
    b_o. Tokens carry no positions but what is in them. Every weight has a leading axis of `copies`, which
    learn independently of each other.

    Args:
        classes: C, number of classes.
        copies: G, networks side by side.
        blocks: blocks in all, the query's included; 0: attention pooling alone.
        heads: of the attention, or the largest smaller number that divides the width.
        most_width: wider tokens pass a trained linear map to this width first; 0: no limit.

    Call arguments:
        tokens: (B, N, K).

    Returns:
        Logits (G, B, C), float32.

    Raises:
        ValueError: a number out of range.

    Example:
        >>> import numpy as np
        >>> from bod_keras.evaluation.probes.attentive_probe import AttentiveProbe
        >>> probe = AttentiveProbe(classes=5, copies=2, blocks=2, heads=4)
        >>> tuple(probe(np.ones((3, 7, 12), "float32")).shape)
        (2, 3, 5)

    Reference:
        Assran et al., "V-JEPA 2", arXiv 2506.09985; Yuan et al., "VideoGLUE", arXiv 2307.03166.
    """

    def __init__(
        self,
        classes: int,
        copies: int = 1,
        blocks: int = 4,
        heads: int = 16,
        most_width: int = 0,
        **kwargs: Any,
    ):
        super().__init__(**{"dtype": "float32", **kwargs})
        least = {"classes": 1, "copies": 1, "blocks": 0, "heads": 1, "most_width": 0}
        for name, low in least.items():
            if not locals()[name] >= low:
                raise UserError(f"{name} must be at least {low}. Received: {locals()[name]}")
        self.classes, self.copies, self.blocks = classes, copies, blocks
        self.heads, self.most_width = heads, most_width
        self._kernels: dict[str, Any] = {}
        self._vectors: dict[str, Any] = {}

    def build(self, input_shape):
        found = input_shape[-1]
        width = min(found, self.most_width or found)
        self._width = width
        self._heads = max(n for n in range(1, min(self.heads, width) + 1) if width % n == 0)
        if width < found:
            self._linear("entry", found, width)
        for block in range(1, self.blocks):
            deeper = 1 / math.sqrt(2 * (block + 1))
            self._linear(f"block{block}_attention", width, 3 * width, norm=True)
            self._linear(f"block{block}_projection", width, width, deeper)
            self._mlp(f"block{block}", deeper)
        self._vectors["query"] = self.add_weight(
            name="query", shape=(self.copies, width), initializer=_normal(_STD)
        )
        self._linear("pool_query", width, width)
        self._linear("pool_key_value", width, 2 * width, norm=True)
        if self.blocks:
            self._mlp("pool", 1 / math.sqrt(2))
        else:
            self._linear("pool_projection", width, width)
        self._linear("head", width, self.classes)
        self.built = True

    def call(self, tokens):
        batch, number = ops.shape(tokens)[0], tokens.shape[1]
        x = ops.broadcast_to(tokens[None], (self.copies, batch, *tokens.shape[1:]))
        x = ops.reshape(x, (self.copies, -1, tokens.shape[-1]))
        if "entry" in self._kernels:
            x = self._apply("entry", x)
        for block in range(1, self.blocks):
            y = self._apply(f"block{block}_attention", self._normed(f"block{block}_attention", x))
            y = self._attend(*ops.split(y, 3, axis=-1), number, number)
            x = x + self._apply(f"block{block}_projection", y)
            x = x + self._hidden(f"block{block}", x)
        query = ops.broadcast_to(self._vectors["query"][:, None], (self.copies, batch, self._width))
        read = self._apply("pool_key_value", self._normed("pool_key_value", x))
        y = self._attend(self._apply("pool_query", query), *ops.split(read, 2, axis=-1), 1, number)
        if self.blocks:
            y = query + y
            y = y + self._hidden("pool", y)
        else:
            y = self._apply("pool_projection", y)
        return self._apply("head", y)

    def compute_output_shape(self, input_shape):
        return (self.copies, input_shape[0], self.classes)

    def get_config(self):
        names = ("classes", "copies", "blocks", "heads", "most_width")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}

    # -- parts: x is (G, B N, K), and has a row of weights for each of the G copies ------------------------

    def _linear(self, name, inputs, outputs, scale=1.0, norm=False):
        if norm:
            for sort, start in (("scale", "ones"), ("shift", "zeros")):
                self._vectors[f"{name}_{sort}"] = self.add_weight(
                    name=f"{name}_{sort}", shape=(self.copies, inputs), initializer=start
                )
        self._kernels[name] = self.add_weight(
            name=name, shape=(self.copies, inputs, outputs), initializer=_normal(scale * _STD)
        )
        self._vectors[name] = self.add_weight(
            name=f"{name}_bias", shape=(self.copies, outputs), initializer="zeros"
        )

    def _mlp(self, name, scale):
        self._linear(f"{name}_hidden", self._width, 4 * self._width, norm=True)
        self._linear(f"{name}_output", 4 * self._width, self._width, scale)

    def _apply(self, name, x):
        return ops.matmul(x, self._kernels[name]) + self._vectors[name][:, None]

    def _normed(self, name, x):
        scale, shift = (self._vectors[f"{name}_{sort}"][:, None] for sort in ("scale", "shift"))
        mean, variance = ops.moments(x, axes=-1, keepdims=True)
        return (x - mean) / ops.sqrt(variance + _EPSILON) * scale + shift

    def _hidden(self, name, x):
        hidden = self._apply(f"{name}_hidden", self._normed(f"{name}_hidden", x))
        return self._apply(f"{name}_output", ops.gelu(hidden, approximate=False))

    def _attend(self, query, key, value, queries, keys):
        """softmax(q k' / sqrt(d)) v of each head; queries and keys are the tokens of a sample."""

        def cut(x, number):
            return ops.reshape(x, (-1, number, self._heads, self._width // self._heads))

        found = ops.dot_product_attention(
            cut(query, queries), cut(key, keys), cut(value, keys), flash_attention=False
        )
        return ops.reshape(found, (self.copies, -1, self._width))


def _normal(std: float) -> keras.initializers.Initializer:
    return keras.initializers.TruncatedNormal(stddev=std)
