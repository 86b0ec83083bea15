"""A file's name with a line break stays on one line of every message."""

import types

import pytest

from bod_keras.commands import evaluate, pretrain
from bod_keras.data import Record
from bod_keras.evaluation.protocols.misuse import leaks
from bod_keras.storage.remote_error import RemoteError, without_secrets
from bod_keras.training import NotFiniteError, StopOnNonFinite

NAME = "two\nlines\r\x1b[2J.mp4"
SHOWN = r"two\nlines\r\x1b[2J.mp4"


def test_control_characters_are_escaped():
    assert without_secrets(NAME) == SHOWN
    assert without_secrets("a\u2028b\x85c") == r"a\u2028b\x85c"
    assert (
        without_secrets("Größe 漢字 \udce9.mp4") == "Größe 漢字 \udce9.mp4"
    )  # text, and a Latin-1 name
    assert str(RemoteError("s3://b/" + NAME, "gone")) == f"s3://b/{SHOWN}: gone"


@pytest.mark.parametrize("where", ["train", "evaluate"])
def test_skipped_files(where, capsys):
    skipped = {NAME: "the file is empty", "b.mp4": "no video"}
    if where == "train":
        pretrain.tell_skipped(skipped, 9)
    else:
        split = types.SimpleNamespace(skipped=skipped, records=range(9), name="test")
        evaluate.tell_skipped([split, None])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and lines[1] == f"  {SHOWN}: the file is empty"


def test_test_videos_that_were_seen():
    (said,) = leaks([Record(NAME)], [Record(NAME)], [], allow=True)
    assert SHOWN in said and "\n" not in said


def test_the_files_of_a_batch_that_is_not_finite():
    callback = StopOnNonFinite(lambda first, last: [NAME])
    counters = {"steps_taken": 3, "first_position": 0, "next_position": 1}
    model = types.SimpleNamespace(optimizer=types.SimpleNamespace(iterations=3), **counters)
    callback.set_model(model)
    with pytest.raises(NotFiniteError) as caught:
        callback.on_train_batch_end(0, {"loss": float("nan")})
    assert f"\n  {SHOWN}\n" in str(caught.value)
