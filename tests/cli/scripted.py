"""An API that says what a test has written down, one answer after another."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

JOB: dict[str, Any] = {
    "id": "j", "status": "running", "directory": "local", "count": 10, "stage": "create",
    "waits": None, "held": False, "plan": None,
    "created": 0, "existing": 0, "failed": 0, "cancelled": 0, "deleted": 0,
}  # fmt: skip


def job(**changed: Any) -> dict[str, Any]:
    return {**JOB, **changed}


def moved(created: int, status: str = "running") -> str:
    """An event, as the API sends it."""
    data = {"job_id": "j", "at": 1.0, **{k: JOB[k] for k in ("count", "existing", "failed")}}
    data |= {"cancelled": 0, "deleted": 0, "created": created, "status": status}
    return f"event: job\nid: 1-{created}\ndata: {json.dumps(data)}\n\n"


class Scripted:
    """`jobs`, `streams`: the answers of the two addresses, the last of each again and again. An
    answer is a document or a stream, or a number: an error of that status."""

    def __init__(self) -> None:
        self.jobs: list[Any] = []
        self.streams: list[Any] = [404]
        self.asked: dict[str, int] = defaultdict(int)
        self.queries: list[str] = []
        self.url = ""

    def answer(self, path: str) -> Any:
        name, _, query = path.partition("?")
        answers = self.streams if name.endswith("/events") else self.jobs
        self.queries.append(query)
        self.asked[name] += 1
        return answers.pop(0) if len(answers) > 1 else answers[0]


@contextmanager
def scripted() -> Iterator[Scripted]:
    script = Scripted()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            said = script.answer(self.path)
            if isinstance(said, int):
                self._send(said, {"detail": f"error {said}"})
            elif isinstance(said, str):
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                self.wfile.write(said.encode())
            else:
                self._send(200, said)

        def _send(self, status: int, said: Any) -> None:
            body = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            script.url = f"http://127.0.0.1:{server.server_port}"
            yield script
        finally:
            server.shutdown()
            thread.join()
