"""`preset`: the defaults, the published form, and its use with a framework."""

import pytest

import bod_keras
from tests.tiny_models import make_views, train


def settings_of(arguments):
    config = arguments["decoupling"].get_config()
    del config["name"]
    return config


def test_the_default_preset():
    arguments = bod_keras.preset()
    expected = bod_keras.KoopmanSplit(ridge=0.1, halves=True)
    assert settings_of(arguments) == settings_of({"decoupling": expected})
    assert arguments["bilevel"] == bod_keras.BiLevel()
    assert arguments["standardize"]
    assert (arguments["dynamic_weight"], arguments["base_weight"]) == (0.5, 0.0)
    assert bod_keras.preset(framework="vmoco")["dynamic_weight"] == 0.5
    assert "dynamic_weight" not in bod_keras.preset(framework="VBYOL")
    assert arguments["motion_view"].threshold == 0.08


def test_the_published_form():
    arguments = bod_keras.preset("paper")
    split = arguments["decoupling"]
    assert (split.threshold, split.count, split.method, split.dynamic) == (0.1, None, "eig", "mean")
    assert split.projector_gradient
    assert (arguments["bilevel"].scope, arguments["bilevel"].prediction) == ("all", "in_sample")
    assert (arguments["dynamic_weight"], arguments["base_weight"]) == (1.0, 0.0)
    assert not split.halves and not arguments["standardize"] and arguments["motion_view"] is None


@pytest.mark.parametrize("name", ["default", "paper"])
def test_a_framework_trains_with_it_and_layers_are_not_shared(name):
    arguments = bod_keras.preset(name)
    assert arguments["decoupling"] is not bod_keras.preset(name)["decoupling"]
    encoder = bod_keras.encoders.FrameCNN((4, 8, 8, 3), widths=(4, 6))
    model = bod_keras.VSimCLR(encoder, projection_head=bod_keras.ProjectionHead(8, 6), **arguments)
    model.compile("sgd", run_eagerly=True)
    assert {"static_loss", "dynamic_loss", "prediction_loss"} < set(train(model, make_views()))


def test_another_name_is_refused():
    with pytest.raises(ValueError, match="must be one of default, paper. Received: 'ours'"):
        bod_keras.preset("ours")
