"""Reading what is asked, and saying what is answered."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from botrix.creators.simulated_server.quirks import Quirks
from botrix.creators.simulated_server.store import Entry, shown

_LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
_ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
_EQUALS = re.compile(r'(?:userName|displayName) eq ("(?:[^"\\]|\\.)*")')

Said = tuple[int, dict[str, Any]]
"""A status and a body."""


async def read_object(request: web.Request) -> dict[str, Any]:
    """The body; empty where it is none."""
    try:
        read = json.loads(await request.read())
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def error(status: int, detail: str, kind: str = "") -> web.Response:
    """The refusal, as an answer."""
    return answer(refusal(status, detail, kind))


def refusal(status: int, detail: str, kind: str = "") -> Said:
    """As RFC 7644, 3.12 has it; kind: the scimType."""
    body = {"schemas": [_ERROR], "status": str(status), "detail": detail}
    return status, {**body, "scimType": kind} if kind else body


def answer(said: Said) -> web.Response:
    """With an ETag where it has a version."""
    status, body = said
    if not body:
        return web.Response(status=status)
    version = body.get("meta", {}).get("version")
    headers = {"ETag": version} if version else None
    return web.json_response(body, status=status, headers=headers)


def named(request: web.Request) -> str | None:
    """The name that the filter is for; None where it cannot be read."""
    match = _EQUALS.fullmatch(request.query.get("filter", ""))
    return str(json.loads(match[1])) if match else None


def page(quirks: Quirks, request: web.Request, found: Sequence[Entry]) -> web.Response:
    """By cursor, if that is asked for and there is such; else by index."""
    query = request.query
    if "count" in query and quirks.no_count:
        return web.Response(status=500, text="<h1>Internal Server Error</h1>")
    count = min(quirks.page, int(query.get("count", quirks.page)))
    if int(query.get("count", "0")) > quirks.page:
        return error(400, f"count is above {quirks.page}", "invalidCount")
    if "cursor" in query:
        return _by_cursor(quirks, query["cursor"], count, found)
    if quirks.cursor and "startIndex" in query:
        return error(400, "startIndex is not supported")
    start = max(1, int(query.get("startIndex", "1")))
    rows = [shown(entry) for entry in found[start - 1 :][:count]]
    return web.json_response(
        {"schemas": [_LIST], "totalResults": len(found), "startIndex": start, "Resources": rows}
    )


def _by_cursor(quirks: Quirks, cursor: str, count: int, found: Sequence[Entry]) -> web.Response:
    if not quirks.cursor or not (cursor == "" or cursor.removeprefix("at-").isdigit()):
        return error(400, "the cursor is not valid", "invalidCursor")
    start = int(cursor.removeprefix("at-") or 0)
    said = {"schemas": [_LIST], "Resources": [shown(e) for e in found[start:][:count]]}
    if start + count < len(found):
        said["nextCursor"] = f"at-{start + count}"
    return web.json_response(said)
