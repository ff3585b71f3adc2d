"""Passwords: revealed or exported once, and set anew as often as need be."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from hashlib import sha256
from typing import Any

from fastapi import APIRouter, Request, Response

from botrix.api.body import read_as
from botrix.api.door import Here, Key, Reveals, account_key
from botrix.api.problems import Problem
from botrix.api.schemas import AccountView, ExportRequest, Revealed, account_view
from botrix.cards import POLICY, as_cards
from botrix.creators.creator import Creator
from botrix.errors import InvalidInput, LedgerDown
from botrix.export import COLUMNS, as_csv, read_recipient, sealed_for
from botrix.ledger.passwords import Opened, Passwords, Row, Taken
from botrix.model import Outcome, OutcomeKind, tag_of
from botrix.passwords import read_policy

router = APIRouter(tags=["passwords"])
_Written = Callable[[Iterable[Sequence[str]]], bytes]
_SETTLED = 30.0
"""Beyond the time-out of a request; includes what a creator may wait before it."""
_MARGIN = 5.0
_SCHEMA = ExportRequest.model_json_schema()
_BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": _SCHEMA}}}}
_FILE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file, with the headers Botrix-Accounts (how many) and Botrix-Left.",
        "content": {"text/csv": {}, "application/octet-stream": {}, "text/html": {}},
    }
}


@router.post("/api/accounts/{account_id}/reveal", response_model=Revealed)
async def reveal(here: Reveals, account_id: str, key: Key) -> dict[str, Any]:
    """The password, once: it is erased here as it leaves, and every later call gets 410, whatever
    Idempotency-Key came along. If the answer was lost, reset the account."""
    job_id, index = account_key(account_id)
    username, password = await _held(here).reveal(
        here.tenant, job_id, index, _opened(here, job_id), here.who.actor, key
    )
    return {"id": account_id, "username": username, "password": password}


@router.post("/api/accounts/{account_id}/reset", response_model=AccountView)
async def reset(here: Reveals, account_id: str, key: Key) -> dict[str, Any]:
    """Set a new password at the directory, for an account whose password has left or was erased. It
    can then be revealed once. 502, 503: it was not set, or nobody knows; reset again."""
    job_id, index = account_key(account_id)
    job = await here.queries.job(here.tenant, job_id)
    policy = read_policy((await here.require_directory(job["directory"])).policy)
    creator = await here.services.directories.creator(here.tenant, job["directory"])
    within = here.services.settings.request_timeout + _SETTLED
    over = time.monotonic() + within
    taken = await _held(here).begin_reset(here.tenant, job_id, index, within, key)
    if taken is None:
        return account_view(await here.queries.account(here.tenant, job_id, index))
    password = policy.new()
    outcome = await _set(creator, taken.entry_id, password, over)
    if outcome.kind is OutcomeKind.CREATED:
        await _keep(here, taken, password, over, key)
        return account_view(await here.queries.account(here.tenant, job_id, index))
    if outcome.kind is OutcomeKind.UNKNOWN:  # it may land yet, so that nobody else may set one now
        raise _unclear(taken, outcome, over)
    await _held(here).leave_reset(taken)
    raise _not_set(taken, outcome)


@router.post(
    "/api/jobs/{job_id}/export",
    openapi_extra=_BODY,
    response_class=Response,
    responses=_FILE,
)
async def export(request: Request, here: Reveals, job_id: str, key: Key) -> Response:
    """The passwords of a final job that were never revealed, as a file; they are erased here as
    they leave. The header Botrix-Left tells how many are left; the next call gives those; then 410.

    **`csv` and `cards` hold passwords in the clear**: whoever reads the file has them. Prefer
    `sealed`, which only the recipient opens. `cards` is a page of ten cards a sheet, to be printed
    and cut apart. Cells of a `csv` are quoted, and what a spreadsheet would execute gets an
    apostrophe before it: at the start of a cell and behind `,` `;` `|`, tab and line ends. To read
    a cell exactly, drop one apostrophe at each of these places.
    """
    asked = read_as(ExportRequest, await request.body())
    written, name, headers = _form(asked, job_id)
    opened = _opened(here, job_id)

    def packed(rows: list[Row]) -> bytes:
        return written(_line(row, opened) for row in rows)

    # As before there were cards: a key may come again after an upgrade.
    new = {name for name in ("title", "sign_in") if getattr(asked, name) is None}
    mark = sha256(asked.model_dump_json(exclude=new).encode()).hexdigest()
    part = await _held(here).export(
        here.tenant, job_id, asked.limit, packed, here.who.actor, key, mark
    )
    headers |= {"Botrix-Accounts": str(part.accounts), "Botrix-Left": str(part.left)}
    headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return Response(part.content, headers=headers)


def _form(asked: ExportRequest, job_id: str) -> tuple[_Written, str, dict[str, str]]:
    """How the file is written, its name, and what is said of it. Raises InvalidInput."""
    if (asked.recipient is None) != (asked.format != "sealed"):
        raise InvalidInput("give a recipient for the format sealed, and none for csv and cards")
    if asked.format != "cards" and (asked.title, asked.sign_in) != (None, None):
        raise InvalidInput("title and sign_in are for the format cards; leave them out")
    sandbox = {"Content-Security-Policy": "default-src 'none'; sandbox"}
    if asked.recipient is not None:
        recipient = read_recipient(asked.recipient)
        kind = {"Content-Type": "application/octet-stream"}
        return lambda rows: sealed_for(recipient, as_csv(rows)), f"{job_id}.csv.age", kind | sandbox
    if asked.format == "csv":
        return as_csv, f"{job_id}.csv", {"Content-Type": "text/csv; charset=utf-8"} | sandbox
    cards = partial(as_cards, title=asked.title or "", sign_in=asked.sign_in or "")
    headers = {"Content-Security-Policy": f"{POLICY}; frame-ancestors 'none'; sandbox"}
    return cards, f"{job_id}.html", headers | {"Content-Type": "text/html; charset=utf-8"}


def _held(here: Here) -> Passwords:
    return Passwords(here.queries.engine)


def _opened(here: Here, job_id: str) -> Opened:
    def unseal(sealed: bytes, index: int) -> str:
        return here.services.sealer.unseal(sealed, here.tenant, tag_of(job_id, index))

    return unseal


def _line(row: Row, opened: Opened) -> list[str]:
    return [*(row[name] for name in COLUMNS[:-1]), opened(bytes(row["sealed"]), row["idx"])]


async def _set(creator: Creator, entry_id: str, password: str, over: float) -> Outcome:
    """Never lasts until another reset may take over."""
    try:
        async with asyncio.timeout(max(0.0, over - _MARGIN - time.monotonic())):
            return await creator.set_password(entry_id, password)
    except TimeoutError:
        return Outcome(OutcomeKind.UNKNOWN, reason="no answer in time")


async def _keep(here: Here, taken: Taken, password: str, over: float, key: str | None) -> None:
    tag = tag_of(taken.job_id, taken.idx)
    sealed = here.services.sealer.seal(password, taken.tenant_id, tag)
    try:
        await _held(here).finish_reset(taken, sealed, here.who.actor, key)
    except LedgerDown:
        raise Problem(
            503,
            "Ledger does not answer",
            f"{_named(taken)} has a new password at the directory, which may not have been kept; "
            f"{_again(taken, over)}",
        ) from None


def _unclear(taken: Taken, outcome: Outcome, over: float) -> Problem:
    return Problem(
        502,
        "Not known",
        f"the directory gave no clear answer for {_named(taken)} ({_told(outcome)}); its old "
        f"password may still work or not; {_again(taken, over)}",
    )


def _not_set(taken: Taken, outcome: Outcome) -> Problem:
    retry = outcome.kind is OutcomeKind.RETRY
    return Problem(
        503 if retry else 502,
        "Directory is not ready" if retry else "Directory refused",
        f"no new password was set for {_named(taken)} ({_told(outcome)}); the old one still works, "
        f"if any does; {_again(taken)}",
    )


def _named(taken: Taken) -> str:
    return f"{taken.job_id}:{taken.idx}"


def _told(outcome: Outcome) -> str:
    return ": ".join(word for word in (outcome.reason, outcome.detail) if word)


def _again(taken: Taken, over: float | None = None) -> str:
    path = f"POST /api/accounts/{_named(taken)}/reset"
    if over is None:
        return f"reset again: {path}"
    return f"reset again in {max(1, math.ceil(over - time.monotonic()))} s: {path}"
