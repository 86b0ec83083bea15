"""Protocols by name and path, and what --set may change."""

from pathlib import Path

import pytest

from bod_keras.evaluation.protocols import change_protocol, read_protocol

FOLDER = Path(__file__).parents[2] / "configs" / "protocols"


def test_a_name_is_written_with_dashes_or_underscores():
    for name in ("retrieval-coclr", "retrieval_coclr"):
        protocol = read_protocol(name, FOLDER)
        assert protocol.name == "retrieval-coclr" and not protocol.modified.to_dict()


def test_changes_are_remembered_with_what_the_file_says():
    before = read_protocol("knn", FOLDER)
    after = change_protocol(before, ["k=5", "temperature=0.07", "parts=('static',)"])
    assert (after.k, after.parts, before.k) == (5, ("static",), 20)
    assert after.modified.to_dict() == {"k": [20, 5], "parts": [(), ("static",)]}
    twice = change_protocol(after, ["k=7"])
    assert twice.modified.k == [20, 7]
    assert "k" not in change_protocol(after, ["k=20"]).modified


def test_a_choice_that_is_open_takes_a_value_and_none():
    protocol = change_protocol(read_protocol("linear", FOLDER), ["frames=8", "per_class=None"])
    assert protocol.frames == 8 and protocol.modified.frames == [None, 8]


@pytest.mark.parametrize(
    "change, expected",
    [
        (
            "kk=5",
            "--set: a key of the protocol knn must be one of .*k.* Received: 'kk'. Did you mean k?",
        ),
        ("modified=1", "must be one of crops, .*Received: 'modified'"),
        ("version=2", "Received: 'version'"),
        ("k", "KEY=VALUE, such as --set=k=5. Received: 'k'"),
        ("k=many", "k of the protocol knn is 20; --set=k=many gives a value of another type"),
        ("temperature=warm", "temperature of the protocol knn is 0.07; --set=temperature=warm"),
        ("k.x=5", "Received: 'k.x'"),
    ],
)
def test_a_change_that_cannot_be(change, expected):
    with pytest.raises(ValueError, match=expected):
        change_protocol(read_protocol("knn", FOLDER), [change])


def test_protocols_that_are_not_there(tmp_path):
    with pytest.raises(ValueError, match="Received: 'retreival'.* Did you mean retrieval?"):
        read_protocol("retreival", FOLDER)
    with pytest.raises(ValueError, match="There is no protocol file nowhere.py"):
        read_protocol("nowhere.py", FOLDER)
    file = tmp_path / "mine.py"
    file.write_text(
        "from ml_collections import ConfigDict\ndef get_config(): return ConfigDict({'name': 'a'})\n"
    )
    with pytest.raises(ValueError, match="mine.py describes no protocol: .*no version, kind"):
        read_protocol(str(file), FOLDER)
