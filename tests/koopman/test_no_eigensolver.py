"""A recommended training step: no eigensolver in it, XLA compiles it, the split lets PyTorch's device run."""

import contextlib
import warnings

import keras
import numpy as np
import pytest

import bod_keras
from bod_keras.koopman import KoopmanSplit, linalg
from tests.tiers import slow
from tests.tiny_models import make_model, make_moving_views, make_views, train

BACKEND = keras.backend.backend()
WIDTH = 8
only_tensorflow = pytest.mark.skipif(BACKEND != "tensorflow", reason="about TensorFlow's graph")
only_jax = pytest.mark.skipif(BACKEND != "jax", reason="about JAX' programs")
only_torch = pytest.mark.skipif(BACKEND != "torch", reason="about PyTorch's operations")


def solvers(names):
    """Names of what finds eigenvalues, or calls back into Python, where a kernel could be hidden."""
    words = ("eig", "schur", "svd", "hessenberg", "geev", "pyfunc", "callback")
    return sorted({name for name in names if any(word in name.lower() for word in words)})


def recommended(**changes):
    return bod_keras.Decoupling(**changes)


def with_and_without(names_of):
    """The recommended step has none; and the one that differentiates P has one, or `names_of` sees nothing."""
    assert solvers(names_of(recommended())) == []
    assert solvers(names_of(recommended(projector_gradient=True)))


@only_tensorflow
def test_no_eigensolver_is_in_the_graph_of_tensorflow():
    import tensorflow as tf

    def names_of(decoupling):
        model, views = make_model(decoupling), tf.constant(make_views())
        step = tf.function(model.train_step, autograph=False)
        graph = step.get_concrete_function(views).graph.as_graph_def()
        nodes = [*graph.node, *(n for f in graph.library.function for n in f.node_def)]
        assert len(nodes) > 500
        return [node.op for node in nodes]

    with_and_without(names_of)


@only_jax
def test_no_eigensolver_is_in_the_program_of_jax():
    import jax

    def names_of(decoupling):
        model = make_model(decoupling)
        state = [
            [variable.value for variable in group]
            for group in (
                model.trainable_variables,
                model.non_trainable_variables,
                model.optimizer.variables,
                model.metrics_variables,
            )
        ]
        names = []

        def visit(program):
            for equation in program.eqns:
                names.append(equation.primitive.name)
                for inner in jax.core.jaxprs_in_params(equation.params):
                    visit(inner)

        visit(jax.make_jaxpr(model.train_step)(state, make_views()).jaxpr)
        assert len(names) > 500
        return names

    with_and_without(names_of)


@contextlib.contextmanager
def recorded():
    """The names of all operations that PyTorch dispatches, of the backward pass too."""
    from torch.utils._python_dispatch import TorchDispatchMode

    names = []

    class Record(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            names.append(function.name())
            return function(*args, **(kwargs or {}))

    with Record():
        yield names


@only_torch
def test_no_eigensolver_is_among_the_operations_of_pytorch():
    def names_of(decoupling):
        model, views = make_model(decoupling), make_views()
        with recorded() as names:
            model.train_on_batch(views)
        assert len(names) > 500
        return names

    with_and_without(names_of)


# What waits for the device: a number read from it, an error asked for, a shape that depends on values, and a
# number of Python's that is copied to it.
WAITS = (
    "aten::_local_scalar_dense",
    "aten::item",
    "aten::is_nonzero",
    "aten::equal",
    "aten::nonzero",
    "aten::_linalg_check_errors",
    "aten::lift_fresh",
)


@only_torch
@pytest.mark.parametrize("settings", [{}, {"ridge": 1e-6}, {"read_out": "mean"}])
def test_nothing_in_the_split_waits_for_the_device(settings):
    import torch

    split = KoopmanSplit(**settings)
    split.build((None, 6, WIDTH))
    frames = torch.randn(4, 6, WIDTH, requires_grad=True)
    with recorded() as names:
        static, dynamic = split(frames)
        (static.square().sum() + dynamic.square().sum()).backward()
        split.statistics(split.split(frames))
    assert len(names) > 100
    assert sorted({name for name in names if name.split(".")[0] in WAITS}) == []


@only_torch
def test_what_keras_waits_for_is_seen():
    """Otherwise the test above sees nothing."""
    import torch

    with recorded() as names:
        keras.ops.inv(torch.eye(2)[None])
        keras.ops.where(torch.ones(2) > 0, torch.ones(2), 0.0)
        float(torch.ones(()))
    found = {name.split(".")[0] for name in names}
    assert found >= {"aten::_linalg_check_errors", "aten::lift_fresh", "aten::_local_scalar_dense"}


@slow
@pytest.mark.skipif(BACKEND == "torch", reason="torch.compile does not compile the step reliably")
def test_the_recommended_step_is_compiled():
    """Equal to what runs operation by operation, and compiled once."""
    views = make_moving_views()
    results = []
    for compiled in (False, True):
        model = make_model(recommended(motion_view="background_swap"))
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Keras turns a compilation off with a warning
            optimizer = keras.optimizers.SGD(2.0**-9)
            model.compile(optimizer, run_eagerly=not compiled, jit_compile=compiled)
        assert model.jit_compile == compiled
        results.append(train(model, views))
    for key, values in results[0].items():
        assert values == pytest.approx(results[1][key], rel=2e-3, abs=1e-5), key


@slow
@only_torch
@pytest.mark.parametrize("name", ["r3d18", "video_vit"])
def test_torch_compiles_an_encoder(name):
    import torch

    encoder = bod_keras.encoders.ENCODERS[name]((4, 32, 32, 3))
    clips = torch.rand(2, 4, 32, 32, 3)
    compiled = torch.compile(encoder, backend="aot_eager")
    np.testing.assert_allclose(
        compiled(clips).detach().numpy(), encoder(clips).detach().numpy(), atol=1e-5
    )


def test_the_split_is_exact_on_the_backend():
    assert linalg.EXACT == ("float32" if BACKEND == "jax" else "float64")
