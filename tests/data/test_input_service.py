"""Training clips from servers on loopback: those of this process, and each record once an epoch."""

import re
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from bod_keras.data import ClipDataset, Record, array_records

pytest.importorskip("tensorflow")
pytestmark = pytest.mark.xdist_group("input service")  # one process: they share the servers
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
    assert re.search("ValueError: .*(no sample from the input workers|workers failed)", errors), (
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
