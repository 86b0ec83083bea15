"""What the wheel holds: every file that the commands need, and how it is described."""

import email
import subprocess
import sys
import zipfile

import pytest

from tests.tiers import slow
from tests.typed_commands import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built of what git knows of the checkout, by the setuptools that pyproject.toml asks for."""
    folder = tmp_path_factory.mktemp("wheel")
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    tar = subprocess.run(
        ["tar", "--null", "--files-from=-", "-c"], cwd=ROOT, input=names.stdout, capture_output=True
    )
    (folder / "source").mkdir()
    subprocess.run(["tar", "-x"], cwd=folder / "source", input=tar.stdout, check=True)
    command = "wheel --no-deps --disable-pip-version-check --quiet"
    subprocess.run(
        [sys.executable, "-m", "pip", *command.split(), f"--wheel-dir={folder}", "."],
        cwd=folder / "source",
        check=True,
    )
    (file,) = folder.glob("*.whl")
    with zipfile.ZipFile(file) as archive:
        yield archive


@slow
def test_every_file_of_the_package_is_in_it(wheel):
    names = set(wheel.namelist())
    for folder in ("bod_keras", "configs"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".py", ".html", ".typed"):
                inside = path.relative_to(ROOT).as_posix()
                assert (inside if folder == "bod_keras" else f"bod_keras/{inside}") in names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"bod_keras"}
    assert any(name.endswith("licenses/LICENSE") for name in names)


@slow
def test_its_description(wheel):
    (info,) = (n for n in wheel.namelist() if n.endswith("dist-info/METADATA"))
    described = email.message_from_bytes(wheel.read(info))
    assert described["License-Expression"] == "Apache-2.0" and described["Keywords"]
    assert "Typing :: Typed" in described.get_all("Classifier")
    assert {"tensorflow", "jax", "torch", "embed", "io"} <= set(described.get_all("Provides-Extra"))
    needed = [line for line in described.get_all("Requires-Dist") if "extra ==" not in line]
    assert not [
        line for line in needed if line.startswith(("tensorflow", "jax", "torch", "pyarrow"))
    ]
    (scripts,) = (n for n in wheel.namelist() if n.endswith("entry_points.txt"))
    assert "bod-keras = bod_keras.commands.console.main:main" in wheel.read(scripts).decode()
