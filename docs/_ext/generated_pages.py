"""Pages that are written from the code: the API from docstrings, the commands and their keys from `--help`.

Nothing of the package that needs Keras is imported: docstrings and signatures are read from the syntax tree.
"""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "bod_keras"
FOLDER = ROOT / "docs" / "generated"

# Page: its title, and where its names are exported: (prefix, file with __all__, or names).
PAGES = {
    "frameworks": ("Frameworks", [("bod_keras", "frameworks/__init__.py")]),
    "decoupling": (
        "Split and decoupling",
        [
            ("bod_keras", ["Decoupling", "BiLevel", "BiLevelModel", "UserError"]),
            ("bod_keras", ["KoopmanSplit", "OperatorReadOut", "TimeMean"]),
            ("bod_keras.koopman", "koopman/__init__.py"),
        ],
    ),
    "losses": ("Losses", [("bod_keras", "losses/__init__.py")]),
    "views": ("Views", [("bod_keras", "views/__init__.py")]),
    "encoders": ("Encoders", [("bod_keras.encoders", "encoders/__init__.py")]),
    "data": ("Data", [("bod_keras.data", "data/__init__.py")]),
    "library": (
        "Embed and search",
        [("bod_keras", ["embed", "search"]), ("bod_keras.library", "library/__init__.py")],
    ),
    "weights": (
        "Load and export",
        [
            ("bod_keras", ["load", "load_encoder"]),
            ("bod_keras.weights", "weights/__init__.py"),
            ("bod_keras.hub", "hub/__init__.py"),
        ],
    ),
    "training": ("Training", [("bod_keras.training", "training/__init__.py")]),
    "evaluation": (
        "Evaluation",
        [
            ("bod_keras.evaluation", "evaluation/__init__.py"),
            ("bod_keras.evaluation.finetuning", "evaluation/finetuning/__init__.py"),
        ],
    ),
    "trackers": ("Trackers", [("bod_keras.trackers", "trackers/__init__.py")]),
    "detection": ("Action detection", [("bod_keras.detection", "detection/__init__.py")]),
}
# Two things of one name: the module of the public one.
PREFERRED = {"load_encoder": "weights", "probe": "data/video", "sensitivity": "evaluation"}
SECTION = re.compile(r"^([A-Z][a-z]+(?: [a-z]+)?):$")
LISTS = {"Args", "Raises", "Call arguments", "Attributes"}
COMMANDS = ["init", "train", "evaluate", "compare", "embed", "search", "explore", "export"]


def exported(file):
    """The names of a room's `__all__`, in the order of the file; those that register themselves, too."""
    tree = ast.parse((PACKAGE / file).read_text())
    texts = [
        node.value
        for statement in tree.body
        if isinstance(statement, ast.Assign)
        and ast.unparse(statement.targets[0]) in ("__all__", "_NAMES", "_MODULES")
        for node in ast.walk(statement.value)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    names = {name: None for name in texts if name.isidentifier()}
    if file.startswith("frameworks/"):
        for path in sorted((PACKAGE / "frameworks").glob("v*.py")):
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    names.setdefault(node.name)
    return list(names)


def constants():
    """From the name of a module's constant to its value, where all modules agree."""
    values = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Assign):
                pairs = [(node.targets[0], node.value)]
                if isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple):
                    pairs = zip(node.targets[0].elts, node.value.elts)
                for target, value in pairs:
                    if isinstance(target, ast.Name) and isinstance(value, ast.Constant):
                        values.setdefault(target.id, set()).add(value.value)
    return {name: found.pop() for name, found in values.items() if len(found) == 1}


class Values(ast.NodeTransformer):
    """Defaults as values: constants by name, and what a dataclass makes anew for each object."""

    known = constants()

    def visit_Name(self, node):  # noqa: N802
        return ast.Constant(self.known[node.id]) if node.id in self.known else node

    def visit_Call(self, node):  # noqa: N802
        factory = [k.value for k in node.keywords if k.arg == "default_factory"]
        return ast.Call(factory[0], [], []) if factory else self.generic_visit(node)


def defined():
    """From a public name to the places that define it: (file, node)."""
    places = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if "configs" in path.parts:
            continue
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                places.setdefault(node.name, []).append((path, node))
    return places


def place(name, file, places):
    """The node that a room exports under this name, or None: a constant, a module."""
    found = places.get(name, [])
    room = PREFERRED.get(name, file.split("/")[0] if isinstance(file, str) else "")
    inside = [node for path, node in found if str(path.relative_to(PACKAGE)).startswith(room)]
    return (inside or [node for _, node in found] or [None])[0]


def signature(node, places):
    """The arguments of a function, or of what makes an object of a class."""
    if isinstance(node, ast.FunctionDef):
        Values().visit(node.args)
        arguments = ast.unparse(node.args)
        returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
        return re.sub(r"^(self|cls)(, )?(/, )?", "", arguments), returns
    if any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list):
        fields = [f for f in node.body if isinstance(f, ast.AnnAssign)]
        for field in fields:
            field.value = field.value and Values().visit(field.value)
        return ", ".join(ast.unparse(f).replace(" = ", "=") for f in fields), ""
    for base in [node, *(b for name in node.bases for b in bases(name, places))]:
        for method in base.body:
            if isinstance(method, ast.FunctionDef) and method.name == "__init__":
                return signature(method, places)
    return "", ""


def bases(name, places):
    """The classes of the package behind a base, from the nearest on."""
    for _, node in places.get(ast.unparse(name).rpartition(".")[2], [])[:1]:
        if isinstance(node, ast.ClassDef):
            yield node
            for further in node.bases:
                yield from bases(further, places)


def to_markdown(docstring, links):
    """A docstring in Keras' style as Markdown."""
    lines, out, section, block = docstring.splitlines(), [], None, []

    def flush():
        text = "\n".join(block).strip("\n")
        block.clear()
        if not text.strip():
            return
        if section is None:
            out.append(prose(text, links))
            return
        out.extend(["", f"**{section}**", ""])
        text = "\n".join(line[4:] for line in text.splitlines())
        if section.startswith("Example"):
            kind = "pycon" if ">>>" in text else "python"
            out.extend([f"```{kind}", text, "```"])
        elif section in LISTS:
            for item in re.split(r"\n(?=\S)", text):
                head, colon, rest = " ".join(item.split()).partition(": ")
                name = ", ".join(f"`{part.strip('`')}`" for part in head.split(", "))
                out.append(
                    f"- {name}: {prose(rest, links)}" if colon else f"- {prose(head, links)}"
                )
        else:
            out.append(prose(text, links))

    for line in lines:
        if found := SECTION.match(line):
            flush()
            section = found.group(1)
        else:
            block.append(line)
    flush()
    return "\n".join(out)


def prose(text, links):
    """Text with its names linked; what is indented stays a block of code."""
    blocks = re.split(r"((?:^    .*(?:\n|$))+)", text, flags=re.MULTILINE)
    blocks[::2] = [linked(block, links) for block in blocks[::2]]
    return "".join(blocks)


def linked(text, links):
    """Text without blocks of code; signs that Markdown knows, and docstrings do not, are escaped."""
    parts = re.split(r"(``.+?``|`[^`]+`)", text, flags=re.DOTALL)
    for i, part in enumerate(parts):
        name = part.strip("`")
        if i % 2 == 0:
            parts[i] = re.sub(r"([<|]|(?<!^)\*|\*(?! ))", r"\\\1", part, flags=re.MULTILINE)
        elif name in links and not part.startswith("``"):
            parts[i] = f"{{py:obj}}`{name} <{links[name]}>`"
    return "".join(parts)


def describe(name, node, places, links, depth=6):
    """A class or function as a directive, with the public methods of a class."""
    fence = ":" * depth
    arguments, returns = signature(node, places)
    is_class = isinstance(node, ast.ClassDef)
    decorators = {ast.unparse(d).split("(")[0] for d in node.decorator_list}
    kind = "class" if is_class else "function" if depth == 6 else "method"
    call = f"({arguments}){returns}"
    if "property" in decorators:
        kind, call = "property", ""
    options = [f":{word}:" for word in ("classmethod", "staticmethod") if word in decorators]
    lines = [f"{fence}{{py:{kind}}} {name}{call}", *options, ""]
    lines.append(to_markdown(ast.get_docstring(node) or "", links))
    if is_class:
        for method in node.body:
            public = isinstance(method, ast.FunctionDef) and not method.name.startswith("_")
            if public and ast.get_docstring(method):
                lines += ["", describe(method.name, method, places, links, depth - 1)]
    return "\n".join([*lines, fence])


def write_api():
    places, links, chosen = defined(), {}, {}
    for page, (_, rooms) in PAGES.items():
        for prefix, file in rooms:
            for name in exported(file) if isinstance(file, str) else file:
                node = place(name, file, places)
                if node is not None and name not in links:
                    links[name] = f"{prefix}.{name}"
                    chosen.setdefault(page, []).append((links[name], node))
    for page, (title, rooms) in PAGES.items():
        text = [f"# {title}", ""]
        text += [f"From the docstrings of `{'`, `'.join(dict.fromkeys(p for p, _ in rooms))}`.", ""]
        for name, node in chosen[page]:
            short = name.removeprefix("bod_keras.").rpartition(".")[2]
            text += [f"## {short}", "", describe(name, node, places, links), ""]
        (FOLDER / f"api_{page}.md").write_text("\n".join(text))


def help_of(command):
    """What `bod-keras COMMAND --help` prints."""
    code = f"from bod_keras.commands.console.main import main; main(['{command}', '--help'])"
    environment = {"BOD_KERAS_READER": "1", "COLUMNS": "100", "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"bod-keras {command} --help failed:\n{done.stderr}")
    return done.stdout.strip()


def write_commands():
    helps = {command: help_of(command) for command in COMMANDS}
    train, _, keys = helps["train"].partition("\n\nKeys of the config")
    evaluate, _, protocols = helps["evaluate"].partition("\n\nProtocols, as in")
    helps["train"], helps["evaluate"] = train, evaluate
    for command in ("verify", "shards", "serve"):  # whose --help imports PyAV
        tree = ast.parse((PACKAGE / f"data/commands/{command}.py").read_text())
        helps[command] = ast.get_docstring(tree)
    text = ["# Commands", "", "What `bod-keras COMMAND --help` prints.", ""]
    for command, said in helps.items():
        text += [f"## bod-keras {command}", "", "```text", said, "```", ""]
    (FOLDER / "commands.md").write_text("\n".join(text))
    pages = {
        "config_keys": ("Config keys", f"Keys of the config{keys}"),
        "protocols": ("Protocols", f"Protocols, as in{protocols}"),
    }
    for page, (title, said) in pages.items():
        intro = f"Printed by `bod-keras {'train' if page == 'config_keys' else 'evaluate'} --help`."
        (FOLDER / f"{page}.md").write_text(f"# {title}\n\n{intro}\n\n```text\n{said}\n```\n")


def write_pages(app):
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    write_api()
    write_commands()


def setup(app):
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True}
