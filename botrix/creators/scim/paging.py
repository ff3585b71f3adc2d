"""Lists, page by page: by cursor where the server announces that (RFC 9865), else by index
(RFC 7644, 3.4.2.4); never more at once than the server bears."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Page:
    """next: where the one after it begins; "" at the end."""

    rows: Sequence[Row]
    next: str


async def pages(http: Http, known: Known, path: str) -> AsyncIterator[Sequence[Row]]:
    """All resources under this path. Raises NotListed."""
    await known.read()
    at = ""
    for _ in range(_MOST_PAGES):
        page = await page_at(http, known, path, at)
        yield page.rows
        at = page.next
        if not at:
            return
    raise NotListed(Answer(0, problem=f"the list {path} does not end"))


async def page_at(http: Http, known: Known, path: str, at: str) -> Page:
    """path: may hold a filter. at: "" for the first one. Raises NotListed, also where a cursor has
    run out: then the list is to be begun anew."""
    cursor = known.features.cursor
    where = f"cursor={quote(at, safe='')}" if cursor else f"startIndex={at or 1}"
    asked = f"{path}{'&' if '?' in path else '?'}{where}"
    answer = await _page(http, known, asked, known.features.page)
    rows = answers.rows(answer, counted=not cursor)
    if rows is None:
        raise NotListed(answer)
    if cursor:
        return Page(rows, answers.next_cursor(answer))
    following = int(at or 1) + len(rows)
    return Page(rows, str(following) if rows and following <= answers.total(answer) else "")


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
