"""200 steps of every framework keep its embeddings apart; attraction alone does not.

Every video is seen in random tints, so that equal embeddings of its views cannot be learned by heart.

The effective rank is exp of the entropy of s / sum(s), with s the singular values of the time-pooled embeddings
(N, 12), in inference and L2-normalized. They are not centered: of embeddings that are almost one point only
small differences would be left, of which the collapsed run has ten dimensions, more than any other.

Measured, with two backends' different initial weights (ranks before training 6.5 and 4.6):

                    plain          decoupled
                TF     PyTorch    TF     PyTorch
    VSimCLR     8.5    8.4        7.1    6.1
    VMoCo       8.5    8.6        7.8    6.8
    VBYOL       7.3    6.5        7.5    7.6
    VSwAV       5.5    5.1        5.7    5.7
    VSimSiam    8.1    7.5        7.5    6.6
    VVICReg     9.2    9.1        7.0    7.4
    VBarlow     6.4    5.1        5.1    5.9
    attraction  1.4    1.4        3.1    3.4
"""

import keras
import numpy as np
import pytest
from keras import ops

import bod_keras
from bod_keras.frameworks import FRAMEWORKS
from tests.tiers import slow
from tests.tiny_models import make_clips, make_moving_views, numpy, simple

FLOOR = 3.0
STEPS, TINTS = 200, 8
SETTINGS = {
    "vsimclr": {"temperature": 0.2},
    "vmoco": {"temperature": 0.2, "queue_size": 64, "momentum": 0.9},
    "vbyol": {"predictor_hidden": 16, "momentum": 0.9},
    "vswav": {"temperature": 0.1, "prototypes": 16},
    "vsimsiam": {"predictor_hidden": 8},
    "vvicreg": {"expander_hidden": 32, "expander_width": 32},
    "vbarlow_twins": {},
    "vlejepa": {"expander_hidden": 32, "expander_width": 32},
}


class Attraction(bod_keras.ContrastiveModel):
    """A user's framework that collapses: cosine attraction, without stop-gradient and without predictor."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.set_losses(lambda part: None)

    def part_loss(self, part, views, targets, training):
        one, two = [view / ops.norm(view, axis=-1, keepdims=True) for view in views]
        return 2.0 - 2.0 * ops.mean(ops.sum(one * two, axis=-1))


def effective_rank(embeddings):
    rows = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    values = np.linalg.svd(rows.astype(np.float64), compute_uv=False)
    shares = values / values.sum()
    return np.exp(-sum(p * np.log(p) for p in shares if p > 0))


def make_tinted_views():
    """16 videos in 8 tints of each view."""
    views = make_moving_views(videos=16)
    tints = np.random.default_rng(0).random((TINTS, 16, 2, 1, 1, 1, 3), "float32")
    return np.concatenate(list(0.6 * views + 0.4 * tints))


def rank_after_training(framework, decoupled, **settings):
    """Compiled, by Adam at 0.01."""
    views = make_tinted_views()
    encoder = bod_keras.encoders.FrameCNN(views.shape[2:], widths=(8, 12))
    decoupling = simple(read_out=bod_keras.OperatorReadOut(4)) if decoupled else None
    head = bod_keras.ProjectionHead(24, 12)
    model = framework(encoder, decoupling, projection_head=head, **settings)
    model.compile(keras.optimizers.Adam(1e-2))
    model.fit(views, batch_size=16, epochs=STEPS // TINTS, shuffle=False, verbose=0)
    assert int(model.steps_taken) == STEPS
    return effective_rank(numpy(model(make_clips(views))).mean(axis=1))


@slow
@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("name", SETTINGS)
def test_training_keeps_embeddings_apart(name, decoupled):
    rank = rank_after_training(FRAMEWORKS[name], decoupled, **SETTINGS[name])
    assert rank > FLOOR


def test_attraction_alone_collapses():
    assert rank_after_training(Attraction, decoupled=False) < 0.6 * FLOOR


def test_the_effective_rank_is_one_at_a_point_and_the_width_if_spread():
    assert effective_rank(np.full((5, 3), 2.0)) == pytest.approx(1.0)
    assert effective_rank(np.concatenate([np.eye(4), 3.0 * np.eye(4)])) == pytest.approx(4.0)
    narrow = np.eye(4)[[0, 0, 1, 1]]
    assert effective_rank(narrow) == pytest.approx(2.0)
