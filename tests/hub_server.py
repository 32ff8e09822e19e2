"""A hub on loopback: the requests that huggingface_hub makes to fetch a file and to push a few."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

TOKEN = "hf_writer"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """Repositories in memory: `user/name` to file names to contents.

    Attributes:
        gated: repositories whose conditions nobody has accepted.
        private: of those that were made, what was asked for.
        requests: methods and paths of all that was asked.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.gated: set[str] = set()
        self.visibility: dict[str, str | None] = {}
        self.requests: list[str] = []
        self.commits: list[str] = []
        self.large: dict[str, bytes] = {}
        """Files of git LFS by hash, before the commit that names them."""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def running_hub() -> Iterator[Hub]:
    """A hub that answers until the block ends."""
    hub = Hub()
    thread = Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._file()

    def do_GET(self) -> None:
        self._file()

    def do_PUT(self) -> None:
        content = self._content()
        self.server.large[self.path.rpartition("/")[2]] = content
        self._answer(200)

    def do_POST(self) -> None:
        content = self._content()
        if self.path == "/api/validate-yaml":
            return self._answer(200, {"errors": [], "warnings": []})
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._answer(401, {"error": "Invalid username or password."})
        if self.path == "/api/repos/create":
            return self._create(json.loads(content))
        repo_id = re.search(r"/(?:api/models/)?([\w.-]+/[\w-]+)", self.path)[1]
        if "/preupload/" in self.path:
            return self._answer(200, {"files": [_mode(f) for f in json.loads(content)["files"]]})
        if self.path.endswith("/info/lfs/objects/batch"):
            objects = [self._upload(one) for one in json.loads(content)["objects"]]
            return self._answer(200, {"transfer": "basic", "objects": objects})
        return self._commit(repo_id, [json.loads(line) for line in content.splitlines()])

    def _create(self, asked: dict[str, Any]) -> None:
        repo_id = f"{asked['organization']}/{asked['name']}"
        url = {"url": f"{self.server.address}/{repo_id}"}
        if repo_id in self.server.repositories:
            return self._answer(409, url | {"error": "You already created this model repo"})
        self.server.repositories[repo_id] = {}
        self.server.visibility[repo_id] = asked.get("visibility")
        return self._answer(200, url)

    def _upload(self, wanted: dict[str, Any]) -> dict[str, Any]:
        href = f"{self.server.address}/lfs/{wanted['oid']}"
        return wanted | {"authenticated": True, "actions": {"upload": {"href": href}}}

    def _commit(self, repo_id: str, lines: list[dict[str, Any]]) -> None:
        files = self.server.repositories[repo_id]
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                self.server.commits.append(value["summary"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.server.large[value["oid"]]
            else:
                files[value["path"]] = base64.b64decode(value["content"])
        address = f"{self.server.address}/{repo_id}/commit/{COMMIT}"
        self._answer(200, {"commitUrl": address, "commitOid": COMMIT})

    def _file(self) -> None:
        self._note()
        repo_id = self.path.removeprefix("/api/models/")
        if repo_id in self.server.repositories:
            private = self.server.visibility.get(repo_id) == "private"
            return self._answer(200, {"id": repo_id, "private": private})
        if self.path.startswith("/api/"):  # looked up where a repository may not be made
            return self._answer(401, {"error": "Repository not found"}, error="RepoNotFound")
        found = re.fullmatch(r"/([\w.-]+/[\w.-]+)/resolve/([\w.-]+)/([\w.-]+)", self.path)
        repo_id, revision, name = found.groups()
        files = self.server.repositories.get(repo_id)
        if repo_id in self.server.gated:
            return self._answer(403, error="GatedRepo")
        if files is None:
            return self._answer(401, error="RepoNotFound")
        if revision not in ("main", COMMIT):
            return self._answer(404, error="RevisionNotFound")
        if name not in files:
            return self._answer(404, error="EntryNotFound")
        return self._answer(200, files[name])

    def _note(self) -> None:
        self.server.requests.append(f"{self.command} {self.path}")

    def _content(self) -> bytes:
        self._note()
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _answer(self, status: int, body: Any = b"", error: str | None = None) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        if not isinstance(body, bytes):
            self.send_header("Content-Type", "application/json")
        if error is not None:
            self.send_header("X-Error-Code", error)
            self.send_header("X-Error-Message", error)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _mode(file: dict[str, Any]) -> dict[str, Any]:
    large = not file["path"].endswith(".md")
    return {
        "path": file["path"],
        "uploadMode": "lfs" if large else "regular",
        "shouldIgnore": False,
    }
