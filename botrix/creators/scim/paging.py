"""Lists, page by page: by cursor where the server announces that (RFC 9865), else by index
(RFC 7644, 3.4.2.4); never more at once than the server bears."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from botrix.creators.scim import answers
from botrix.creators.scim.known import Known
from botrix.creators.web.answer import Answer
from botrix.creators.web.http import Http

_MOST_PAGES = 10_000
_NOT_FOR_COUNT = frozenset({401, 403, 429, 503})

Row = Mapping[str, Any]


class NotListed(Exception):
    """The answer from which no list can be read; never leaves this folder."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer


async def first_page(http: Http, known: Known, path: str) -> Answer:
    """Of one resource; learns whether the server bears `count`, for there are some that do not."""
    start = "cursor=" if known.features.cursor else "startIndex=1"
    return await _page(http, known, f"{path}?{start}", 1)


async def pages(http: Http, known: Known, path: str) -> AsyncIterator[Sequence[Row]]:
    """All resources under this path. Raises NotListed."""
    await known.read()
    walk = _by_cursor if known.features.cursor else _by_index
    async for rows in walk(http, known, path):
        yield rows


async def _by_index(http: Http, known: Known, path: str) -> AsyncIterator[Sequence[Row]]:
    start = 1
    for _ in range(_MOST_PAGES):
        answer = await _page(http, known, f"{path}?startIndex={start}", known.features.page)
        rows = answers.rows(answer)
        if rows is None:
            raise NotListed(answer)
        yield rows
        start += len(rows)
        if not rows or start > answers.total(answer):
            return
    raise NotListed(Answer(0, problem=f"the list {path} does not end"))


async def _by_cursor(http: Http, known: Known, path: str) -> AsyncIterator[Sequence[Row]]:
    """A cursor that has run out ends the list as unreadable: it is begun anew another time."""
    cursor = ""
    for _ in range(_MOST_PAGES):
        asked = f"{path}?cursor={quote(cursor, safe='')}"
        answer = await _page(http, known, asked, known.features.page)
        rows = answers.rows(answer, counted=False)
        if rows is None:
            raise NotListed(answer)
        yield rows
        cursor = answers.next_cursor(answer)
        if not cursor:
            return
    raise NotListed(Answer(0, problem=f"the list {path} does not end"))


async def _page(http: Http, known: Known, asked: str, count: int) -> Answer:
    optional = not asked.startswith("/Users")
    if not known.counts:
        return await http.ask("GET", asked, optional=optional)
    answer = await http.ask("GET", f"{asked}&count={count}", optional=optional)
    if answer.status < 400 or answer.status in _NOT_FOR_COUNT:
        return answer
    without = await http.ask("GET", asked, optional=optional)
    if answers.rows(without, counted=False) is None:
        return answer
    known.counts = False
    return without
