"""The Python of README, pages and notebooks: it parses, names what exists; pages run on small data.

`make notebooks` runs the notebooks.
"""

import ast
import importlib
import inspect
import json
import re

import numpy as np
import pytest

from tests.small_run import FRAMES, SIZE, write_run, write_video
from tests.tiers import slow
from tests.typed_commands import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = {
    path.name: blocks
    for path in PAGES
    if (blocks := re.findall(r"^```python\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL))
}
NOTEBOOKS = {path.name: path for path in sorted((ROOT / "docs/notebooks").glob("*.ipynb"))}


def code_cells(path):
    return [c for c in json.loads(path.read_text())["cells"] if c["cell_type"] == "code"]


for name, path in NOTEBOOKS.items():  # without the lines that are commands
    sources = ["".join(cell["source"]) for cell in code_cells(path)]
    BLOCKS[name] = [
        "\n".join(re.sub(r"^!.*", "", source, flags=re.MULTILINE) for source in sources)
    ]
CLIPS = (FRAMES, SIZE, SIZE, 3)  # of the small run


def resolve(name):
    """The object of a dotted name."""
    found, _, rest = name.partition(".")
    thing = importlib.import_module(found)
    for part in filter(None, rest.split(".")):
        if inspect.ismodule(thing) and not hasattr(thing, part):
            importlib.import_module(f"{thing.__name__}.{part}")
        thing = getattr(thing, part)
    return thing


def imported_names(tree):
    """From a name in the block to what of the package it stands for."""
    names = {"bod_keras": "bod_keras"}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bod_keras"):
            names |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    return names


def unknown(page):
    """What the page names of the package and the package lacks: names, and arguments by name."""
    for block in BLOCKS[page]:
        tree = ast.parse(block)
        names = imported_names(tree)
        for name in names.values():
            resolve(name)
        for node in ast.walk(tree):
            function = node.func if isinstance(node, ast.Call) else node
            if not isinstance(function, ast.Attribute | ast.Name):
                continue
            first, dot, rest = ast.unparse(function).partition(".")
            if first not in names or not re.fullmatch(r"[\w.]*", rest):
                continue
            try:
                thing = resolve(names[first] + dot + rest)
            except (AttributeError, ImportError):
                yield ast.unparse(function)
                continue
            if isinstance(node, ast.Call):
                keywords = {k.arg: None for k in node.keywords if k.arg}
                try:
                    inspect.signature(thing).bind_partial(*node.args, **keywords)
                except TypeError as error:
                    yield f"{ast.unparse(function)}: {error}"


@pytest.mark.parametrize("page", BLOCKS)
def test_a_page_names_what_exists(page):
    pytest.importorskip("pyarrow")  # bod_keras.embed
    assert list(unknown(page)) == []


def test_what_does_not_exist_is_found(monkeypatch):
    code = "import bod_keras\nbod_keras.VMoKo(1)\nbod_keras.Decoupling(rigde=0.1)\n"
    monkeypatch.setitem(BLOCKS, "page", [code])
    found = [line.split(":")[0] for line in unknown("page")]
    assert set(found) == {"bod_keras.VMoKo", "bod_keras.Decoupling"}


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_has_its_outputs(name):
    outputs = [output for cell in code_cells(NOTEBOOKS[name]) for output in cell["outputs"]]
    assert len(outputs) > 3
    assert all(output["output_type"] != "error" for output in outputs)
    assert NOTEBOOKS[name].stat().st_size < 400_000
    assert "/tmp/" not in json.dumps(outputs)


def texts_of_the_package():
    """All its strings; of an f-string the constant pieces."""
    for path in (ROOT / "bod_keras").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_troubleshooting_quotes_real_errors():
    page = (ROOT / "docs/troubleshooting.md").read_text().split("## Error text")[1]
    quoted = re.findall(r"^\| `(.+?)`", page, re.MULTILINE)
    pieces = {p.strip() for text in quoted for p in re.split(r"\.\.\.|\b(?:N|M|NAME)\b", text)}
    texts = "\n".join(texts_of_the_package())
    assert len(pieces) > 30
    assert [piece for piece in sorted(pieces) if piece not in texts] == []


def names_for_pages():
    """What the pages take for granted, and what stands for what is large or elsewhere."""
    import keras

    import bod_keras

    rng = np.random.default_rng(0)
    views = rng.integers(0, 256, (8, 2, *CLIPS), np.uint8)
    encoder = bod_keras.encoders.FrameCNN(CLIPS, widths=(4, 8))
    model = bod_keras.VSimCLR(encoder, decoupling=True)
    model.compile("adam")
    frames = keras.ops.convert_to_tensor(rng.random((4, 7, 32), np.float32))
    return {
        "bod_keras": bod_keras,
        "keras": keras,
        "np": np,
        "views": views,
        "model": model,
        "my_encoder": encoder,
        "clips": views[:, 0],
        "train_clips": views[:, 0],
        "test_clips": views[:, 1],
        "train_labels": np.arange(8) % 2,
        "test_labels": np.arange(8) % 2,
        "frames_a": frames,
        "frames_b": frames,
        "position": 0,
    }


# Sizes that a test can afford.
SMALLER = {
    "R3D18(input_shape=(16, 112, 112, 3))": f"FrameCNN({CLIPS}, widths=(4, 8))",
    "FrameCNN((10, 32, 32, 3))": f"FrameCNN({CLIPS}, widths=(4, 8))",
    "frames=16, size=112, batch_size=64": "frames=4, size=16, batch_size=4, workers=0",
    "batch_size=64, epochs=10": "batch_size=4, epochs=1",
    "shuffle(1000).batch(64": "shuffle(1000).batch(4",
    "epochs=10": "epochs=1",
    '    ...  # batch["views"];': '    break  # batch["views"];',
    "runs/demo-bod-seed0": "RUN",
    "runs/videos-seed0": "RUN",
    "/path/to/videos": "videos",
    '"query.mp4"': '"videos/0.avi"',
    '"walk.mp4"': '"videos/0.avi"',
}
RUNNING = [
    *("README.md", "first_run.md", "index.md", "video.md"),
    *("howto_data.md", "howto_embed.md", "howto_online.md", "howto_own_parts.md", "howto_split.md"),
]


@slow
@pytest.mark.parametrize("page", RUNNING)
def test_a_page_runs(page, tmp_path, monkeypatch, eagerly):
    pytest.importorskip("pyarrow")
    if page == "howto_data.md":
        tensorflow = pytest.importorskip("tensorflow")
        pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    names = names_for_pages()
    names["model"].encoder.save(write_run(tmp_path / "RUN") / "encoder.keras")
    for i in range(8):
        write_video(tmp_path / "videos" / f"{i}.avi", i)
    if page == "howto_data.md":
        names["tf"] = tensorflow
    for block in BLOCKS[page]:
        for large, small in SMALLER.items():
            block = block.replace(large, small)
        exec(compile(block, page, "exec"), names)
