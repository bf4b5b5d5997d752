"""A hub on this machine that takes models: the requests of huggingface_hub that create a repository and a commit."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class FakeHub:
    """What the hub was sent: repositories with their settings, files by their names, tokens, paths of requests."""

    address: str = ""
    repositories: dict[str, Any] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    tokens: set[str | None] = field(default_factory=set)
    requests: list[str] = field(default_factory=list)
    refuses: bool = False


@contextmanager
def fake_hub() -> Iterator[FakeHub]:
    """Yield a hub that listens on loopback as long as the block lasts."""
    hub = FakeHub()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:
            body = self._body()
            hub.requests.append(self.path)
            hub.tokens.add(self.headers.get("Authorization"))
            if hub.refuses:
                return self._answer({"error": "You may not write here"}, 403)
            if self.path == "/api/repos/create":
                asked = json.loads(body)
                name = f"{asked.get('organization') or 'me'}/{asked['name']}"
                hub.repositories[name] = asked
                return self._answer({"url": f"{hub.address}/{name}", "id": name})
            if self.path == "/api/validate-yaml":
                return self._answer({"errors": [], "warnings": []})
            if "/preupload/" in self.path:
                files = json.loads(body)["files"]
                told = [{"path": one["path"], "uploadMode": "regular", "shouldIgnore": False} for one in files]
                return self._answer({"files": told})
            if "/commit/" in self.path:
                for line in map(json.loads, body.splitlines()):
                    if line["key"] == "file":
                        hub.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
                return self._answer(
                    {"success": True, "commitUrl": f"{hub.address}/me/x/commit/1", "commitOid": "1", "hookOutput": ""}
                )
            return self._answer({"error": f"unexpected {self.path}"}, 404)

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def _answer(self, value: object, status: int = 200) -> None:
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
