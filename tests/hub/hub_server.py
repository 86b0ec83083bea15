"""A hub on loopback: repositories that are made, committed to and read as the public one's are."""

import base64
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote


def _oid(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class HubServer:
    """What `huggingface_hub` asks of the hub to make, fill and read a repository of models.

    Attributes:
        address: for HF_ENDPOINT.
        files: from repository to the files of its commits, newest last: (commit, {name: bytes}).
        asked: method and path of every request.
    """

    def __init__(self):
        hub = self
        self.files, self.asked, self.private = {}, [], {}

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments):
                pass

            def answer(self, body=b"", status=200, **headers):
                body = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in {"content-length": len(body), **headers}.items():
                    self.send_header(name.replace("_", "-"), str(value))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def do_POST(self):
                path = unquote(self.path.split("?")[0])
                hub.asked.append(("POST", path))
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                if self.headers.get("authorization") != "Bearer hf_test":
                    return self.answer({"error": "Who are you?"}, 401)
                if path == "/api/repos/create":
                    asked = json.loads(body)
                    name = "/".join(filter(None, [asked.get("organization"), asked["name"]]))
                    hub.files.setdefault(name, [])
                    hub.private[name] = "private" in (
                        asked.get("visibility"),
                        asked.get("private") and "private",
                    )
                    return self.answer({"url": f"{hub.address}/{name}", "name": name})
                if path == "/api/validate-yaml":
                    return self.answer({"errors": [], "warnings": []})
                if found := re.fullmatch(r"/api/models/(.+?)/preupload/main", path):
                    names = [file["path"] for file in json.loads(body)["files"]]
                    modes = [
                        {"path": n, "uploadMode": "regular", "shouldIgnore": False} for n in names
                    ]
                    return self.answer({"files": modes})
                if found := re.fullmatch(r"/api/models/(.+?)/commit/main", path):
                    commits = hub.files[found[1]]
                    files = dict(commits[-1][1]) if commits else {}
                    for line in map(json.loads, body.splitlines()):
                        if line["key"] == "file":
                            value = line["value"]
                            files[value["path"]] = base64.b64decode(value["content"])
                    commit = hashlib.sha1(body).hexdigest()
                    commits.append((commit, files))
                    url = f"{hub.address}/{found[1]}/commit/{commit}"
                    return self.answer({"commitUrl": url, "commitOid": commit, "success": True})
                self.answer({"error": "no such thing"}, 404)

            def do_GET(self):
                path = unquote(self.path.split("?")[0])
                hub.asked.append((self.command, path))
                if found := re.fullmatch(r"/api/models/(.+?/.+?)(?:/revision/(.+))?", path):
                    if commit := hub.find(found[1], found[2]):
                        names = [{"rfilename": name} for name in commit[1]]
                        about = {"id": found[1], "modelId": found[1], "sha": commit[0]}
                        return self.answer({**about, "private": False, "siblings": names})
                if found := re.fullmatch(r"/api/models/(.+?/.+?)/tree/(.+)", path):
                    if commit := hub.find(found[1], found[2]):
                        files = commit[1].items()
                        return self.answer(
                            [
                                {"type": "file", "path": n, "size": len(b), "oid": _oid(b)}
                                for n, b in files
                            ]
                        )
                if found := re.fullmatch(r"/(.+?/.+?)/resolve/(.+?)/(.+)", path):
                    commit = hub.find(found[1], found[2])
                    if commit and found[3] in commit[1]:
                        body = commit[1][found[3]]
                        etag = f'"{_oid(body)}"'
                        return self.answer(body, etag=etag, x_repo_commit=commit[0])
                self.answer({"error": "Not found"}, 404, x_error_code="RepoNotFound")

            do_HEAD = do_GET  # noqa: N815

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def find(self, repository, revision):
        commits = self.files.get(repository, [])
        if revision in (None, "main"):
            return commits[-1] if commits else None
        return next((c for c in commits if c[0] == revision), None)

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
