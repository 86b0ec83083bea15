"""Commands as they were typed for version 0.1."""

import pytest

from bod_keras.commands.command_help import describe_keys
from bod_keras.commands.retired_keys import _CHANGED, _GONE, _SAME, translate_retired
from bod_keras.configs import base
from bod_keras.flatten import flatten
from tests.tiers import slow
from tests.typed_commands import run_here

DEMO = "--config=configs/demo.py:bod,smoke"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (["--config.koopman.ridge=0.3"], "ridge=0.3"),
        (["--config.koopman.ridge", "0.3"], "ridge=0.3"),
        (["--config.bilevel.scope=all"], "bilevel.scope=all"),
        (["--config.framework.dynamic_weight=1.0"], "dynamic_weight=1.0"),
        (["--config.koopman.halves=False"], "heads=1"),
        (["--noconfig.koopman.halves"], "heads=1"),
        (["--config.koopman.halves"], "heads=2"),
        (["--config.koopman.dynamic=mean"], "read_out=mean"),
        (["--config.background_swap=0.0"], "motion_view="),
        (["--config.background_swap=0.1"], "swap_threshold=0.1"),
        (["--config.frame_shuffle=False"], "static_view="),
    ],
)
def test_what_a_present_key_says_is_translated(old, new):
    kept, told = translate_retired(["train.py", DEMO, *old, "--config.epochs=3"])
    assert kept == ["train.py", DEMO, f"--config.decoupling.{new}", "--config.epochs=3"]
    assert len(told) == 1 and new in told[0]


@pytest.mark.parametrize(
    "old",
    ["koopman.order=8", "koopman.dynamic=flat", "bilevel.inner_momentum=0.9", "clips.min_gap=3"],
)
def test_what_has_no_effect_is_named(old):
    kept, told = translate_retired(["train.py", f"--config.{old}"])
    assert kept == ["train.py"]
    assert told[0].startswith(f"--config.{old.partition('=')[0]} has no effect since 0.2.0: ")


def test_present_keys_stay_as_they_are():
    argv = ["train.py", "--config.decoupled=False", "--config.name=koopman.order", "--traceback"]
    assert translate_retired(argv) == (argv, [])


def test_no_retired_key_is_a_present_one_or_in_the_help():
    present = flatten(base.get_config().to_dict())
    retired = {*_SAME, *_CHANGED, *_GONE}
    assert not retired & present.keys()
    text = describe_keys(present, "")
    assert not [key for key in retired if f"--config.{key}" in text]
    fields = {f"decoupling.{key}" for _, key in _SAME.values()}
    assert {f for f in fields if "inner" not in f} - present.keys() <= {
        "decoupling.scope",
        "decoupling.prediction",
    }


@slow
def test_a_command_of_0_1_runs_on(tmp_path, capsys):
    settings = [f"--config.output={tmp_path}", f"--config.built_in.folder={tmp_path / 'data'}"]
    settings += ["--config.built_in.train=16", "--config.clips.batch_size=8", "--config.epochs=1"]
    old = ["--config.koopman.order=8", "--config.decoupled=False", "--config.koopman.ridge=0.2"]
    done = run_here(capsys, "train.py", DEMO, *settings, *old)
    assert done.returncode == 0, done.stderr
    assert "--config.koopman.order has no effect since 0.2.0" in done.stderr
    assert "--config.koopman.ridge is --config.decoupling.ridge=0.2 since 0.2.0" in done.stderr


def test_an_unknown_key_of_a_retired_group_is_refused(capsys):
    done = run_here(capsys, "train.py", DEMO, "--config.koopman.ordr=8")
    assert done.returncode == 1 and "koopman" in done.stderr
