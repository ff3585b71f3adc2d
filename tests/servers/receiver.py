"""A receiver of webhooks on loopback. It verifies what comes by the implementation of the authors
of Standard Webhooks, and answers as a test says.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from tests.servers.system import free_port


@dataclass(frozen=True)
class Message:
    """As it came. good: of each secret, whether it verified."""

    id: str
    timestamp: int
    signatures: Sequence[str]
    headers: dict[str, str]
    body: bytes
    good: tuple[bool, ...]

    @property
    def told(self) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(self.body)
        return said

    @property
    def type(self) -> str:
        return str(self.told["type"])

    @property
    def job(self) -> str:
        return str(self.told["data"].get("job_id", ""))


@dataclass
class Answer:
    """status and headers; or raw: bytes for the wire, after which it is closed unless it `hangs`.
    after: seconds; hold: until this is set."""

    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    raw: bytes | None = None
    hangs: bool = False
    after: float = 0.0
    hold: asyncio.Event | None = None


class Receiver:
    """answers: of the next requests, in order; then `answer`."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/hook"
        self.secrets: list[str] = []
        self.got: list[Message] = []
        self.answer = Answer()
        self.answers: list[Answer] = []
        self.at_once = 0
        self.most_at_once = 0
        self.paths: list[str] = []
        self._runner: web.ServerRunner | None = None

    async def start(self) -> None:
        self._runner = web.ServerRunner(
            web.Server(self._handle, handler_cancellation=True), shutdown_timeout=0.1
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def of(self, job: str) -> list[str]:
        """Types, each message once, as they first came."""
        first = {one.id: one.type for one in reversed(self.got) if one.job == job}
        return list(reversed(first.values()))

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            body = await request.read()
            self.paths.append(request.path)
            self.got.append(self._message(request, body))
            return await self._answered(request)
        finally:
            self.at_once -= 1

    def _message(self, request: web.BaseRequest, body: bytes) -> Message:
        headers = {name.lower(): value for name, value in request.headers.items()}
        return Message(
            headers.get("webhook-id", ""), int(headers.get("webhook-timestamp", 0)),
            headers.get("webhook-signature", "").split(), headers, body,
            tuple(_verifies(secret, body, headers) for secret in self.secrets),
        )  # fmt: skip

    async def _answered(self, request: web.BaseRequest) -> web.StreamResponse:
        answer = self.answers.pop(0) if self.answers else self.answer
        if answer.hold is not None:
            await answer.hold.wait()
        await asyncio.sleep(answer.after)
        if answer.raw is not None:
            transport = request.transport
            if transport is not None:
                transport.write(answer.raw)
                if answer.hangs:
                    await asyncio.sleep(3600)
                transport.close()
            return web.Response()  # goes nowhere
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body)


def _verifies(secret: str, body: bytes, headers: dict[str, str]) -> bool:
    try:
        Webhook(secret).verify(body.decode(), headers)
    except WebhookVerificationError:
        return False
    return True
