"""Every public name has an example, and every example runs when pasted into an empty interpreter."""

import doctest
import importlib
import inspect
import pkgutil
import tempfile

import pytest

import bod_keras

MODULES = sorted(module.name for module in pkgutil.walk_packages(bod_keras.__path__, "bod_keras."))


# Modules that import nothing, and whose example does.
NEEDS = {"bod_keras.data.loading.torch_loader": "torch"}


@pytest.mark.parametrize("name", MODULES)
def test_examples_run_on_their_own(name, tmp_path, monkeypatch, eagerly):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # where examples leave what they write
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name.split(".")[0] not in ("jax", "tensorflow", "torch"):
            raise
        pytest.skip(f"{error.name} is for another backend, and not installed")
    # An example gets what it imports, and nothing of the module that it stands in.
    result = doctest.testmod(module, globs={"__name__": "__main__"})
    assert result.failed == 0


@pytest.mark.parametrize("name", [name for name in bod_keras.__all__ if name[0].isupper()])
def test_public_classes_have_an_example(name):
    assert ">>> " in inspect.getdoc(getattr(bod_keras, name))
