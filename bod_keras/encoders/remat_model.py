"""`RematModel`: an encoder that keeps few activations and computes the others again for the gradient."""

from __future__ import annotations

from collections import Counter
from typing import Any

import keras
from keras import ops, tree

from bod_keras.errors import UserError


@keras.saving.register_keras_serializable("bod_keras")
class RematModel(keras.Model):
    """A Functional model that trains in less memory: it keeps the activations between its segments only.

    Rematerialization, or gradient checkpointing. A segment ends where a single tensor leads on, right before
    the next layer with a kernel: in a residual network after each block, in a plain one after each convolution
    with its normalization. The gradient of a segment computes its activations again, one segment at a time, so
    a step takes about one forward pass more. The last segment is kept, since its gradient comes first.

    Layers, weights and results are those of ``keras.Model(inputs, outputs)``, and so are batch statistics and
    random numbers. Without ``training=True`` nothing is computed twice.

    Args:
        inputs: one `keras.Input`.
        outputs: one tensor that depends on it. Layers in between may not add losses of their own or pass masks.
        name: of the model.

    Raises:
        ValueError: more than one input or output.

    Example:
        >>> from bod_keras.encoders import RematModel
        >>> import bod_keras
        >>> encoder = bod_keras.encoders.FrameCNN(input_shape=(8, 32, 32, 3))
        >>> RematModel(encoder.inputs, encoder.outputs).output_shape
        (None, 8, 128)

    Reference:
        Chen et al., "Training Deep Nets with Sublinear Memory Cost", arXiv 1604.06174.
    """

    def __init__(self, inputs: Any, outputs: Any, name: str | None = None, **kwargs):
        for role, tensors in (("input", inputs), ("output", outputs)):
            if len(tree.flatten(tensors)) != 1:
                raise UserError(
                    f"RematModel needs one {role}. Received: {tensors}. Use keras.Model for such a network."
                )
        super().__init__(inputs, outputs, name=name, **kwargs)
        # The layers cast for themselves; a cast out here would round what a float32 layer reads.
        self.autocast = False
        self._segments = None

    def call(self, inputs, training=None, mask=None):
        if not training:
            return super().call(inputs, training=training, mask=mask)
        if self._segments is None:
            self._segments = _Segments(self)
        clips = ops.convert_to_tensor(tree.flatten(inputs)[0], dtype=self.inputs[0].dtype)
        return self._segments(clips)


class _Segments:
    """The parts of a Functional model, one after the other; no list, or Keras would save the layers twice."""

    def __init__(self, model):
        source = model.inputs[0]
        history = source._keras_history
        self.parts = [keras.Model(inputs, output) for inputs, output in _cut(model)]
        # A part that starts within the network makes copies of its tensors, but an input it takes over.
        source._keras_history = history

    def __call__(self, source):
        x = source
        for part in self.parts[:-1]:
            x = _rematerialized(part, [x, source][: len(part.inputs)])
        last = self.parts[-1]
        return last([x, source][: len(last.inputs)], training=True)


def _rematerialized(part, inputs):
    """`part` in training, its activations forgotten.

    All that has a gradient is an argument of what is computed again, and new state a result: TensorFlow gives
    a closure's tensors no gradient, JAX lets nothing else out, and PyTorch computes again when the scope that
    replaced the variables is over.
    """
    state = [v.value for v in part.non_trainable_variables]

    def pure(*tensors):
        inputs, weights = tensors[:number], tensors[number:]
        return part.stateless_call(weights, state, list(inputs), training=True)

    number = len(inputs)
    weights = [v.value for v in part.trainable_variables]
    output, new_state = keras.remat(pure)(*inputs, *weights)
    for variable, value in zip(part.non_trainable_variables, new_state):
        variable.assign(value)
    return output


def _cut(model):
    """Inputs and output of each segment; the model's input is one wherever it is used again."""
    source = model.inputs[0]
    steps = [
        (operation, tree.flatten(operation.input), tree.flatten(operation.output))
        for operation in model.operations
        if not isinstance(operation, keras.layers.InputLayer)
    ]
    waiting = Counter(id(tensor) for _, inputs, _ in steps for tensor in inputs)
    alive, kernel_seen, candidate = {}, False, None
    cuts = [(0, source)]
    for place, (operation, inputs, outputs) in enumerate(steps):
        if any(len(weight.shape) > 1 for weight in getattr(operation, "weights", ())):
            if kernel_seen and candidate:
                cuts.append(candidate)
            kernel_seen, candidate = True, None
        waiting.subtract(id(tensor) for tensor in inputs)
        alive.update((id(tensor), tensor) for tensor in outputs)
        alive = {key: tensor for key, tensor in alive.items() if waiting[key]}
        if len(alive) == 1:
            candidate = (place + 1, *alive.values())
    segments = []
    ends = [*cuts[1:], (len(steps), model.outputs[0])]
    for (first, start), (stop, end) in zip(cuts, ends):
        again = any(tensor is source for _, inputs, _ in steps[first:stop] for tensor in inputs)
        segments.append(([start, source] if first and again else [start], end))
    return segments
