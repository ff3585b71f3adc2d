"""Events as they are sent: `text/event-stream` of the HTML standard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from botrix.api.ring import Item
from botrix.line.events import Event
from botrix.line.stream import LONGEST, Told

RETRY = b"retry: 2000\n\n"
"""Milliseconds, after which who was cut off comes back."""
GONE = "what followed is not kept any more"
LINE_AWAY = "the line does not answer, so that events may be missing; the ledger is asked instead"
MANY = "more changed than can be told one by one"
SLOW = "you read more slowly than jobs move; come back, and go on from the last id"
NOT_GOOD = "the key or sign-in is not good any more"
_EVENT = msgspec.json.Decoder(Event)
_NOBODY = "\x00"


def frame(event: str, data: Mapping[str, Any], ident: str = "") -> bytes:
    """data: nothing that JSON would write in two lines."""
    return _frame(event, msgspec.json.encode(data), ident)


def ready(at: str) -> bytes:
    """at: "" where no place is known."""
    return frame("ready", {"at": at or None}, at)


def gap(reason: str, *, whole: bool) -> bytes:
    """whole: all that was missed is told next."""
    return frame("gap", {"reason": reason, **({} if whole else {"all": True})})


def dropped(reason: str) -> bytes:
    """The last that is sent."""
    return frame("dropped", {"reason": reason})


def alive(at: str) -> bytes:
    """An id without data is no event, and a place to come back to all the same."""
    return f": alive\nid: {at}\n\n".encode() if at else b": alive\n\n"


def item_of(told: Told) -> Item:
    """What another program may have written there, and is no event, is told to nobody."""
    try:
        if len(told.event) > LONGEST or b"\n" in told.event or b"\r" in told.event:
            raise ValueError("no event of ours")
        event = _EVENT.decode(told.event)
    except ValueError:
        return Item(told.id, _NOBODY, "", b"")
    return Item(
        told.id, told.tenant_id, told.job_id, _frame("job", told.event, told.id), event.over
    )


def item_of_row(row: Mapping[str, Any]) -> Item:
    """Of the ledger: how the job is now."""
    event = Event.of_row(row, row["updated_at"])
    return Item("", row["tenant_id"], row["id"], _frame("job", event.text().encode()), event.over)


def _frame(event: str, data: bytes, ident: str = "") -> bytes:
    line = f"id: {ident}\n" if ident else ""
    return b"event: %s\n%sdata: %s\n\n" % (event.encode(), line.encode(), data)
