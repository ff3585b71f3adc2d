"""One request at a time to a directory behind HTTP: with the operator's credentials, and only
through the gate. Every failure becomes an Answer; nothing is raised, and nothing retried but what
was refused because a token had run out: then nothing was done (RFC 6750, 3.1).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

from aiohttp.abc import AbstractResolver

from botrix.creators.gate import Answered, Gate
from botrix.creators.web.answer import Answer
from botrix.creators.web.authorization import secrets_of
from botrix.creators.web.connection import LONGEST_ANSWER, Connection
from botrix.creators.web.settings import WebSettings
from botrix.traceparent import current

_JSON = "application/json"
_REFUSALS = (Answered.CREDENTIALS, Answered.FAILED)


class Http:
    """timeout: seconds for one request, all of it. media: the type of the bodies sent. longest:
    bytes that an answer may have. look_up: who is asked for the host's addresses, if not the
    operating system."""

    def __init__(
        self,
        settings: WebSettings,
        timeout: float,
        gate: Gate,
        media: str = _JSON,
        longest: int = LONGEST_ANSWER,
        look_up: AbstractResolver | None = None,
    ) -> None:
        self._settings = settings
        self._gate = gate
        self._timeout = timeout
        self._headers = {
            "Accept": _JSON if media == _JSON else f"{media}, {_JSON}",
            "Content-Type": media,
        }
        self._connection = Connection(
            settings.target, settings.tls, longest=longest, look_up=look_up
        )

    @property
    def shown(self) -> str:
        return self._settings.url

    async def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        operations: int = 1,
        optional: bool = False,
    ) -> Answer:
        """path: below the base url, quoted. body: sent as JSON; a text is that already. operations:
        how many accounts it concerns. optional: the directory is as good without it, so that a
        refusal tells nothing of it. status 0: no answer; see Answer.sent."""
        text = body if isinstance(body, str) else json.dumps(body)
        said = None if body is None else text.encode()
        async with self._gate.call(operations, timed=method != "GET") as call:
            if call.shut:
                return Answer(0, sent=False, problem=call.shut, after=call.after)
            given = {**self._headers, **(headers or {}), **self._trace()}
            answer = await self._authorized(method, path, given, said)
            call.span.note(_shown(method, answer))
            if answer.answered is Answered.DONE or (optional and answer.answered in _REFUSALS):
                call.ended(Answered.DONE, answer.after)
            else:
                call.ended(answer.answered, answer.after, answer.shown())
        return answer

    def _trace(self) -> dict[str, str]:
        """Which trace the request belongs to, where the operator wants the directory to know."""
        now = current.get() if self._settings.traceparent else None
        return {} if now is None else {"traceparent": now}

    async def close(self) -> None:
        await self._connection.close()
        await self._settings.authorization.close()

    async def _authorized(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None
    ) -> Answer:
        """Once, and once more where a 401 tells that the token was good no longer."""
        authorization = self._settings.authorization
        url = f"{self._settings.url}{path}"
        again = False
        while True:
            header = await authorization.header(self._timeout)
            if isinstance(header, Answer):
                return header
            sent = {"Authorization": header, **headers}
            answer = await self._connection.ask(method, url, sent, body, self._timeout)
            if again or answer.status != 401 or not authorization.renews(header):
                return replace(answer, hidden=secrets_of(header))
            again = True


def _shown(method: str, answer: Answer) -> dict[str, str | int]:
    """Of a request, in a trace. Its url may name a person."""
    seen: dict[str, str | int] = {"http.request.method": method}
    return {**seen, "http.response.status_code": answer.status} if answer.status else seen
