"""`Prototypes` against cosines in a loop, and as a Keras layer."""

import keras
import numpy as np
import pytest
from keras import ops

import bod_keras
from bod_keras.backend import autodiff
from tests import references
from tests.layer_harness import check_layer
from tests.tiny_models import numpy


def draw(rows, width=4, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, width)).astype("float32")


def test_scores_are_cosines():
    prototypes = bod_keras.Prototypes(5)
    embeddings = 3.0 * draw(6)
    scores = numpy(prototypes(embeddings))
    vectors = numpy(prototypes.vectors)
    for i, row in enumerate(embeddings):
        for k, vector in enumerate(vectors):
            cosine = references.normalize(row) @ references.normalize(vector)
            assert scores[i, k] == pytest.approx(cosine, abs=1e-5)


def test_it_is_a_keras_layer(tmp_path):
    check_layer(
        lambda: bod_keras.Prototypes(5),
        (6,),
        arguments={"count": 5},
        output_dtype="float32",
        tmp_path=tmp_path,
    )


@keras.saving.register_keras_serializable("tests")
class Around(keras.layers.Layer):
    """Builds its prototypes when it is called first."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.prototypes = bod_keras.Prototypes(9)

    def call(self, embeddings):
        return self.prototypes(embeddings)


def test_they_start_on_the_sphere_however_they_are_built():
    alone = bod_keras.Prototypes(9)
    alone.build((None, 4))
    inputs = keras.Input((4,))
    around = Around()
    keras.Model(inputs, around(inputs))  # builds inside of a symbolic call
    for prototypes in (alone, around.prototypes):
        vectors = numpy(prototypes.vectors)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
        assert np.linalg.matrix_rank(vectors) == 4


def test_normalize_puts_them_back_and_keeps_their_directions():
    prototypes = bod_keras.Prototypes(5)
    prototypes.build((None, 4))
    moved = draw(5, seed=1)
    prototypes.vectors.assign(moved)
    prototypes.normalize()
    np.testing.assert_allclose(numpy(prototypes.vectors), references.normalize(moved), atol=1e-6)


@pytest.mark.parametrize("tensor", [False, True])
@pytest.mark.parametrize("frozen", [None, False, True])
def test_frozen_prototypes_get_no_gradient_but_embeddings_do(frozen, tensor):
    """None: as it is called without the argument."""
    prototypes = bod_keras.Prototypes(5)
    prototypes.build((None, 4))
    flag = {} if frozen is None else {"frozen": ops.convert_to_tensor(frozen) if tensor else frozen}

    def loss(values):
        vectors, embeddings = values
        scores, _ = autodiff.functional_call(
            lambda: prototypes(embeddings, **flag), [prototypes.vectors], [vectors]
        )
        return ops.sum(ops.square(scores)), ()

    values = [ops.convert_to_tensor(x) for x in (numpy(prototypes.vectors).copy(), draw(6))]
    _, _, (of_vectors, of_embeddings) = autodiff.value_and_grad(loss, values)
    assert (np.abs(numpy(of_vectors)).max() > 1e-3) == (not frozen)
    assert np.abs(numpy(of_embeddings)).max() > 1e-3


def test_fewer_than_two_are_refused():
    with pytest.raises(ValueError, match="count must be at least 2 .* Received: 1"):
        bod_keras.Prototypes(1)
