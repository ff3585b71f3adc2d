"""Creating many accounts by one request: Bulk (RFC 7644, 3.7), without failOnErrors.

Each account is answered for as if it had been POSTed alone; its answer is the operation that bears
its bulkId, whatever the order. An operation that is missing, or there twice, tells nothing: the
account is unknown, and is looked for.

When a whole Bulk fails, it depends on what the answer says:
- no connection, 401, 403, 429: none was done, and fewer at once would be told the same.
- 404, 405, 501: there is no Bulk, whatever was announced. All are POSTed one by one.
- 400, 413 and their like, 500: it is split in halves, until what it was stands alone. The server
  has ended its work and said so, so that nothing lands later; what it may have done before it gave
  up is refused as a duplicate the second time, and then found as ours.
- anything else (cut off, out of time, a gateway's error, a body that makes no sense): the accounts
  are unknown, since the request may yet be at work. They are looked for by who asked, and those
  that are tried again go one by one, lest one takes its neighbours along a second time.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botrix.creators.gate import Gate
from botrix.creators.scim.known import Known
from botrix.creators.web.answer import Answer
from botrix.creators.web.http import Http
from botrix.retry import retry_after

_REQUEST = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
_MOST = 200
_SPLIT = frozenset({400, 406, 409, 410, 411, 412, 413, 414, 415, 422, 431, 500})
_ABSENT = frozenset({404, 405, 501})
_ERRORS_IN_A_ROW = 16
_MOST_ALONE = 10_000


@dataclass(frozen=True, slots=True)
class Row:
    """tag: of the account; key: its bulkId; body: the user."""

    tag: str
    key: str
    body: Mapping[str, Any]


class Bulk:
    """Of one server. How many go together is found out: half as many after one that was too big or
    took too long, and slowly more again."""

    def __init__(self, http: Http, known: Known, gate: Gate, *, wanted: bool = True) -> None:
        self._http = http
        self._known = known
        self._gate = gate
        self._wanted = wanted
        self._cap = self._size = _MOST
        self._alone: dict[str, None] = {}

    @property
    def most(self) -> int:
        """Accounts of one Bulk for now; 0: there is none."""
        usable = self._wanted and not self._known.no_bulk
        return min(self._known.features.bulk, self._size) if usable else 0

    async def probe(self) -> None:
        """Whether it is there, by one that does nothing."""
        if self.most:
            answer = await self._http.ask("POST", "/Bulk", _text(_request([])), optional=True)
            self.absent(answer)

    def absent(self, answer: Answer) -> bool:
        """Remembers that there is none."""
        if answer.status not in _ABSENT or answer.problem:
            return False
        self._known.no_bulk = answer.shown()
        return True

    async def post(self, rows: Sequence[Row]) -> list[Answer]:
        """One answer for each, in order."""
        together = [row for row in rows if row.tag not in self._alone] if self.most > 1 else []
        apart = [row for row in rows if row.tag in self._alone] if together else rows
        chunks = self._chunks(together)
        work = [_Work(self, self._http, self._known).send(chunk) for chunk in chunks]
        work.append(self.each(apart))
        answers: dict[str, Answer] = {}
        for part in await asyncio.gather(*work):
            answers.update(part)
        return [answers[row.key] for row in rows]

    def _chunks(self, rows: Sequence[Row]) -> list[list[Row]]:
        """As large as they may be, in operations and in bytes; what is too large for any is alone
        in one."""
        chunks: list[list[Row]] = []
        room, around = 0, len(_text(_request([])))
        for row in rows:
            size = len(_text(_operation(row))) + 1
            if not chunks or len(chunks[-1]) >= self.most or size > room:
                chunks.append([])
                room = self._known.features.payload - around + 1  # the last has no comma
            chunks[-1].append(row)
            room -= size
        return chunks

    async def each(self, rows: Sequence[Row]) -> dict[str, Answer]:
        """One by one."""
        asked = (self._http.ask("POST", "/Users", row.body) for row in rows)
        answers = await asyncio.gather(*asked)
        for row, answer in zip(rows, answers, strict=True):
            if 0 < answer.status < 500:
                self._alone.pop(row.tag, None)
        return {row.key: answer for row, answer in zip(rows, answers, strict=True)}

    def busy(self, after: float | None) -> None:
        """Said of one account."""
        self._gate.busy(after)

    def was_full(self, n: int) -> None:
        """It went well."""
        if n >= self._size:
            self._size = min(self._cap, self._size + max(1, self._size // 8))

    def was_lost(self, rows: Sequence[Row]) -> None:
        self._size = max(2, min(self._size, len(rows)) // 2)
        self._alone.update(dict.fromkeys(row.tag for row in rows))
        for tag in list(self._alone)[:-_MOST_ALONE]:
            del self._alone[tag]

    def was_too_big(self, n: int) -> None:
        self._cap = self._size = max(2, min(self._cap, n // 2))


class _Work:
    """On one chunk, down to its single rows. Gives up where nothing goes well any more."""

    def __init__(self, bulk: Bulk, http: Http, known: Known) -> None:
        self._bulk = bulk
        self._http = http
        self._known = known
        self._errors = 0

    async def send(self, rows: Sequence[Row]) -> dict[str, Answer]:
        if len(rows) == 1 or self._known.no_bulk:
            found = await self._bulk.each(rows)
            self._count(all(one.status == 500 for one in found.values()))
            return found
        text = _text(_request(rows))
        answer = await self._http.ask("POST", "/Bulk", text, operations=len(rows))
        if self._bulk.absent(answer):
            return await self._bulk.each(rows)
        if answer.status in _SPLIT and not answer.problem:
            return await self._halves(rows, answer)
        return self._read(rows, answer)

    async def _halves(self, rows: Sequence[Row], answer: Answer) -> dict[str, Answer]:
        if answer.status == 413:
            self._bulk.was_too_big(len(rows))
        self._count(answer.status == 500)
        if self._errors > _ERRORS_IN_A_ROW:
            return dict.fromkeys((row.key for row in rows), answer)
        middle = len(rows) // 2
        return {**await self.send(rows[:middle]), **await self.send(rows[middle:])}

    def _count(self, failed: bool) -> None:
        self._errors = self._errors + 1 if failed else 0

    def _read(self, rows: Sequence[Row], answer: Answer) -> dict[str, Answer]:
        operations = _operations(answer)
        if operations is None:
            if answer.sent and answer.status not in (401, 403, 429):
                self._bulk.was_lost(rows)
            return dict.fromkeys((row.key for row in rows), answer)
        self._count(False)
        self._bulk.was_full(len(rows))
        found = {row.key: _one(operations.get(row.key, ())) for row in rows}
        if busy := [one for one in found.values() if one.status in (429, 503) or one.after]:
            self._bulk.busy(max(one.after or 0.0 for one in busy))
        return found


def _request(rows: Sequence[Row]) -> dict[str, Any]:
    return {"schemas": [_REQUEST], "Operations": [_operation(row) for row in rows]}


def _operation(row: Row) -> dict[str, Any]:
    return {"method": "POST", "path": "/Users", "bulkId": row.key, "data": row.body}


def _text(body: object) -> str:
    """ASCII, so that characters are bytes."""
    return json.dumps(body, separators=(",", ":"))


def _operations(answer: Answer) -> dict[str, list[Mapping[str, Any]]] | None:
    """By bulkId; None where the answer is none of a Bulk."""
    listed = answer.resource().get("Operations")
    if answer.status not in (200, 201, 207) or not isinstance(listed, list):
        return None
    found: dict[str, list[Mapping[str, Any]]] = {}
    for one in listed:
        if isinstance(one, dict):
            found.setdefault(str(one.get("bulkId")), []).append(one)
    return found


def _one(told: Sequence[Mapping[str, Any]]) -> Answer:
    """The operation as an answer of its own."""
    if len(told) != 1:
        problem = "twice" if told else "not"
        return Answer(0, problem=f"the account is {problem} in the answer of the Bulk")
    operation = told[0]
    response = operation.get("response")
    said = response if isinstance(response, dict) else {}
    place = operation.get("location")
    return Answer(
        _status(operation.get("status")),
        json.dumps(said).encode() if said else b"",
        after=_after(said) or _after(operation),
        headers={"location": place} if isinstance(place, str) else {},
    )


def _status(said: object) -> int:
    """A number or its text (RFC 7644, 3.7.3 has the text); 0 for what is none."""
    text = str(said) if type(said) is int or isinstance(said, str) else ""
    return int(text) if len(text) == 3 and text.isascii() and text.isdigit() else 0


def _after(said: Mapping[str, Any]) -> float | None:
    for name, value in said.items():
        is_one = type(value) is int or isinstance(value, str)
        if is_one and name.lower().replace("-", "") == "retryafter":
            return retry_after(str(value))
    return None
