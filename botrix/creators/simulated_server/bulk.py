"""Bulk, at the simulated server: each operation as if it had come alone, and what goes wrong with
the whole."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiohttp import web

from botrix.creators.simulated_server.quirks import BulkQuirks
from botrix.creators.simulated_server.saying import Said, error, read_object

_RESPONSE = "urn:ietf:params:scim:api:messages:2.0:BulkResponse"

Make = Callable[[dict[str, Any]], Awaitable[Said]]
Operation = dict[str, Any]


async def bulk(request: web.Request, quirks: BulkQuirks, make: Make) -> web.Response:
    """make: creates the user of one operation."""
    if not quirks.most or quirks.absent:
        return error(501, "Bulk is not supported")
    operations: list[Operation] = (await read_object(request)).get("Operations", [])
    too_many = len(operations) > min(quirks.most, quirks.bears)
    if too_many or (request.content_length or 0) > quirks.payload:
        return error(413, "the Bulk is too large")
    answers: list[Operation] = []
    for n, operation in enumerate(operations):
        user = operation.get("data", {})
        if quirks.breaks_after and n == quirks.breaks_after:
            return web.Response(status=500, text=f"<h1>{user.get('password')}</h1>")
        if quirks.bad and quirks.bad in str(user.get("userName")):
            return error(400, f"this cannot be read: {user}", "invalidSyntax")
        answers.append(_told(quirks, operation, await make(user), str(request.url.parent)))
    said = _misreported(quirks, answers)
    return web.json_response({"schemas": [_RESPONSE], "Operations": said})


def _told(quirks: BulkQuirks, operation: Operation, said: Said, base: str) -> Operation:
    status, body = said
    told = {"method": "POST", "bulkId": operation.get("bulkId")}
    told["status"] = status if quirks.numbers else str(status)
    if status == 201:
        told["location"] = f"{base.rstrip('/')}/Users/{body['id']}"
    if status != 201 or quirks.shows:
        told["response"] = body
    return told


def _misreported(quirks: BulkQuirks, answers: Sequence[Operation]) -> list[Operation]:
    said: list[Operation] = []
    for n, one in enumerate(answers, start=1):
        if quirks.forgets and n % quirks.forgets == 0:
            continue
        said += [one, one] if quirks.doubles and n % quirks.doubles == 0 else [one]
    return said[::-1] if quirks.reverse else said
