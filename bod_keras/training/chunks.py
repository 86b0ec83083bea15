"""A backbone on a batch too large for it at once: chunk by chunk, its gradient from cached cotangents.

A batch of V views of B videos is cut into `chunks` parts, each with all views of B / chunks videos. Video i
is in chunk i mod chunks, so that of a batch that is spread over devices each holds its share of every chunk.

    features:  z = [f(x_1), ..., f(x_chunks)]           nothing is kept for the gradient
    loss:      c = dU/dz, by whatever U does with all of z
    gradient:  dU/dw = sum_k c_k df(x_k)/dw             f(x_k) computed again, one chunk at a time

This is the gradient of the whole batch, where f treats clips one by one. What f does with several clips, such
as batch normalization, and its random numbers are a chunk's: both times they begin from the same state.

Reference: Gao et al., "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup", arXiv
2101.06983.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from bod_keras.backend import autodiff
from bod_keras.errors import UserError


def run_in_chunks(network: keras.Model, clips: Any, views: int, chunks: int) -> Any:
    """A network's training output for clips (V B, ...), without gradient; its new state is assigned.

    Call it inside of `autodiff.functional_call`, as a training step does.
    """
    if chunks == 1:
        return network(clips, training=True)
    fixed, moving = network.trainable_variables, network.non_trainable_variables
    weights = autodiff.current_values(fixed)

    def forward(state, index):
        part = _chunk(clips, views, chunks, index)
        output, new = autodiff.functional_call(
            lambda: network(part, training=True), fixed + moving, weights + list(state)
        )
        return new[len(fixed) :], output

    state, outputs = autodiff.loop(forward, autodiff.current_values(moving), chunks)
    autodiff.assign(moving, state)
    return _joined(outputs, views)


def vjp_in_chunks(
    fn: Callable, inputs: list, clips: Any, views: int, state: list, chunks: int
) -> tuple[Any, list, Callable]:
    """As `autodiff.vjp`, of ``fn(inputs, clips, state) -> (output, new state)``.

    Args:
        fn: a pure function; its output has a row for each clip.
        inputs: list of tensors, for which gradients are wanted.
        clips: (V B, ...), view after view.
        views: V.
        state: list of tensors, which pass from chunk to chunk.
        chunks: number of chunks, a divisor of B.

    Returns:
        ``(output, new state, pullback)``.
    """
    if chunks == 1:
        return autodiff.vjp(lambda values: fn(values, clips, state), inputs)

    def forward(state, index):
        output, new = fn(inputs, _chunk(clips, views, chunks, index), state)
        return new, output

    with autodiff.no_gradient():
        last, outputs = autodiff.loop(forward, state, chunks)

    def pullback(cotangent):
        def backward(carry, index):
            state, total = carry
            part = _chunk(clips, views, chunks, index)
            _, new, pull = autodiff.vjp(lambda values: fn(values, part, state), inputs)
            gradients = pull(_chunk(cotangent, views, chunks, index))
            return (new, [t + g for t, g in zip(total, gradients)]), None

        start = state, [ops.zeros_like(x) for x in inputs]
        (_, total), _ = autodiff.loop(backward, start, chunks, after=[cotangent])
        return total

    return _joined(outputs, views), last, pullback


def check_chunks(clips: Any, views: int, chunks: int) -> Any:
    """Return the clips; raise an error if `chunks` does not divide the number of videos."""
    advice = "Choose a batch size (of each replica) that it divides, or other chunks."
    if clips.shape[0] is None:
        videos = ops.shape(clips)[0] // views
        return autodiff.check(
            videos % chunks == 0,
            f"chunks={chunks} must divide the batch of videos. {advice}",
            videos,
            clips,
        )
    if clips.shape[0] // views % chunks:
        raise UserError(
            f"chunks={chunks} must divide the batch of videos. Received: {clips.shape[0] // views} videos. "
            f"{advice}"
        )
    return clips


def _chunk(x, views, chunks, index):
    """Rows (V B / chunks, ...) of chunk `index` of x (V B, ...)."""
    rest = x.shape[1:]
    return ops.reshape(ops.reshape(x, (views, -1, chunks, *rest))[:, :, index], (-1, *rest))


def _joined(parts, views):
    """The inverse: (chunks, V B / chunks, ...) to (V B, ...)."""
    chunks, rest = parts.shape[0], parts.shape[2:]
    parts = ops.reshape(parts, (chunks, views, -1, *rest))
    return ops.reshape(ops.moveaxis(parts, 0, 2), (-1, *rest))
