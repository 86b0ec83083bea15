"""Real servers on loopback: S3 (moto's server, a process of its own), http, and addresses that never answer."""

import contextlib
import functools
import http.server
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

SECRET = "tests-secret-cannot-be-found-anywhere"


class S3Server:
    """moto's server with the bucket "bucket"; `environment` is what a process needs to use it."""

    def __init__(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.environment = s3_environment(self.port)
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(300):
            with contextlib.suppress(urllib.error.URLError):
                self._request("PUT", "", b"")
                return
            assert self._process.poll() is None, "moto's server does not start"
            time.sleep(0.1)
        raise TimeoutError("moto's server does not answer")

    def put(self, key, data):
        self._request("PUT", f"/{urllib.parse.quote(key)}", data)

    def get(self, key):
        """The bytes of an object, None if there is none."""
        try:
            return self._request("GET", f"/{urllib.parse.quote(key)}")
        except urllib.error.HTTPError as error:
            assert error.code == 404
            return None

    def stop(self):
        self._process.terminate()
        self._process.wait(30)

    def _request(self, method, key, data=None):
        address = f"http://127.0.0.1:{self.port}/bucket{key}"
        # moto looks whether there is a signature, not at it; and it waits for the body of a form.
        headers = {
            "Authorization": "AWS4-HMAC-SHA256 Credential=testing/20260101/us-east-1/s3/aws4_request, "
            "SignedHeaders=host, Signature=0",
            "Content-Type": "application/octet-stream",
        }
        request = urllib.request.Request(address, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.read()


def s3_environment(port):
    """os.environ with credentials and endpoint; no other place is asked for any."""
    return {
        **os.environ,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "S3_ENDPOINT": f"http://127.0.0.1:{port}",
    }


@contextlib.contextmanager
def serve_folder(folder, ranges=True):
    """http.server over a folder: gives (address, list of requests). `ranges`: answers parts of files, too."""
    requests = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            requests.append((self.command, self.path, self.headers.get("Range")))

        def do_GET(self):
            wanted = self.headers.get("Range")
            path = self.translate_path(self.path)
            for status in (403, 500):
                if f"status{status}" in self.path:
                    return self.send_error(status)
            if not (ranges and wanted and os.path.isfile(path)):
                return super().do_GET()
            data = open(path, "rb").read()
            first, last = (int(n) for n in wanted.removeprefix("bytes=").split("-"))
            if first >= len(data):
                return self.send_error(416)
            self.send_response(206)
            self.send_header("Content-Length", str(len(data[first : last + 1])))
            self.end_headers()
            self.wfile.write(data[first : last + 1])

        def do_HEAD(self):
            for status in (403, 500):
                if f"status{status}" in self.path:
                    return self.send_error(status)
            super().do_HEAD()

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *_):  # a reader that has enough hangs up
            pass

    with Server(("127.0.0.1", 0), functools.partial(Handler, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", requests
        server.shutdown()


@contextlib.contextmanager
def silent_port():
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield server.getsockname()[1]


def closed_port():
    """A port that refuses connections."""
    with silent_port() as port:
        return port
