"""What benchmarks/encoders.py calls and measures: an encoder and the same network in PyTorch, on a CPU."""

import ctypes
import gc
import importlib
import re
from pathlib import Path

import numpy as np

CALLS = ("forward", "forward+backward")


def keras_model(builder, arguments, clip, remat):
    import bod_keras

    if remat:
        arguments = {**arguments, "remat": True}
    return getattr(bod_keras.encoders, builder)(input_shape=clip, **arguments)


def torch_network(twin, arguments):
    """The twin of an encoder, with weights and moving statistics unlike their defaults."""
    import torch

    from tests.torch_networks import randomize

    class FrameFeatures(torch.nn.Module):
        """As an encoder, from clips in [0, 1] to frame features, but of clips (B, 3, T, H, W)."""

        def __init__(self, network, mean, std):
            super().__init__()
            self.network = network
            for name, values in (("mean", mean), ("std", std)):  # they follow it to a device
                self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1, 1))

        def forward(self, clips):
            return self.network((clips - self.mean) / self.std).mean((3, 4)).transpose(1, 2)

    module, name = twin.split(".")
    module = importlib.import_module(f"tests.torch_networks.{module}")
    return FrameFeatures(randomize(getattr(module, name)(**arguments)), module.MEAN, module.STD)


def keras_calls(model, clips, jit):
    """``{call: function without arguments}``; each returns the features as an array when all is computed."""
    import keras
    from keras import ops

    from bod_keras.backend.autodiff import (
        current_values,
        functional_call,
        no_gradient,
        value_and_grad,
    )

    weights, state = model.trainable_variables, model.non_trainable_variables
    variables = weights + state

    def forward(values, statistics, clips):
        return functional_call(
            lambda: model(clips, training=False), variables, [*values, *statistics]
        )[0]

    def forward_backward(values, statistics, clips, slope):
        def loss(values):
            features, new = functional_call(
                lambda: model(clips, training=True), variables, [*values, *statistics]
            )
            return ops.sum(features * slope), (features, new[len(weights) :])

        return value_and_grad(loss, values)

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        forward = tf.function(forward, autograph=False, jit_compile=jit)
        forward_backward = tf.function(forward_backward, autograph=False, jit_compile=jit)
    elif backend == "jax":
        import jax

        forward, forward_backward = jax.jit(forward), jax.jit(forward_backward)
    clips = ops.convert_to_tensor(clips)
    slope = ops.convert_to_tensor(_slope(model.compute_output_shape(clips.shape)))
    values, statistics = current_values(weights), current_values(state)

    def run_forward():
        with no_gradient():
            return ops.convert_to_numpy(forward(values, statistics, clips))

    def run_both():
        _, (features, _), gradients = result = forward_backward(values, statistics, clips, slope)
        if backend == "jax":  # the others return when the gradients are there
            jax.block_until_ready(result)
        return ops.convert_to_numpy(features)

    return dict(zip(CALLS, (run_forward, run_both)))


def torch_calls(network, clips):
    """As `keras_calls`, in PyTorch eager with its default layout."""
    import torch

    clips = torch.tensor(clips).movedim(-1, 1).contiguous()
    with torch.no_grad():
        slope = torch.tensor(_slope(network.eval()(clips).shape))
    weights = list(network.parameters())

    def forward():
        network.eval()
        with torch.no_grad():
            return network(clips).numpy()

    def forward_backward():
        network.train()
        features = network(clips)
        torch.autograd.grad((features * slope).sum(), weights)
        return features.detach().numpy()

    return dict(zip(CALLS, (forward, forward_backward)))


def _slope(shape):
    """What the loss multiplies the features with, so that no gradient vanishes by symmetry."""
    return np.random.default_rng(1).normal(size=shape).astype("float32")


def peak_memory(function):
    """MiB of the peak of a second call over the resident memory before the first.

    TensorFlow keeps much of a call's memory for the next one, so that between the two it would not be seen.
    """
    _give_back()
    before = resident("VmRSS")
    function()
    _give_back()
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    function()
    return (resident("VmHWM") - before) / 1024


def _give_back():
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)


def resident(field):
    return int(re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])
