"""How large the head of a request may be, and how long a peer may take: to ask, to send a body, to
read the answer. uvicorn and httptools bound none of it (slowloris, slow body, slow read).

What cannot be used is answered as problem+json, and the connection ends. No answer is put into the
middle of another one, nor before one that was asked for earlier: there it just ends.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from botrix.api.problems import Problem, answer_to
from botrix.api.together import Together

_PIPELINED = 32
"""Requests of a connection that may wait for the answer to an earlier one."""
_LINGER = 2.0
"""Seconds in which what is still sent is thrown away, or a reset would take the answer along."""


class Protocol(HttpToolsProtocol):
    """A connection. All times are seconds. A body may take `body_within`, and one more for each
    `body_rate` bytes that came; what comes of it after the answer, `rest_within`."""

    head_most = 16 * 1024
    head_within = 10.0
    body_within = 30.0
    body_rate = 1024
    rest_within = 60.0
    read_within = 60.0

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._part = ""  # of the request that is being read: "head", "body"; "" between two
        self._unparsed = 0  # bytes since the last that became something: a head, some body
        self._fields = 0  # bytes of what the parser made of them, in this head or its trailers
        self._body, self._body_since = 0, 0.0
        self._deadline: asyncio.TimerHandle | None = None
        self._reading = False
        self._allowed: list[float | None] = []  # what was said of the deadline while it reads
        self._unread: asyncio.TimerHandle | None = None
        self._refused: Problem | None = None
        self._over = False  # nothing more is read

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(Together(transport, self.loop))  # type: ignore[arg-type]
        self._within(self.head_within)

    def connection_lost(self, exc: Exception | None) -> None:
        self._within(None)
        self._is_read()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._over:
            return
        self._unparsed += len(data)
        self._reading = True
        try:
            super().data_received(data)
        finally:
            self._reading = False
            if self._allowed:
                self._within(self._allowed[-1])
                self._allowed.clear()
        if self._part and self._unparsed > self.head_most:
            self._refuse(self._too_large())
        elif not self._part and self._deadline is None and self._is_answered():
            self._within(self.head_within)  # line breaks before a head end uvicorn's keep-alive

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= _PIPELINED:
            raise self._reason(Problem(400, "Too many", "await answers before you ask for more"))
        super().on_message_begin()
        self.scope["state"]["cut"] = self.transport.abort  # for an answer that nobody reads
        self._part, self._fields = "head", 0
        self._within(self.head_within)

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + 4)
        if self._part == "head":  # a trailer is no header (RFC 9110, 6.5.1)
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        upgrade = self.parser.should_upgrade()
        if upgrade and self._has_body():  # the parser would take the body for a request
            detail = "this API speaks HTTP/1.1 only; send a body without Upgrade"
            raise self._reason(Problem(400, "Not HTTP/1.1", detail))
        super().on_headers_complete()
        if upgrade:  # is none, and whatever the peer says after it is not HTTP/1.1
            self.cycle.keep_alive, self._over = False, True
        self._part, self._unparsed, self._fields = "body", 0, 0
        self._body, self._body_since = 0, self.loop.time()
        self._within(self.body_within)

    def on_body(self, body: bytes) -> None:
        self._unparsed = 0
        self._body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._part, self._unparsed = "", 0
        self._within(None)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        if self._part == "body":
            self._within(self.rest_within)
        super().on_response_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(self.read_within, self.transport.abort)

    def resume_writing(self) -> None:
        self._is_read()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """What the parser, or a method above that it called, refused."""
        self._refuse(self._refused or Problem(400, "Not HTTP", "the request is no usable HTTP/1.1"))

    def _count(self, size: int) -> None:
        self._fields += size
        if self._fields > self.head_most:
            raise self._reason(self._too_large())

    def _too_large(self) -> Problem:
        most = self.head_most // 1024
        return Problem(431, "Too large", f"the head of a request has {most} KiB at most; send less")

    def _reason(self, problem: Problem) -> Problem:
        self._refused = problem
        return problem

    def _has_body(self) -> bool:
        return any(
            name == b"transfer-encoding" or (name == b"content-length" and value.strip() != b"0")
            for name, value in self.headers
        )

    def _is_answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _is_read(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _within(self, seconds: float | None) -> None:
        """Until `_late`; None where nothing is awaited from the peer. Most requests come in one
        piece, in which all the moments that matter follow each other at once: the last counts."""
        if self._reading:
            self._allowed.append(seconds)
            return
        if self._deadline is not None:
            self._deadline.cancel()
        late = self._late
        self._deadline = None if seconds is None else self.loop.call_later(seconds, late)

    def _late(self) -> None:
        self._deadline = None
        left = self._left_for_body() if self._part == "body" and not self._is_answered() else 0.0
        if left > 0 and not self._over:
            self._within(left)
        elif self._over or not self._part:
            self.transport.close()
        else:
            detail = f"the {self._part} of the request took too long; send it again"
            self._refuse(Problem(408, "Too slow", detail))

    def _left_for_body(self) -> float:
        now = self.loop.time()
        if self.flow.read_paused:  # who is slow is this side
            self._body, self._body_since = 0, now
        return self._body_since + self.body_within + self._body / self.body_rate - now

    def _refuse(self, problem: Problem) -> None:
        if self._over:
            return
        self._over = True
        self._within(None)
        if self._is_answered() and self._part != "body":
            self._answer(problem)
        elif self._part != "body":  # what was asked for before is answered, and is the last
            self.cycle.keep_alive = False
        elif self.pipeline or self.cycle.response_started:
            self.transport.close()
        else:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self._answer(problem)

    def _answer(self, problem: Problem) -> None:
        answer = answer_to(problem)
        status = f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}".encode()
        fields = [
            *self.server_state.default_headers,
            *answer.raw_headers,
            (b"connection", b"close"),
        ]
        lines = [status, *(name + b": " + value for name, value in fields), b"", answer.body]
        self.transport.write(b"\r\n".join(lines))
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self._within(_LINGER)
        else:
            self.transport.close()
