"""Answers that are none."""

from __future__ import annotations

import asyncio
import re

from aiohttp import web

from botrix.creators.simulated_server.quirks import Rule

_PASSWORD = re.compile(r'"password": ?"([^"]*)"')


async def misbehave(rule: Rule, request: web.Request) -> web.StreamResponse:
    """As the rule says, whatever was asked."""
    if rule.do.isdigit():
        headers = {"Retry-After": rule.retry_after} if rule.retry_after else None
        if rule.echo:
            said = {"detail": f"not {_PASSWORD.findall(await request.text())}"}
            return web.json_response(said, status=int(rule.do), headers=headers)
        return web.Response(status=int(rule.do), text="on demand", headers=headers)
    if rule.do == "reset":
        assert request.transport is not None
        request.transport.abort()
        return web.Response()
    if rule.do == "junk":
        return web.Response(body=b"\x00\xff{]", content_type="application/scim+json")
    if rule.do == "huge":
        return web.Response(body=b"[" * (10 << 20), content_type="application/scim+json")
    if rule.do == "redirect":
        return web.Response(status=307, headers={"Location": "http://127.0.0.1:9/elsewhere"})
    return await _slow(rule, request)


async def _slow(rule: Rule, request: web.Request) -> web.StreamResponse:
    """hang: no byte for an hour; drip: one each second."""
    if rule.do == "hang":
        await asyncio.sleep(3600)
    answer = web.StreamResponse(status=201, headers={"Content-Type": "application/scim+json"})
    await answer.prepare(request)
    for _ in range(3600):
        await answer.write(b" ")
        await asyncio.sleep(1)
    return answer
