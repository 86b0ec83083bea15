"""Three training steps of every case, on the backend of KERAS_BACKEND, saved as one .npz file.

    KERAS_BACKEND=jax python -m tests.parity.run_steps steps.npz

Weights and clips come from NumPy generators, so that every backend starts from the same numbers. The arrays
are named ``execution/case/kind/name``; `train` says which kinds there are.
"""

import dataclasses
import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras.ops import convert_to_numpy

import bod_keras

# Keras' SGD with momentum: its velocity after one step is -rate g, and with a rate that is a power of two that
# gives the gradient to the last bit, eager or compiled. Adam would divide the rounding noise of gradients that
# are zero by construction by its own size, and make full steps of it.
#
# Three steps multiply the rounding of the first one by how ill-conditioned the problem is, on one backend as
# between two. So rates and widths are chosen so that this factor stays near 10 in every case. The rate is low
# where the lower level moves the backbone, and higher for the plain model: its gradient is ten times smaller,
# and the steps would be near the rounding of the weights.
MOMENTUM = 0.9
RATES = {"plain": 2.0**-5, "recommended": 2.0**-11, "paper": 2.0**-11, "custom": 2.0**-9}
STEPS, BATCH, FRAMES, SIZE = 3, 4, 6, 8

# Name: the `decoupling` of a framework.
CASES = {
    "plain": None,
    # Backends draw other numbers, and so other colors.
    "recommended": bod_keras.Decoupling(motion_view="background_swap"),
    # With a ridge: without it the pseudo-inverse multiplies rounding by a million. And a lower inner rate, as
    # the finite difference adds the rounding of two passes through the whole network.
    "paper": dataclasses.replace(
        bod_keras.Decoupling.named("paper"),
        ridge=0.1,
        bilevel=bod_keras.BiLevel(1, 0.02, "all", "in_sample"),
    ),
    "custom": bod_keras.Decoupling(
        threshold=0.3,
        dynamic_weight=0.5,
        base_weight=0.5,
        read_out="mean",
        bilevel=bod_keras.BiLevel(2, 0.1),
        motion_view=None,
    ),
}
# JAX without jit compiles every operation; XLA on TensorFlow has no eigensolver for "paper". PyTorch has no
# compiled step.
EXECUTIONS = {
    ("tensorflow", "eager"): list(CASES),
    ("tensorflow", "graph"): list(CASES),
    ("tensorflow", "xla"): ["plain", "recommended", "custom"],
    ("jax", "eager"): ["plain", "recommended"],
    ("jax", "jit"): list(CASES),
    ("torch", "eager"): list(CASES),
}


def make_clips():
    """Clips (steps, batch, 2, T, H, W, 3) in [0, 1]: a picture that stays, one that swings, and noise."""
    rng = np.random.default_rng(1)
    videos = (STEPS, BATCH, 1)
    still, swinging = rng.normal(size=(2, *videos, 1, SIZE, SIZE, 3))
    phase = rng.uniform(0, 2 * np.pi, size=(STEPS, BATCH, 2, 1))
    angle = phase + rng.uniform(0.6, 1.8, size=(*videos, 1)) * np.arange(FRAMES)
    noise = rng.normal(size=(STEPS, BATCH, 2, FRAMES, SIZE, SIZE, 3))
    clips = still + np.cos(angle)[..., None, None, None] * swinging + 0.3 * noise
    return np.clip(0.5 + 0.15 * clips, 0, 1).astype("float32")


def make_model(case, execution):
    """A compiled model whose weights are the same on every backend."""
    encoder = bod_keras.encoders.FrameCNN((FRAMES, SIZE, SIZE, 3), widths=(4, 8))
    head = bod_keras.ProjectionHead(48, 8)
    model = bod_keras.VSimCLR(encoder, CASES[case], projection_head=head, temperature=0.5)
    rng = np.random.default_rng(0)
    for part in filter(None, (encoder, model.projection_head, model.split)):
        for weight in part.weights:
            if len(weight.shape) > 1:
                inputs = np.prod(weight.shape[:-1])
                weight.assign((rng.normal(size=weight.shape) / np.sqrt(inputs)).astype("float32"))
    model.compile(
        keras.optimizers.SGD(RATES[case], momentum=MOMENTUM),
        run_eagerly=execution == "eager",
        jit_compile=execution in ("xla", "jit"),
    )
    return model


def train(model):
    """Three steps of one batch each.

    Returns:
        A dict of kinds, each a dict of named arrays: "loss": what every step logs; "gradient": what the
        optimizer gets in the first step; and after the third step "weight": the trainable weights, "update":
        by how much they moved, "momentum": the optimizer's velocities, "state": batch statistics, "count":
        counters.
    """
    trainable, rest = model.trainable_variables, model.non_trainable_variables
    velocities = model.optimizer.momentums
    rate = float(convert_to_numpy(model.optimizer.learning_rate))
    start = _arrays(trainable, trainable)
    result = {"loss": {}}
    for step, clips in enumerate(make_clips(), start=1):
        logs = model.fit(clips, batch_size=BATCH, shuffle=False, verbose=0).history
        result["loss"] |= {f"{name} {step}": np.float64(value[0]) for name, value in logs.items()}
        if step == 1:
            first = _arrays(velocities, trainable)
            result["gradient"] = {name: -v / rate for name, v in first.items()}
    counters = [v for v in rest if "int" in v.dtype]
    floats = [v for v in rest if v.dtype == "float32"]
    result["weight"] = _arrays(trainable, trainable)
    result["update"] = {name: w - start[name] for name, w in result["weight"].items()}
    result["momentum"] = _arrays(velocities, trainable)
    result["state"] = _arrays(floats, floats)
    result["count"] = _arrays(counters, counters)
    return result


def _arrays(variables, named_like):
    names = [v.path.replace("/", ".") for v in named_like]
    arrays = {n: convert_to_numpy(v).astype("float64") for n, v in zip(names, variables)}
    assert len(arrays) == len(variables), f"names repeat: {names}"
    return arrays


def main(path):
    arrays = {}
    for (backend, execution), cases in EXECUTIONS.items():
        for case in cases if backend == keras.backend.backend() else []:
            if backend == "jax":  # without jit it compiles each operation, to be used a few times
                import jax

                jax.config.update("jax_disable_most_optimizations", execution == "eager")
            keras.utils.clear_session()  # equal names in every model
            start = time.perf_counter()
            for kind, named in train(make_model(case, execution)).items():
                arrays |= {f"{execution}/{case}/{kind}/{n}": v for n, v in named.items()}
            seconds = time.perf_counter() - start
            print(f"{backend} {execution:6} {case:42} {seconds:5.1f} s", flush=True)
    np.savez(path, **arrays)


if __name__ == "__main__":
    main(sys.argv[1])
