"""Training clips from servers on loopback: those of this process, and each record once an epoch."""

import json
import pathlib
import pickle
import re
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from bod_keras import UserError
from bod_keras.data import ClipDataset, Record, array_records, augmentation
from bod_keras.data.loading import specification as specification_module
from bod_keras.data.loading.input_service import answer
from bod_keras.data.loading.order import EpochOrder
from bod_keras.data.loading.reader import ClipReader
from bod_keras.data.loading.specification import Specification
from bod_keras.version import __version__
from tests.tiers import slow

pytest.importorskip("tensorflow")
pytestmark = [slow, pytest.mark.xdist_group("input service")]  # one process: they share the servers
OPTIONS = {"frames": 4, "size": 16, "batch_size": 2, "workers": 0, "max_bad_share": 0.5}


@pytest.fixture(scope="module")
def command():
    """The command, running, with two servers."""
    command = [sys.executable, "-m", "bod_keras.data", "serve", "--port=0", "--host=localhost"]
    process = subprocess.Popen(
        [*command, "--workers=2"],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process
    process.terminate()
    process.wait(timeout=60)


@pytest.fixture(scope="module")
def servers(command):
    """Their addresses, as the command prints them."""
    line = command.stdout.readline()
    addresses = re.fullmatch(r"--config.clips.service=(\S+)\n", line)[1]
    assert addresses.count("grpc://localhost:") == 2
    return addresses


@pytest.fixture(scope="module")
def records(videos, broken):
    return [Record(path) for path in (*videos, broken["text.mp4"][0])]


def collect(dataset, steps, position=0):
    batches = list(dataset.training(position, steps).as_numpy_iterator())
    return tuple(np.concatenate([b[key] for b in batches]) for key in ("views", "position"))


def test_the_stream_is_that_of_this_process(records, servers):
    """Three epochs of three batches, and what of it begins in the middle; a broken file drops out of both."""
    local = ClipDataset(records, **OPTIONS)
    remote = ClipDataset(records, **OPTIONS, service=servers)
    for position in (0, 7):
        for one, other in zip(collect(local, 9, position), collect(remote, 9, position)):
            np.testing.assert_array_equal(one, other)
    assert remote.skipped == local.skipped and len(remote.skipped) == 1


def test_each_of_two_hosts_gets_its_own_samples(records, servers):
    streams = []
    for host in (0, 1):
        options = {**OPTIONS, "shard": (host, 2)}
        local, remote = (
            ClipDataset(records, **options),
            ClipDataset(records, **options, service=servers),
        )
        for one, other in zip(collect(local, 4, 4), collect(remote, 4, 4)):
            np.testing.assert_array_equal(one, other)
        streams.append(set(collect(remote, 4, 4)[1].tolist()))
    assert not streams[0] & streams[1]


def test_each_record_comes_once_an_epoch(records, servers):
    dataset = ClipDataset(records[:6], **OPTIONS, service=servers)
    _, positions = collect(dataset, steps=6)
    assert positions.tolist() == list(range(12))
    for epoch in (positions[:6], positions[6:]):
        shown = Counter(path for position in epoch for path in dataset.files(position, position))
        assert shown == Counter(record.path for record in records[:6])


def test_what_cannot_be_is_refused(records, servers):
    with pytest.raises(ValueError, match="grpc://HOST:PORT.* Received: input1:5050"):
        ClipDataset(records, **OPTIONS, service=f"{servers},input1:5050")
    with pytest.raises(ValueError, match="which servers do not have"):
        ClipDataset(
            array_records(np.zeros((4, 8, 16, 16, 3), np.uint8)), **OPTIONS, service=servers
        )
    with socket.socket() as taken:  # a port that nobody listens on
        taken.bind(("localhost", 0))
        address = f"grpc://localhost:{taken.getsockname()[1]}"
        dataset = ClipDataset(records, **OPTIONS, service=address)
        with pytest.raises(ValueError, match=f"no input worker answers at {address}.*serve --port"):
            next(dataset.training_numpy())


class Hostile:
    """Unpickled, it makes a file."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return pathlib.Path.touch, (self.marker,)


def specification(records=None):
    records = records or [Record("a"), Record("\udcff", span=(0.1, 1 / 3))]
    augment = augmentation("cvrl", 16)
    reader = ClipReader(4, 2, 1, augment, augmentation("none", 16), 0.5)
    order = EpochOrder(len(records), 1, 7, (1, 2))
    return Specification(records, order, reader, 2, (2, 4, 16, 16, 3))


def test_a_specification_comes_through_as_it_was():
    spec = specification()
    found = Specification.from_json(spec.to_json())
    assert (found.records, found.reader) == (spec.records, spec.reader)
    assert (found.views, found.shape) == (spec.views, spec.shape)
    assert [found.order.locate(g) for g in range(20)] == [spec.order.locate(g) for g in range(20)]
    assert found.order.position(1) == spec.order.position(1)


def test_a_list_that_names_a_video_twice_comes_through_in_its_order():
    spec = specification([Record(f"{i % 8}") for i in range(16)])
    order = EpochOrder(16, 4, videos=[*range(8)] * 2)
    spec = Specification(spec.records, order, spec.reader, 2, spec.shape)
    found = Specification.from_json(spec.to_json())
    assert [found.order.locate(g) for g in range(64)] == [spec.order.locate(g) for g in range(64)]


def test_a_payload_that_would_run_code_is_refused(tmp_path):
    marker = tmp_path / "was here"
    payload = pickle.dumps(Hostile(marker))
    with pytest.raises(UserError, match="no specification of clips to read"):
        answer(payload, -1)
    assert not marker.exists()
    pickle.loads(payload)
    assert marker.exists()  # it would have


@pytest.mark.parametrize(
    "change, message",
    [
        ({"program": "0.0"}, r"has bod_keras 0\S+ .code \w{8}., its run has 0.0. Install"),
        ({"program": None, "version": "0.1.0"}, "its run has 0.1.0. Install the same"),
        ({"program": f"{__version__} (code 12345678)"}, "its run has .* .code 12345678."),
        ({"reader": {}}, "no specification"),
        ({"reader": {"class": "os.system"}}, "no specification"),
        ({"order": {"records": 1, "batch_size": 2}}, "no specification.*batch_size must be"),
        ({"shape": "large"}, "no specification"),
    ],
)
def test_a_wrong_specification_is_refused(change, message):
    sent = {**json.loads(specification().to_json()), **change}
    with pytest.raises(UserError, match=message):
        answer(json.dumps(sent).encode(), -1)
    for sent in (b"", b"[]", b"3", b"{}"):
        with pytest.raises(UserError, match="no specification"):
            answer(sent, -1)


def test_a_server_runs_no_code_that_is_sent_to_it(records, servers, tmp_path, monkeypatch):
    marker = tmp_path / "was here"
    monkeypatch.setattr(Specification, "to_json", lambda self: pickle.dumps(Hostile(marker)))
    stream = ClipDataset(records, **OPTIONS, service=servers).training_numpy()
    with pytest.raises(UserError, match="input workers failed.*no specification"):
        next(stream)
    assert not marker.exists()
    monkeypatch.undo()  # and it keeps serving
    assert collect(ClipDataset(records, **OPTIONS, service=servers), 2)[1].size == 4


def test_a_run_with_other_code_than_its_servers_is_told_both_in_one_line(
    records, servers, monkeypatch
):
    monkeypatch.setattr(specification_module, "program", lambda: "0.9 (code 0123abcd)")
    stream = ClipDataset(records, **OPTIONS, service=servers).training_numpy()
    with pytest.raises(UserError) as told:
        next(stream)
    assert re.fullmatch(
        r"the input workers failed: an input worker has bod_keras \S+ .code \w{8}., its run has 0.9 "
        r".code 0123abcd.. Install the same on both, and start the worker again",
        str(told.value),
    )


def test_a_stream_whose_servers_end_stops(records, servers, command):
    """And so does its process, with the message. The last test: it kills the command, so the servers."""
    code = (
        "import sys; from bod_keras.data import ClipDataset, Record; "
        "records = [Record(path) for path in sys.argv[2:]]; "
        f"stream = ClipDataset(records, **{OPTIONS}, timeout=5.0, service=sys.argv[1]).training_numpy(); "
        "[print(next(stream) and 'batch', flush=True) for _ in range(100_000)]"
    )
    reader = subprocess.Popen(
        [sys.executable, "-c", code, servers, *[record.path for record in records[:6]]],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert reader.stdout.readline() == "batch\n"
    command.kill()  # its workers end with it
    command.wait()
    _, errors = reader.communicate(timeout=120)
    assert reader.returncode == 1
    assert re.search("UserError: .*(no sample from the input workers|workers failed)", errors), (
        errors
    )
    for port in re.findall(r":(\d+)", servers):
        wait_until_nobody_listens(int(port))


def wait_until_nobody_listens(port):
    for _ in range(300):
        try:
            socket.create_connection(("localhost", port), timeout=1).close()
        except ConnectionRefusedError:
            return
        time.sleep(0.1)
    raise AssertionError(f"after half a minute something still listens on port {port}")
