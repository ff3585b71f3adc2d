"""A token endpoint of OAuth 2.0, and a directory that lets in who has one of its tokens."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from tests.servers.system import free_port


class TokenServer:
    """asked: the requests for a token, headers with form. calls: those to the directory, by their
    header. reply: what the token endpoint answers, while there is one, instead of a token. lasts:
    of a token. held: while it is set to an Event, the token endpoint waits for it."""

    def __init__(self) -> None:
        self.port = free_port()
        self.asked: list[tuple[Mapping[str, str], dict[str, str]]] = []
        self.calls: list[str] = []
        self.reply: Callable[[], web.Response] | None = None
        self.valid: set[str] = set()
        self.lasts: object = 300
        self.held: asyncio.Event | None = None
        self._runner: web.AppRunner | None = None
        self._scheme = "http"

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}/v2"

    @property
    def token_url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}/token"

    async def begin(self, tls: ssl.SSLContext | None = None) -> None:
        self._scheme = "https" if tls else "http"
        served = web.Application()
        served.router.add_post("/token", self._token)
        served.router.add_route("*", "/v2/{path:.*}", self._directory)
        self._runner = web.AppRunner(served, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=tls).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _token(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.asked.append((dict(request.headers), form))
        if self.held is not None:
            await self.held.wait()
        if self.reply is not None:
            return self.reply()
        token = f"token-{len(self.asked)}"
        self.valid.add(f"Bearer {token}")
        said: dict[str, Any] = {"access_token": token, "token_type": "bearer"}
        return web.json_response({**said, "expires_in": self.lasts})

    async def _directory(self, request: web.Request) -> web.Response:
        header = request.headers.get("Authorization", "")
        self.calls.append(header)
        if header not in self.valid:
            return web.json_response({"detail": f"nobody is let in by {header}"}, status=401)
        return web.json_response({"totalResults": 0})
