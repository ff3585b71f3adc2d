"""What comes from directories and servers is printed as lines that only look like what they are."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from click.testing import CliRunner

from botrix.cli import main
from botrix.cli.render import print_json, print_rows
from botrix.plain import escaped, plain
from tests.unit.test_log import HOSTILE

_JOB: dict[str, Any] = {
    "id": HOSTILE, "status": "completed", "priority": HOSTILE, "directory": HOSTILE, "count": 1,
    "created": 1, "existing": 0, "failed": 0, "cancelled": 0, "deleted": 0,
    "rows": [{"row": 2, "reason": HOSTILE}], "ignored_columns": [HOSTILE],
}  # fmt: skip
_ACCOUNT = dict.fromkeys(("id", "status", "username", "email", "display_name", "reason"), HOSTILE)
_NOTE = {
    "at": "2026-01-01T00:00:00.000Z", "what": HOSTILE, "account": HOSTILE, "attempt": 1,
    "session": HOSTILE, "worker": HOSTILE, "reason": HOSTILE, "detail": HOSTILE,
}  # fmt: skip
_WORKER = {"worker_id": HOSTILE, "status": HOSTILE, "current_job": HOSTILE}


class _Liar(BaseHTTPRequestHandler):
    """An API whose every text is hostile."""

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.partition("?")[0]
        status, said = _ANSWERS[path]
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        pass


_ANSWERS: dict[str, tuple[int, Any]] = {
    "/api/accounts/generate": (202, _JOB),
    "/api/jobs": (200, {"items": [_JOB], "next": None}),
    "/api/jobs/x": (404, {"detail": HOSTILE}),
    "/api/jobs/x/history": (200, {"items": [_NOTE], "next": None}),
    "/api/accounts": (200, {"items": [_ACCOUNT], "next": None}),
    "/api/workers": (200, {"items": [_WORKER]}),
    "/ready": (200, {"status": HOSTILE}),
}


@contextmanager
def _liar() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Liar) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize(
    "command",
    [
        ["generate", "--count", "1"], ["jobs"], ["jobs", "x"], ["accounts"], ["workers"],
        ["explain", "x"], ["health"],
    ],
)  # fmt: skip
def test_a_command_prints_lines(command: list[str], as_json: bool) -> None:
    with _liar() as url:
        asked = f"{url}/ready" if command == ["health"] else url
        result = CliRunner().invoke(
            main, [*command, "--url", asked, *(["--json"] if as_json else [])]
        )
    lines = result.output.removesuffix("\n").split("\n")
    assert len(lines) == (1 if as_json or command[-1] in {"x", "health"} else 2), result.output
    assert all(line.isprintable() for line in lines)
    assert "forged" in result.output
    assert not any(line.startswith("ERROR") for line in lines)


def test_a_table_and_json_of_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([{"a": HOSTILE}], ("a",), as_json=False)
    head, row = capsys.readouterr().out.splitlines()
    assert (head.strip(), row.strip().isprintable()) == ("a", True)
    print_json({"a": HOSTILE, "b": "Zoë 日本"})
    text = capsys.readouterr().out
    assert json.loads(text) == {"a": HOSTILE, "b": "Zoë 日本"}
    assert "Zoë 日本" in text


def test_dots_and_escapes() -> None:
    assert plain("Zoë\x1b[2J\u202e") == "Zoë·[2J·"
    assert escaped("Zoë\x1b[2J\u202e\U000e0001") == r"Zoë\u001b[2J\u202e\udb40\udc01"
    assert plain(HOSTILE).isprintable()
    assert escaped(HOSTILE).isprintable()
