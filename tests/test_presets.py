"""`preset`: the defaults, the published form, and its use with a framework."""

import pytest

import bod_keras
from tests.tiny_models import make_views, train


def settings_of(arguments):
    config = arguments["decoupling"].get_config()
    del config["name"]
    return config


def test_the_default_preset_is_the_defaults_of_the_classes():
    arguments = bod_keras.preset()
    assert set(arguments) == {"decoupling", "bilevel"}
    assert settings_of(arguments) == settings_of({"decoupling": bod_keras.KoopmanSplit()})
    assert arguments["bilevel"] == bod_keras.BiLevel()


def test_the_published_form():
    arguments = bod_keras.preset("paper")
    split = arguments["decoupling"]
    assert (split.threshold, split.count, split.method, split.dynamic) == (0.1, None, "eig", "mean")
    assert split.projector_gradient
    assert (arguments["bilevel"].scope, arguments["bilevel"].prediction) == ("all", "in_sample")
    assert arguments["base_weight"] == 0.0


@pytest.mark.parametrize("name", ["default", "paper"])
def test_a_framework_trains_with_it_and_layers_are_not_shared(name):
    arguments = bod_keras.preset(name)
    assert arguments["decoupling"] is not bod_keras.preset(name)["decoupling"]
    encoder = bod_keras.encoders.FrameCNN((4, 8, 8, 3), widths=(4, 6))
    model = bod_keras.VSimCLR(encoder, projection_head=bod_keras.ProjectionHead(8, 6), **arguments)
    model.compile("sgd", run_eagerly=True)
    assert ("base_loss" in train(model, make_views())) == (name == "default")


def test_another_name_is_refused():
    with pytest.raises(ValueError, match="must be one of default, paper. Received: 'ours'"):
        bod_keras.preset("ours")
