"""Who bears the key may ask, from anywhere; nobody else, but for probes."""

from __future__ import annotations

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Message

from botrix.api.app import serve
from botrix.api.body import Door
from botrix.errors import SettingsError
from botrix.settings import Settings

KEY = "btx_0011223344556677_secret"


async def _get(path: str, header: str | None) -> tuple[int, dict[bytes, bytes], bytes]:
    """Status, headers and body, of a door with nothing but `inside` behind it."""
    said: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        said.append(message)

    headers = [(b"host", b"botrix.example")]
    if header is not None:
        headers.append((b"authorization", header.encode()))
    scope = {"type": "http", "method": "GET", "path": path, "headers": headers}
    await Door(PlainTextResponse("inside"), key=KEY)(scope, receive, send)
    return said[0]["status"], dict(said[0]["headers"]), said[1]["body"]


@pytest.mark.parametrize("header", [f"Bearer {KEY}", f"bearer  {KEY}"])
async def test_the_key_opens(header: str) -> None:
    assert (await _get("/api/jobs", header))[2] == b"inside"


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", f"Bearer {KEY[:-1]}", f"Bearer {KEY}x", f"Basic {KEY}", KEY, "Bearer é"],
)
async def test_anything_else_does_not(header: str | None) -> None:
    for path in ("/api/jobs", "/openapi.json", "//live", "/live/"):
        status, headers, body = await _get(path, header)
        assert status == 401, path
        assert headers[b"www-authenticate"] == b"Bearer"
        assert KEY.encode() not in body


@pytest.mark.parametrize("path", ["/live", "/ready", "/health"])
async def test_probes_need_none(path: str) -> None:
    assert (await _get(path, None))[2] == b"inside"


def test_without_a_key_others_cannot_reach_it() -> None:
    for host in ("0.0.0.0", "192.0.2.1", "::"):
        with pytest.raises(SettingsError, match="BOTRIX_API_KEY_FILE"):
            serve(Settings.read({}, host=host))
    with pytest.raises(SettingsError, match="no address"):
        serve(Settings.read({}, host="every.where"))
