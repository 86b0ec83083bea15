"""What is read from a model for a clip: vectors that no longer have a time axis."""

import keras
from keras import ops

from bod_keras.errors import UserError, check_choice

READ_OUTS = ("parts", "pooled", "projected")
PARTS = ("pooled", "static", "dynamic")  # of a framework


class ReadOut(keras.Model):
    """Make a read-out the forward pass of a model, so that `predict_on_batch` compiles it.

    Nothing is trained, dropout is off, and batch normalization uses its moving statistics.

    Args:
        model: a framework model, or an encoder from clips to frame features (B, T', C).
        kind: "parts": what the `embedder` of a framework gives ("pooled", "static", "dynamic"); of an
            encoder "pooled", the time mean of its features. "pooled": that alone. "projected": the
            time mean of what the projection head of a framework gives.
        time_steps: of "pooled": the T' frame features are averaged over this many spans of equal
            length and laid side by side, (B, time_steps C).

    Call arguments:
        clips: (B, T, H, W, 3), RGB in [0, 1].

    Returns:
        A dict from part to float32 (B, K).
    """

    def __init__(self, model: keras.Model, kind: str = "parts", time_steps: int = 1):
        super().__init__(name="read_out")
        check_choice("read_out", kind, READ_OUTS)
        if kind == "projected" and not hasattr(model, "projection_head"):
            raise UserError(
                f"The read-out 'projected' needs a framework with a projection head. Received: "
                f"{model.name!r}, an encoder. Choose 'pooled'."
            )
        if time_steps != 1 and kind != "pooled":
            raise UserError(
                f"Only the read-out 'pooled' keeps time steps. Received: {time_steps} with {kind!r}."
            )
        self.model = model
        self.kind = kind
        self.time_steps = time_steps
        self.order = (kind,)

    def call(self, clips):
        if self.kind == "projected":
            return {"projected": _time_mean(self.model(clips, training=False), 1)}
        if self.kind == "parts" and hasattr(self.model, "embedder"):
            parts = self.model.embedder()(clips, training=False)
            # Keras sorts a dict that leaves a model on PyTorch, or a compiled function on JAX.
            others = (part for part in parts if part not in PARTS)
            self.order = (*(part for part in PARTS if part in parts), *others)
            return {part: ops.cast(values, "float32") for part, values in parts.items()}
        self.order = ("pooled",)
        features = getattr(self.model, "encoder", self.model)(clips, training=False)
        if len(features.shape) != 3:
            raise UserError(
                "model must be a framework, or an encoder that returns frame "
                f"features (batch, time, channels). Received: an output of shape "
                f"{tuple(features.shape)}. Pass the framework model or its encoder."
            )
        return {"pooled": _time_mean(features, self.time_steps)}


def _time_mean(features, spans: int):
    steps, width = features.shape[1:]
    if steps % spans:
        raise UserError(
            f"time_steps must divide the {steps} time steps of the encoder's features. Received: "
            f"{spans}. Choose another number."
        )
    features = ops.cast(features, "float32")
    return ops.reshape(
        ops.mean(ops.reshape(features, (-1, spans, steps // spans, width)), axis=2),
        (-1, spans * width),
    )
