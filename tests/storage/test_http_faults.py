"""A web server that drops connections, lies about lengths or sends other bytes: never in silence."""

import contextlib
import re
import socket
import threading

import pytest

from bod_keras.data import read_source
from bod_keras.storage import remote
from bod_keras.storage.remote_error import RemoteError
from bod_keras.storage.remote_file import RemoteFile

DATA = "".join(f"video{i:05d}.mp4 {i % 3}\n" for i in range(1000)).encode()


@contextlib.contextmanager
def server(answer):
    """Serve every request by ``answer(method, start, end, number)``, then hang up; gives the address."""
    listener = socket.create_server(("127.0.0.1", 0))
    requests = []

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                head = b""
                while b"\r\n\r\n" not in head and (more := connection.recv(4096)):
                    head += more
                if not head:
                    continue
                requests.append(head.decode())
                span = re.search(rb"Range: bytes=(\d+)-(\d+)", head)
                start, end = (int(span[1]), int(span[2]) + 1) if span else (0, len(DATA))
                reply = answer(head.split()[0].decode(), start, min(end, len(DATA)), len(requests))
                with contextlib.suppress(OSError):
                    connection.sendall(reply)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/list.txt", requests
    finally:
        listener.close()


def headers(length, status="200 OK", **more):
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {length}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in more.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def part(start, end, of=None):
    """The head of a sound answer to a request of a range."""
    of = len(DATA) if of is None else of
    return headers(
        end - start, "206 Partial Content", Content_Range=f"bytes {start}-{end - 1}/{of}"
    )


def whole(method, start, end, number):
    if method == "HEAD":
        return headers(len(DATA))
    return part(start, end) + DATA[start:end]


def short(method, start, end, number):
    return whole(method, start, end, number)[: 400 if method == "GET" else None]


def short_without_ranges(method, start, end, number):
    return headers(len(DATA)) + (DATA[:100] if method == "GET" else b"")


def less_than_asked(method, start, end, number):
    if method == "HEAD":
        return headers(len(DATA))
    return part(start, start + 100) + DATA[start : start + 100]


def other_bytes(method, start, end, number):
    if method == "HEAD":
        return headers(len(DATA))
    return part(start + 7, end) + DATA[start + 7 : end]


def endless(method, start, end, number):
    if method == "HEAD":
        return headers(2**62)
    return part(start, end, of=2**62) + DATA[start:end]


def reset(method, start, end, number):
    return b"" if method == "GET" else headers(len(DATA))


def no_number(method, start, end, number):
    return headers("many")


FAULTS = [short, short_without_ranges, less_than_asked, other_bytes, endless, reset, no_number]


@pytest.mark.parametrize("fault", FAULTS)
def test_what_breaks_off_is_an_error(fault, tmp_path):
    with server(fault) as (url, _):
        for read in (remote.read_bytes, read_source, lambda u: remote.download(u, tmp_path / "a")):
            with pytest.raises(RemoteError, match="list.txt"):
                read(url)
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("fault", [f for f in FAULTS if f not in (endless, no_number)])
def test_a_stream_does_not_take_it_for_the_end_and_does_not_keep_it(fault):
    broken = [True]

    def answer(method, *rest):
        return (fault if broken[0] else whole)(method, *rest)

    with server(answer) as (url, _):
        file = RemoteFile(url)
        assert file.read() == b"" and file.error is not None
        broken[0] = False
        assert RemoteFile(url).read() == DATA  # it is good again


@pytest.mark.parametrize("fault", [short, short_without_ranges, reset])
def test_one_connection_that_breaks_off_is_made_again(fault):
    def answer(method, start, end, number):
        return (fault if number in (2, 3) else whole)(method, start, end, number)

    with server(answer) as (url, requests):
        assert remote.read_bytes(url) == DATA
        assert len(requests) == 4


def test_a_sound_server_is_read_whole():
    with server(whole) as (url, requests):
        assert remote.read_bytes(url) == DATA and len(requests) == 2
        assert remote.read_range(url, len(DATA) - 5, 100) == DATA[-5:]


@pytest.mark.parametrize("ending", ["\r\nX-Evil: 1", "\n", "\x00", "\t"])
def test_line_ends_never_reach_a_header(ending):
    with server(whole) as (url, requests):
        for bad in (f"{url}{ending}", url.replace("list", f"li{ending}st"), f"{url}?a={ending}"):
            with pytest.raises(RemoteError, match="control characters"):
                remote.read_bytes(bad)
        assert not requests


@pytest.mark.parametrize("more", [2**16, 2**17, -1])
def test_a_port_that_does_not_exist_is_not_another_one(more):
    """The system's resolver takes port 65536 + n for n."""
    with server(whole) as (url, requests):
        port = int(url.split(":")[2].split("/")[0])
        wrong = url.replace(f":{port}/", f":{port + more if more > 0 else more}/")
        with pytest.raises(RemoteError, match="cannot be understood: Port"):
            remote.read_bytes(wrong)
        assert not requests

        def elsewhere(method, *rest):
            return headers(0, "302 Found", Location=wrong)

        with server(elsewhere) as (other, _), pytest.raises(RemoteError, match="Port"):
            remote.read_bytes(other)
        assert not requests


@pytest.mark.parametrize(
    "url",
    ["http://[::1/a.mp4", "http://:80/a.mp4", "http:///a.mp4", "http://h:0/a", "http://h:x/a"],
)
def test_addresses_that_cannot_be_are_one_line(url):
    with pytest.raises(RemoteError, match="the address cannot be understood|with a host"):
        remote.size(url)
