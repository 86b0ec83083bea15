"""Attentive probes: a PyTorch and a NumPy twin, a grid that trains as each probe alone, and the protocol."""

import csv
import functools
import signal
from pathlib import Path

import keras
import numpy as np
import pytest

import bod_keras
from bod_keras.evaluation.finetuning import (
    AttentiveClassifier,
    TrainingStoppedError,
    token_model,
)
from bod_keras.evaluation.probes.attentive_probe import AttentiveProbe
from bod_keras.evaluation.protocols import (
    Subject,
    change_protocol,
    read_protocol,
    result_tables,
    run_protocol,
)
from bod_keras.training import load_model, steps_taken
from bod_keras.training.grid_adamw import GridAdamW
from tests.evaluation.test_finetuning import make_split
from tests.outputs import check_output
from tests.tiers import slow
from tests.tiny_models import make_framework, numpy, weights_of

FOLDER = Path(__file__).parents[2] / "configs" / "protocols"


def make_probe(width=12, **settings):
    """A probe whose every weight is random."""
    probe = AttentiveProbe(**{"classes": 5, "copies": 2, "blocks": 3, "heads": 5, **settings})
    probe.build((None, 7, width))
    rng = np.random.default_rng(0)
    for weight in probe.weights:
        weight.assign(rng.normal(size=weight.shape, scale=0.4))
    return probe


def of_copy(probe, copy):
    """Name -> weights of one of the copies."""
    return {w.path.rpartition("/")[2]: numpy(w)[copy] for w in probe.weights}


def slow_probe(weights, x, heads, blocks):
    """One sample (N, K), one head, one query at a time, in float64."""
    erf = np.vectorize(__import__("math").erf)
    x = x.astype("float64")

    def linear(name, v):
        return v @ weights[name].astype("float64") + weights[f"{name}_bias"]

    def norm(name, v):
        v = (v - v.mean(-1, keepdims=True)) / np.sqrt(v.var(-1, keepdims=True) + 1e-5)
        return v * weights[f"{name}_scale"] + weights[f"{name}_shift"]

    def mlp(name, v):
        h = linear(f"{name}_hidden", norm(f"{name}_hidden", v))
        return linear(f"{name}_output", h * (1 + erf(h / np.sqrt(2))) / 2)

    def attend(q, k, v):
        out, size = np.zeros_like(q), q.shape[1] // heads
        for head in range(heads):
            own = slice(head * size, (head + 1) * size)
            for row in range(len(q)):
                score = np.exp(k[:, own] @ q[row, own] / np.sqrt(size))
                out[row, own] = (score / score.sum()) @ v[:, own]
        return out

    if "entry" in weights:
        x = linear("entry", x)
    for block in range(1, blocks):
        name = f"block{block}"
        qkv = np.split(linear(f"{name}_attention", norm(f"{name}_attention", x)), 3, axis=-1)
        x = x + linear(f"{name}_projection", attend(*qkv))
        x = x + mlp(name, x)
    query = weights["query"][None].astype("float64")
    keys, values = np.split(linear("pool_key_value", norm("pool_key_value", x)), 2, axis=-1)
    y = attend(linear("pool_query", query), keys, values)
    if blocks:
        y = query + y
        return linear("head", y + mlp("pool", y))[0]
    return linear("head", linear("pool_projection", y))[0]


@pytest.mark.parametrize(("blocks", "most_width"), [(3, 0), (0, 8), (1, 0)])
def test_every_copy_is_what_loops_give(blocks, most_width):
    probe = make_probe(blocks=blocks, most_width=most_width)
    x = np.random.default_rng(1).normal(size=(3, 7, 12)).astype("float32")
    found = numpy(probe(x))
    assert found.shape == (2, 3, 5)
    # Of at most 5 heads, 4 divide 12 and 8.
    truth = [[slow_probe(of_copy(probe, g), clip, 4, blocks) for clip in x] for g in (0, 1)]
    np.testing.assert_allclose(found, truth, rtol=1e-4, atol=1e-4)


def torch_twin(weights, heads, blocks, width, classes):
    """V-JEPA 2's attentive classifier, or a pooling layer, of PyTorch's own modules."""
    torch = pytest.importorskip("torch")
    nn = torch.nn

    def linear(name, scale=slice(None)):
        kernel = weights[name][:, scale]
        layer = nn.Linear(*kernel.shape)
        layer.weight.data = torch.tensor(kernel.T)
        layer.bias.data = torch.tensor(weights[f"{name}_bias"][scale])
        return layer

    def norm(name):
        layer = nn.LayerNorm(width)
        layer.weight.data = torch.tensor(weights[f"{name}_scale"])
        layer.bias.data = torch.tensor(weights[f"{name}_shift"])
        return layer

    def mlp(name):
        return nn.Sequential(
            norm(f"{name}_hidden"), linear(f"{name}_hidden"), nn.GELU(), linear(f"{name}_output")
        )

    def attention(qkv, projection):
        layer = nn.MultiheadAttention(width, heads, batch_first=True)
        layer.in_proj_weight.data = torch.cat([part.weight for part in qkv]).detach()
        layer.in_proj_bias.data = torch.cat([part.bias for part in qkv]).detach()
        layer.out_proj = projection
        return layer

    def forward(x):
        x = torch.tensor(x)
        for block in range(1, blocks):
            name = f"block{block}"
            normed = norm(f"{name}_attention")(x)
            layer = attention([linear(f"{name}_attention")], linear(f"{name}_projection"))
            x = x + layer(normed, normed, normed)[0]
            x = x + mlp(name)(x)
        query = torch.tensor(weights["query"]).expand(len(x), 1, width)
        normed = norm("pool_key_value")(x)
        straight = nn.Linear(width, width)
        straight.weight.data, straight.bias.data = torch.eye(width), torch.zeros(width)
        projection = straight if blocks else linear("pool_projection")
        y = attention([linear("pool_query"), linear("pool_key_value")], projection)(
            query, normed, normed
        )[0]
        if blocks:
            y = query + y
            y = y + mlp("pool")(y)
        return linear("head")(y)[:, 0].detach().numpy()

    return forward


@pytest.mark.parametrize("blocks", [4, 0])
def test_a_copy_is_its_torch_twin(blocks):
    probe = make_probe(width=32, blocks=blocks, heads=16)
    x = np.random.default_rng(1).normal(size=(3, 7, 32)).astype("float32")
    for copy, found in enumerate(numpy(probe(x))):
        twin = torch_twin(of_copy(probe, copy), 16, blocks, 32, 5)
        np.testing.assert_allclose(found, twin(x), atol=1e-4, rtol=1e-4)


def test_the_steps_of_a_grid_are_pytorchs_adamw():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    start, steps = rng.normal(size=(2, 3, 4)), rng.normal(size=(5, 2, 3, 4))
    rates, decays = (0.01, 0.002), (0.1, 0.8)
    weight = keras.Variable(start)
    optimizer = GridAdamW(1.0, rates, decays)
    for step in steps:
        optimizer.apply([keras.ops.convert_to_tensor(step.astype("float32"))], [weight])
    for g in (0, 1):
        twin = torch.nn.Parameter(torch.tensor(start[g]))
        adamw = torch.optim.AdamW([twin], lr=rates[g], weight_decay=decays[g])
        for step in steps:
            twin.grad = torch.tensor(step[g])
            adamw.step()
        np.testing.assert_allclose(numpy(weight)[g], twin.detach().numpy(), atol=1e-5)


def test_a_decay_by_hand():
    weight = keras.Variable([[2.0], [2.0], [2.0]])
    grid = GridAdamW(0.5, (0.2, 0.2, 0.1), (0.0, 1.0, 0.0))
    grid.apply([keras.ops.convert_to_tensor([[1.0], [-3.0], [5.0]])], [weight])
    # The first step of Adam is the rate itself; half of each rate and decay.
    np.testing.assert_allclose(numpy(weight)[:, 0], [1.9, 1.8 + 0.1, 1.95], atol=1e-5)
    again = GridAdamW.from_config(grid.get_config())
    assert again.rates == [0.2, 0.2, 0.1] and again.decays == [0.0, 1.0, 0.0]
    with pytest.raises(bod_keras.UserError, match=r"decays as many.*Received: rates=\[0.1\]"):
        GridAdamW(rates=(0.1,), decays=())


def test_wrong_numbers_are_named():
    with pytest.raises(bod_keras.UserError, match="heads must be at least 1. Received: 0"):
        AttentiveProbe(3, heads=0)


def make_tokens():
    keras.utils.set_random_seed(0)
    return token_model(make_framework("vsimclr"), 4)


def test_tokens_of_segments_side_by_side_and_crops_apart():
    """A query that sees one segment twice answers as if it saw it once; crops are samples of their own."""
    tokens = make_tokens()
    model = AttentiveClassifier(tokens, 3, (1e-3,), (0.0,), blocks=1, heads=2)
    assert model.parts == ["frames", "static", "dynamic"]
    views = np.random.default_rng(0).random((2, 1, 4, 8, 8, 3), "float32")
    other = views[::-1]
    both = np.concatenate(
        [views, other, views, other], axis=1
    )  # segment, crop: (0,0) (0,1) (1,0) (1,1)
    logits = numpy(model({"views": both}))
    assert logits.shape == (2, 2, 3, 1, 3)
    twice = numpy(model({"views": np.concatenate([views, views], axis=1)}))
    np.testing.assert_allclose(logits[:, 0], twice[:, 0], atol=1e-5)
    np.testing.assert_allclose(logits[:, 1], twice[::-1, 0], atol=1e-5)
    assert np.abs(logits[:, 0] - logits[:, 1]).max() > 1e-4
    shares, index = model.probabilities([{"views": both, "index": np.array([4, 2])}])
    e = np.exp(logits)
    truth = (e / e.sum(-1, keepdims=True)).mean(1)
    np.testing.assert_allclose(shares, np.moveaxis(truth, 0, 2), atol=1e-6)
    assert index.tolist() == [4, 2]


def one_step(rates, decays, weights, views, labels):
    model = AttentiveClassifier(make_tokens(), 3, rates, decays, blocks=1, heads=2)
    for weight, values in zip(model.trainable_variables, weights, strict=True):
        weight.assign(values)
    model.compile(run_eagerly=True)
    loss = model.train_on_batch(
        {"views": views, "position": np.arange(4, dtype="int32")}, np.array(labels)
    )
    return float(np.ravel(loss)[0]), [numpy(w) for w in model.trainable_variables], model


def test_probes_of_a_grid_learn_as_each_alone_and_the_model_stays():
    rates, decays = (1e-2, 3e-3), (0.1, 0.5)
    views = np.random.default_rng(0).random((4, 2, 4, 8, 8, 3), "float32")
    start = AttentiveClassifier(make_tokens(), 3, rates, decays, blocks=1, heads=2)
    rng = np.random.default_rng(1)
    weights = [rng.normal(size=w.shape, scale=0.3) for w in start.trainable_variables]
    loss, together, model = one_step(rates, decays, weights, views, [0, 1, 2, 0])
    losses = []
    for g in (0, 1):
        own = [w[g : g + 1] for w in weights]
        alone, found, _ = one_step(rates[g : g + 1], decays[g : g + 1], own, views, [0, 1, 2, 0])
        losses.append(alone)
        for one, all_of_them in zip(found, together, strict=True):
            np.testing.assert_allclose(one[0], all_of_them[g], atol=1e-4)
    assert loss == pytest.approx(sum(losses), rel=1e-4)
    for one, other in zip(weights_of(make_tokens()), weights_of(model.tokens), strict=True):
        np.testing.assert_array_equal(one, other)


@functools.cache
def shared_model():
    """One: names of layers are a part of what a training is filed under."""
    return make_framework("vsimclr")


def attentive(folder, *changes, name="attentive", seed=0):
    subject = Subject(shared_model(), {}, make_split("train"), make_split("test"), folder, seed)
    small = ["epochs=2", "batch_size=4", "blocks=1", "heads=2", "crops=1"]
    small += ["rates=(0.01,1e-7)", "decays=(0.01,)"]
    protocol = change_protocol(read_protocol(name, FOLDER), [*small, *changes])
    return run_protocol(subject, protocol)


@slow
@pytest.mark.parametrize("name", ["attentive", "attentive-pooling"])
def test_the_protocol_reads_what_is_there_and_is_then_read_from_its_file(
    tmp_path, capsys, name, eagerly
):
    """Bright and dark videos are told apart, odd and even numbers cannot be."""
    changes = ["epochs=8"] if name == "attentive" else ["epochs=8", "blocks=0", "label=bright"]
    before = weights_of(shared_model())
    found = attentive(tmp_path, *changes, name=name)
    for one, other in zip(before, weights_of(shared_model()), strict=True):
        np.testing.assert_array_equal(one, other)
    columns = ["bright", "odd"] if name == "attentive" else ["bright"]
    assert list(found["factors"]) == columns and found["warnings"] == []
    bright = found["factors"]["bright"]
    assert list(bright) == ["frames", "static", "dynamic", "chance"]
    assert bright["frames"]["top1"] == 1.0 and bright["frames"]["learning_rate"] == 0.01
    for column in columns[1:]:
        assert found["factors"][column]["frames"]["top1"] < 0.9
    for file in found["files"]:
        check_output(tmp_path / file)
    with open(next(f for f in map(tmp_path.joinpath, found["files"]) if f.name == "grid.csv")) as f:
        rows = list(csv.reader(f))
    assert rows[0] == ["learning_rate", "weight_decay", "frames", "static", "dynamic"]
    assert [row[:2] for row in rows[1:]] == [["0.01", "0.01"], ["1e-07", "0.01"]]
    table = result_tables([("run", [found])], "attentive")
    assert "learning_rate" in table and "frames" in table
    capsys.readouterr()
    assert attentive(tmp_path, *changes, name=name) == found
    assert capsys.readouterr().out.count("Trained before") == len(columns)
    folder, *_ = tmp_path.glob("training-*")
    assert isinstance(load_model(folder / "classifier.keras"), AttentiveClassifier)


@slow
def test_a_training_that_is_stopped_goes_on_to_the_same_weights(tmp_path, monkeypatch, eagerly):
    changes = ["label=bright", "epochs=3"]
    whole = attentive(tmp_path / "whole", *changes)

    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if steps_taken(self.model) == 3:
                signal.raise_signal(signal.SIGTERM)

    fit = AttentiveClassifier.fit
    monkeypatch.setattr(
        AttentiveClassifier,
        "fit",
        lambda self, *a, callbacks, **k: fit(self, *a, callbacks=[*callbacks, Stop()], **k),
    )
    with pytest.raises(TrainingStoppedError):
        attentive(tmp_path / "cut", *changes)
    monkeypatch.setattr(AttentiveClassifier, "fit", fit)
    again = attentive(tmp_path / "cut", *changes)
    assert again == whole
    files = [next((tmp_path / place).glob("training-*/result.npz")) for place in ("whole", "cut")]
    one, other = (np.load(file)["probabilities"] for file in files)
    np.testing.assert_array_equal(one, other)


def test_a_choice_on_test_is_told_and_a_wrong_column_is_named(tmp_path):
    with pytest.raises(bod_keras.UserError, match="no label column 'size' in common.*bright, odd"):
        attentive(tmp_path, "label=size")
    for change, message in (
        ("checkpoint=last", "checkpoint of the protocol attentive must be"),
        ("rates=()", "rates of the protocol attentive must hold a number or more"),
        ("crops=2", "crops of the protocol attentive must be 1 or 3. Received: 2"),
        ("epochs=0", "epochs of the protocol attentive must be at least 1"),
    ):
        with pytest.raises(bod_keras.UserError, match=message):
            attentive(tmp_path, change)
