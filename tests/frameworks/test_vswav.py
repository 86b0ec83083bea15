"""`VSwAV`: prototypes on the sphere and frozen, the queue of embeddings, balanced codes."""

import keras
import numpy as np
import pytest

import bod_keras
from tests import references
from tests.tiny_models import (
    in_training,
    make_clips,
    make_framework,
    make_views,
    numpy,
    simple,
    train,
)


def vectors_of(model):
    return {part: numpy(clusters.vectors).copy() for part, clusters in model.clusters.items()}


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_prototypes_stay_on_the_sphere_and_are_frozen_at_first(optimizer):
    """With weight decay, which shrinks them also while frozen, and once with the lower level on."""
    bilevel = bod_keras.BiLevel(inner_learning_rate=0.1) if optimizer == "adamw" else None
    optimizer = {
        "sgd": keras.optimizers.SGD(0.5, momentum=0.9, weight_decay=0.1),
        "adamw": keras.optimizers.AdamW(0.05, weight_decay=0.1),
    }[optimizer]
    model = make_framework("vswav", simple(bilevel=bilevel), optimizer=optimizer, freeze_steps=2)
    start = vectors_of(model)
    assert set(start) == {"static", "dynamic"}
    head = numpy(model.projection_head.project.kernel).copy()
    for step in range(3):
        train(model, make_views(seed=step))
        for part, vectors in vectors_of(model).items():
            np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)
            if step < 2:
                np.testing.assert_allclose(vectors, start[part], atol=1e-6)
            else:
                assert np.abs(vectors - start[part]).max() > 1e-3
        if step == 0:
            assert np.abs(numpy(model.projection_head.project.kernel) - head).max() > 1e-3


def test_by_default_no_prototype_is_frozen():
    model = make_framework("vswav")
    start = vectors_of(model)
    train(model, make_views())
    for part, vectors in vectors_of(model).items():
        assert np.abs(vectors - start[part]).max(axis=1).min() > 0


@pytest.mark.parametrize(("queue_steps", "first"), [(0, 2), (3, 3)])
def test_the_queue_balances_codes_once_it_is_full_and_old_enough(queue_steps, first):
    """Eight embeddings a step into 12 places; each step's loss by hand from what the steps before it left."""
    model = make_framework(
        "vswav", decoupling=None, queue_size=12, queue_steps=queue_steps, epsilon=0.3, iterations=4
    )
    history = []
    for step in range(5):
        batch = make_views(seed=step)
        clips = make_clips(batch)
        frames = in_training(model, lambda clips=clips: model(clips, training=True))
        embeddings = references.normalize(frames.mean(1).astype(np.float64))
        vectors = vectors_of(model)["base"]
        one, two = np.split(embeddings @ vectors.T, 2)
        rows = np.array(history[-12:]).reshape(-1, 6) @ vectors.T
        losses = {}
        for name, queue in (("alone", ()), ("queue", rows)):
            there = references.swapped_prediction(one, two, 0.5, 0.3, 4, queue).mean()
            back = references.swapped_prediction(two, one, 0.5, 0.3, 4, queue).mean()
            losses[name] = (there + back) / 2
        used = "queue" if step >= first else "alone"
        logged = train(model, batch)["loss"][0]
        assert logged == pytest.approx(losses[used], rel=1e-4), step
        if step >= 2:
            assert abs(losses["queue"] - losses["alone"]) > 1e-3  # so the other one is told apart
        history += list(embeddings)
        queue = model.queues["base"]
        filled = int(queue.filled)
        assert filled == min(12, len(history))
        np.testing.assert_allclose(
            numpy(queue.in_order())[12 - filled :], history[-filled:], atol=2e-5
        )


def test_each_part_has_a_queue_of_its_own_embeddings():
    model = make_framework("vswav", simple(base_weight=0.5), queue_size=8)
    batch = make_views()
    frames = in_training(model, lambda: model(make_clips(batch), training=True))
    static, dynamic = [numpy(part) for part in model.split(frames)]
    train(model, batch)
    parts = {"static": static, "dynamic": dynamic, "base": frames.mean(1)}
    assert set(model.queues) == set(parts)
    for part, embeddings in parts.items():
        rows = numpy(model.queues[part].in_order())
        np.testing.assert_allclose(rows, references.normalize(embeddings), atol=2e-5)


def test_no_queue_is_made_without_a_size():
    assert make_framework("vswav").queues == {}


def test_codes_of_the_models_scores_are_balanced():
    """With enough iterations rows sum to 1 and columns to B/K, also with a queue."""
    model = make_framework("vswav", decoupling=None, iterations=200)
    frames = numpy(model(make_clips(make_views(batch=10))))
    scores = numpy(model.clusters["base"](frames.mean(1)))
    codes = numpy(bod_keras.losses.sinkhorn(scores, model.epsilon, model.iterations))
    assert codes.shape == (20, 7)
    np.testing.assert_allclose(codes.sum(1), 1.0, atol=1e-5)
    np.testing.assert_allclose(codes.sum(0), 20 / 7, atol=1e-3)
    truth = references.sinkhorn(scores, 0.2, 200)
    np.testing.assert_allclose(codes, truth, atol=1e-4)
    assert np.ptp(codes, axis=0).max() > 0.05  # not uniform


def test_the_dynamic_part_is_told_from_its_prototypes_as_sharply_as_the_static_one():
    """Cosines with random vectors have the deviation 1 / sqrt(width): the temperature and epsilon follow it."""
    model = make_framework("vswav", temperature=0.2, epsilon=0.06)
    ratio = np.sqrt(model.parts["static"] / model.parts["dynamic"])
    assert ratio != 1
    settings = {part: (loss.temperature, loss.epsilon) for part, loss in model.contrast.items()}
    assert settings["static"] == (0.2, 0.06)
    np.testing.assert_allclose(settings["dynamic"], (0.2 * ratio, 0.06 * ratio), rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "parts"), [("vswav", {"static", "dynamic"}), ("vsimclr", {"static"})]
)
def test_the_parts_that_are_standardized(name, parts):
    model = make_framework(name, simple(standardize=True))
    clips = make_clips(make_views())
    seen, _ = model.split_views(model(clips), model.split, 2)
    found = {
        part for part, x in seen.items() if np.abs(numpy(x[0] + x[1]).mean(axis=0)).max() < 1e-5
    }
    assert found == parts
    for part in parts:
        deviations = numpy(keras.ops.concatenate(seen[part])).std(axis=0)
        assert deviations.max() == pytest.approx(1, abs=0.01)
