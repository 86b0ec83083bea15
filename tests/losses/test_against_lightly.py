"""Losses and their gradients against the package `lightly` (PyTorch), where it is installed."""

import keras
import numpy as np
import pytest

from bod_keras import losses
from bod_keras.backend.autodiff import value_and_grad

lightly = pytest.importorskip(
    "lightly.loss", reason="lightly is no dependency: pip install lightly"
)
torch = pytest.importorskip("torch", reason="lightly runs on PyTorch")


def make_views(batch=6, width=5, count=2, seed=0):
    rng = np.random.default_rng(seed)
    scale = np.where(np.arange(width) % 2, 3.0, 0.3)
    return [(scale * rng.normal(size=(batch, width))).astype("float32") for _ in range(count)]


def make_scores(batch=6, prototypes=4, count=2, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.uniform(-1, 1, (batch, prototypes)).astype("float32") for _ in range(count)]


def assert_equal(ours, theirs, arrays):
    """Both are functions of tensors, one for each array; values and gradients must agree."""
    value, _, gradients = value_and_grad(
        lambda x: (ours(*x), ()), [keras.ops.convert_to_tensor(array) for array in arrays]
    )
    leaves = [torch.tensor(array, device="cpu", requires_grad=True) for array in arrays]
    truth = theirs(*leaves)
    truth.backward()
    assert abs(truth.item()) > 1e-3
    assert float(value) == pytest.approx(truth.item(), rel=5e-5)
    for gradient, leaf in zip(gradients, leaves):
        assert leaf.grad.abs().max() > 1e-4
        gradient = keras.ops.convert_to_numpy(gradient)
        np.testing.assert_allclose(gradient, leaf.grad.numpy(), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_info_nce(temperature):
    assert_equal(losses.InfoNCE(temperature), lightly.NTXentLoss(temperature), make_views())


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_queue_info_nce(temperature):
    keys, queries = make_views()
    (queue,) = make_views(batch=8, count=1, seed=1)
    theirs = lightly.NTXentLoss(temperature, memory_bank_size=(8, 5))
    # Their bank is in the loss: columns of unit length, here ours.
    unit = queue / np.linalg.norm(queue, axis=1, keepdims=True)
    theirs.memory_bank.bank = torch.tensor(unit)
    theirs.memory_bank.bank_ptr = torch.zeros(1, dtype=torch.long)
    given = [keras.ops.convert_to_tensor(array) for array in (keys, queue)]
    assert_equal(
        lambda q: losses.QueueInfoNCE(temperature)(tuple(given), q),
        lambda q: theirs(q, torch.tensor(keys, device="cpu")),
        [queries],
    )


def test_cosine_regression():
    target, prediction = make_views()
    theirs = lightly.NegativeCosineSimilarity()
    # Theirs is SimSiam's -cos: 2 - 2 cos is twice that, plus 2.
    assert_equal(
        lambda p: losses.CosineRegression()(target, p),
        lambda p: 2 + 2 * theirs(p, torch.tensor(target, device="cpu")),
        [prediction],
    )


def test_vicreg():
    # Theirs follows the authors' code, which halves the paper's sum of the two variance terms.
    theirs = lightly.VICRegLoss(lambda_param=10.0, mu_param=20.0, nu_param=3.0)
    assert_equal(losses.VICReg(10.0, 10.0, 3.0), theirs, make_views())


@pytest.mark.parametrize("off_diagonal", [5e-3, 0.5])
def test_barlow_twins(off_diagonal):
    # The same convention: no factor.
    theirs = lightly.BarlowTwinsLoss(lambda_param=off_diagonal)
    assert_equal(losses.BarlowTwins(off_diagonal), theirs, make_views(batch=12))


@pytest.mark.parametrize("iterations", [1, 3])
@pytest.mark.parametrize("epsilon", [0.05, 0.5])
def test_sinkhorn(epsilon, iterations):
    from lightly.loss.swav_loss import sinkhorn

    (scores,) = make_scores(count=1)
    ours = losses.sinkhorn(keras.ops.convert_to_tensor(scores), epsilon, iterations)
    theirs = sinkhorn(torch.tensor(scores, device="cpu"), iterations=iterations, epsilon=epsilon)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(ours), theirs.numpy(), atol=1e-5)


@pytest.mark.parametrize("queued", [False, True])
def test_swapped_prediction(queued):
    queues = make_scores(batch=9, seed=1)
    loss = losses.SwappedPrediction()

    def ours(a, b):
        if queued:
            return 0.5 * (loss((a, queues[0]), b) + loss((b, queues[1]), a))
        return 0.5 * (loss(a, b) + loss(b, a))

    def theirs(a, b):
        extra = [torch.tensor(queue, device="cpu") for queue in queues] if queued else None
        return lightly.SwaVLoss()([a, b], [], extra)

    # Theirs is the mean of both directions.
    assert_equal(ours, theirs, make_scores())
