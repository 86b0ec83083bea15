"""`make notebooks`: what cannot be run is told in a line, and a run of nothing is no success."""

import pytest

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("nbclient")

from tools import notebooks  # noqa: E402 - it needs both


def write(path, *sources, backend="tensorflow"):
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    metadata = {"bod_keras": {"backend": backend}} if backend else {}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)
    return str(path)


def ends(*arguments):
    with pytest.raises(SystemExit) as ended:
        notebooks.main([*arguments])
    return ended.value.code


def test_what_is_no_notebook_is_told(tmp_path):
    assert "cannot be read: No such file" in ends(str(tmp_path / "none.ipynb"))
    (tmp_path / "text.ipynb").write_bytes(b"\xff no JSON")
    assert "is no notebook" in ends(str(tmp_path / "text.ipynb"))
    (tmp_path / "other.ipynb").write_text("{}")
    assert "other.ipynb is no notebook" in ends(str(tmp_path / "other.ipynb"))
    assert "names no backend" in ends(write(tmp_path / "plain.ipynb", backend=None))
    jax = write(tmp_path / "jax.ipynb", backend="jax")
    assert "no notebook of the backend torch" in ends("--backend=torch", jax)
    assert ends("--backend=caffe", jax) == 2


def test_a_terminal_is_shown_as_it_ends():
    text = (
        "one\r\n\x1b[1mtwo\x1b[0m\n 50%|##   | 1/2 [00:01<00:01]\rdone\n\n\n\n/x/work/a.png in /x\n"
    )
    assert notebooks.shown(text, "/x") == "one\ntwo\ndone\n\na.png in /tmp\n"


@pytest.mark.slow
def test_outputs_are_stored_and_an_error_or_a_dead_kernel_is_not(tmp_path, capsys):
    good = write(tmp_path / "good.ipynb", "print(6 * 7)")
    assert not ends("--write", good)
    assert nbformat.read(good, 4).cells[0].outputs[0].text == "42\n"
    dead = write(tmp_path / "dead.ipynb", "import os; os._exit(1)")
    wrong = write(tmp_path / "wrong.ipynb", "1 / 0")
    before = open(wrong).read()
    assert ends("--write", dead, wrong) and open(wrong).read() == before
    told = capsys.readouterr().err
    assert "dead.ipynb: " in told and "ZeroDivisionError" in told
