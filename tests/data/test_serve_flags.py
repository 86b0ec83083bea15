"""Flags of `serve` that make no sense end it with a line before a process is started."""

import pytest

from bod_keras.data.commands.serve import main


@pytest.mark.parametrize(
    "flags, said",
    [
        (["--workers=0"], "--workers must lie in 1 to 1024. Received: 0"),
        (["--workers=99999999", "--port=0"], "--workers must lie in 1 to 1024. Received: 99999999"),
        (["--workers=nan"], "invalid int value: 'nan'"),
        (["--port=-1"], "--port must be 0, or leave each worker a port up to 65535"),
        (["--port=65535", "--workers=2"], "Received: --port=65535 --workers=2"),
        (["--host=0.0.0.0"], "by which other machines reach this one"),
        (["--host=::1"], "name or IPv4 address"),
        (["--host=localhost:80"], "Received: 'localhost:80'"),
        (["--host=no such host"], "--host must be a name or address of this machine"),
        (["--host="], "--host must be a name or address of this machine"),
        (["--workers=2", "extra"], "unrecognized arguments: extra"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused_by_its_flag(flags, said, capsys):
    with pytest.raises(SystemExit) as ended:
        main(flags)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
