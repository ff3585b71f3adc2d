"""Events as they happen: /api/events and /api/jobs/{job_id}/events, for pages and programs; and
/api/pulse, how the whole was lately."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from botrix.api.door import Here, Reads
from botrix.api.hub import Hub
from botrix.api.listener import Asked, Listener
from botrix.api.problems import Problem
from botrix.api.ring import Item, Wish
from botrix.api.schemas import PulsesView
from botrix.api.wire import item_of_row
from botrix.errors import BotrixError
from botrix.ledger.engine import to_its_end

router = APIRouter(tags=["events"])
_MOST, _MOST_OF_TENANT = 1000, 500
"""Who may listen at once, at this process."""
_ID = r"^[0-9]{1,19}-[0-9]{1,19}$"
_After = Annotated[str | None, Query(pattern=_ID)]
_LastId = Annotated[str | None, Header(alias="Last-Event-ID", pattern=_ID)]
_Every = Annotated[float, Query(ge=0, le=10, allow_inf_nan=False)]
_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events, as they happen",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}


class _Stream(StreamingResponse):
    """Ends when who listens is gone, or this process is to end."""

    def __init__(self, hub: Hub, listener: Listener) -> None:
        headers = {"X-Accel-Buffering": "no"}  # of a proxy that would keep events back
        super().__init__(listener.frames(), media_type="text/event-stream", headers=headers)
        self._hub, self._listener = hub, listener

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._hub.enter(self._listener)
            await super().__call__(scope, receive, send)
        finally:
            self._hub.leave(self._listener)


@router.get("/api/events", response_class=StreamingResponse, responses=_ANSWER)
async def events(
    request: Request,
    here: Reads,
    after: _After = None,
    every: _Every = 0.0,
    last_event_id: _LastId = None,
) -> StreamingResponse:
    """What becomes of each job, as it happens, and every 2 s how the whole is. after: the id of
    the last event that was seen (Last-Event-ID says the same); every: seconds between two
    messages, then with the newest of each job alone."""
    asked = Asked(last_event_id or after or "", _rounded(every))
    here.pulses.want(here.tenant)
    return _answer(request, here, Wish(here.tenant, newest=every > 0), asked)


@router.get("/api/jobs/{job_id}/events", response_class=StreamingResponse, responses=_ANSWER)
async def of_job(
    request: Request,
    here: Reads,
    job_id: str,
    after: _After = None,
    every: _Every = 0.0,
    until: Literal["final"] | None = None,
    last_event_id: _LastId = None,
) -> StreamingResponse:
    """What becomes of one job; begins with how it is. until=final: ends where the job does, or
    where it waits for somebody."""
    await here.queries.job(here.tenant, job_id)
    asked = Asked(last_event_id or after or "", _rounded(every), until == "final")
    return _answer(request, here, Wish(here.tenant, job_id, every > 0), asked)


@router.get("/api/pulse", response_model=PulsesView)
async def pulse(here: Reads) -> dict[str, Any]:
    """How the whole was in the last 15 minutes, every 2 s, oldest first: since somebody asked this
    process first. Totals; a rate is the difference of two."""
    return {"items": await here.pulses.of(here.tenant)}


def _rounded(every: float) -> float:
    """So that few different ones are asked for: those who wish the same are served together."""
    return max(round(every, 2), 0.05) if every else 0.0


def _answer(request: Request, here: Here, wish: Wish, asked: Asked) -> StreamingResponse:
    hub = here.hub
    if hub.listening() >= _MOST or hub.listening(here.tenant) >= _MOST_OF_TENANT:
        detail = "too many listen to events of this process; end some, or try again later"
        raise Problem(429, "Too many", detail, 10.0)

    async def present() -> Item:
        job = here.queries.job(here.tenant, wish.job_id or "")
        return item_of_row(await to_its_end(job))

    good, cut = _good(request, here), getattr(request.state, "cut", _nothing)
    return _Stream(hub, Listener(hub, wish, asked, good, present, cut))


def _good(request: Request, here: Here) -> Callable[[], Awaitable[bool]]:
    """Whether the key or sign-in is still good. A ledger that does not answer revokes nothing."""

    async def good() -> bool:
        try:
            who = await to_its_end(request.state.again())
        except Problem:
            return False
        except BotrixError:
            return True
        return who is not None and who.tenant == here.tenant

    return good


def _nothing() -> None:
    """Where the server has no way to cut a connection."""
