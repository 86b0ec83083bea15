import doctest
import importlib

import pytest

MODULES = [
    *("augment", "catalog", "clips", "colour", "pipeline", "sprites", "store", "synthetic"),
    *("synthetic_files", "video"),
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    module = importlib.import_module(f"bod_keras.data.{name}")
    globs = {**vars(importlib.import_module("numpy")), **vars(module)}
    globs["np"] = importlib.import_module("numpy")
    result = doctest.testmod(module, extraglobs=globs)
    assert result.failed == 0
    assert result.attempted > 0 or name == "sprites"
