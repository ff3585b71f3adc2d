"""What a problem tells, and what it leaves to the log."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.types import Message

from botrix.api.app import create_app
from botrix.errors import BotrixError, LedgerDown, LedgerError, LineDown, OutcomeUnknown
from botrix.ledger.migrate import upgrade
from botrix.log import JsonLines
from botrix.settings import Settings

_INSIDE = (
    "SELECT sealed FROM accounts WHERE id = 'x' /srv/botrix/ledger.db"
    " postgresql://botrix:hunter2@db.internal/botrix Traceback"
)
_TELLTALE = re.compile(
    r"SELECT|sealed FROM|Traceback|File \"|\.py|/srv|hunter2|db\.internal|RuntimeError|Error:"
)


@pytest_asyncio.fixture
async def app(folder: Path) -> AsyncIterator[FastAPI]:
    """In this process, so that its ledger can be made to fail; on a line that is not there."""
    settings = Settings.read({}, data=folder)
    await asyncio.to_thread(upgrade, settings.ledger_url)
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        yield app


class _Answer:
    """Collects what the app sends."""

    def __init__(self) -> None:
        self.status, self.headers, self.text = 0, Headers(), ""

    async def take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], Headers(raw=message["headers"])
        else:
            self.text += message.get("body", b"").decode()

    @property
    def said(self) -> Any:
        return json.loads(self.text)


async def _ask(app: FastAPI, path: str, method: str = "GET", host: str = "localhost") -> _Answer:
    """As uvicorn asks it: what the app raises was answered before."""
    path, _, query = path.partition("?")
    scope = {
        "type": "http", "method": method, "path": path, "query_string": query.encode(),
        "headers": [(b"host", host.encode())], "client": ("127.0.0.1", 1), "app": app,
    }  # fmt: skip

    async def nothing() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    answer = _Answer()
    with suppress(RuntimeError):
        await app(scope, nothing, answer.take)
    return answer


def _fail(app: FastAPI, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    async def failing(*_: Any) -> None:
        raise error

    monkeypatch.setattr(app.state.here.queries, "job_stats", failing)


async def test_what_nobody_expected_is_told_to_the_log_alone(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _fail(app, RuntimeError(_INSIDE), monkeypatch)
    answer = await _ask(app, "/api/jobs/stats")
    assert answer.status == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert not _TELLTALE.search(answer.text), answer.text
    (line,) = [r for r in caplog.records if r.name == "botrix.api.problems"]
    said = json.loads(JsonLines().format(line))
    assert said["instance"] == answer.said["instance"]
    assert (said["level"], said["path"]) == ("error", "/api/jobs/stats")
    assert said["error"] == f"RuntimeError: {_INSIDE}"


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (LedgerDown(_INSIDE), 503, "try again"),
        (LedgerDown(f"the ledger {_INSIDE} is not ready; run: botrix migrate"), 503, "migrate"),
        (OutcomeUnknown(_INSIDE), 503, "Idempotency-Key"),
        (LineDown(_INSIDE), 503, "line"),
        (LedgerError(_INSIDE), 500, "log"),
        (BotrixError(_INSIDE), 500, "log"),
    ],
)
async def test_so_is_what_a_store_says(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    error: BotrixError, status: int, told: str,
) -> None:  # fmt: skip
    _fail(app, error, monkeypatch)
    answer = await _ask(app, "/api/jobs/stats")
    assert (answer.status, answer.said["status"]) == (status, status)
    assert told in answer.said["detail"]
    assert not _TELLTALE.search(answer.text), answer.text
    (line,) = [r for r in caplog.records if r.name == "botrix.api.problems"]
    assert vars(line)["instance"] == answer.said["instance"]
    assert (line.levelno, str(error) in line.getMessage()) == (logging.WARNING, True)


async def test_a_line_that_is_down_does_not_tell_where_it_would_be(
    app: FastAPI, folder: Path
) -> None:
    for path, status in (
        ("/ready", 503),
        ("/health", 200),
        ("/api/line", 200),
        ("/api/workers", 200),
    ):
        answer = await _ask(app, path)
        assert answer.status == status
        assert str(folder) not in answer.text, path
        assert "sock" not in answer.text, path


async def test_a_ledger_that_is_gone_does_not_tell_where_it_was(app: FastAPI, folder: Path) -> None:
    for file in Path(folder).glob("ledger*"):  # noqa: ASYNC240
        file.unlink()
    answer = await _ask(app, "/ready")
    assert answer.status == 503
    assert str(folder) not in answer.text


async def test_a_method_that_is_not_allowed_names_those_that_are(app: FastAPI) -> None:
    answer = await _ask(app, "/api/jobs", "DELETE")
    assert (answer.status, answer.headers["allow"]) == (405, "GET")
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/api/jobs", "/live", "/nowhere", "/api/jobs?limit=0"])
@pytest.mark.parametrize("host", ["localhost", "evil.example"])
async def test_no_answer_is_kept_on_its_way(app: FastAPI, path: str, host: str) -> None:
    answer = await _ask(app, path, host=host)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
