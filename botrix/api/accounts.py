"""/api/accounts: one account or many."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from botrix.api.door import Here, Reads, account_key
from botrix.api.schemas import AccountView, Page, account_view
from botrix.errors import InvalidInput, NotFound
from botrix.ledger import account_lists
from botrix.states import AccountStatus

router = APIRouter(prefix="/api/accounts", tags=["accounts"])


@router.get("", response_model=Page[AccountView])
async def accounts(
    here: Reads,
    status: AccountStatus | None = None,
    username: str | None = None,
    username_prefix: Annotated[str | None, Query(min_length=1)] = None,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """Accounts of all jobs, by job and index; those of a user name, or prefix (in capitals or not),
    by that name. A page may hold less than `limit`, even nothing, and yet have a `next`."""
    if username_prefix is not None or username is not None:
        if username_prefix is not None and username is not None:
            raise InvalidInput("username_prefix: leave it out where username is given")
        return await _named(here, username_prefix or username or "", username is not None,
                            status, cursor, limit)  # fmt: skip
    where = {} if status is None else {"status": status.value}
    after = None if cursor is None else _after(cursor)
    rows = await here.queries.accounts(here.tenant, where, after, limit)
    following = f"{rows[-1]['job_id']}:{rows[-1]['idx']}" if len(rows) == limit else None
    return {"items": [account_view(row) for row in rows], "next": following}


async def _named(
    here: Here, name: str, exactly: bool, status: AccountStatus | None, cursor: str | None,
    limit: int,
) -> dict[str, Any]:  # fmt: skip
    after: account_lists.Named | None = None
    if cursor is not None:
        last, _, key = cursor.rpartition("~")
        after = (last, *_after(key))
    page = await account_lists.named(
        here.queries.engine, here.tenant, name, after, limit,
        exactly=exactly, status=None if status is None else status.value,
    )  # fmt: skip
    following = page.last and "{}~{}:{}".format(*page.last)
    return {"items": [account_view(row) for row in page.rows], "next": following}


def _after(cursor: str) -> tuple[str, int]:
    try:
        return account_key(cursor)
    except NotFound:
        raise InvalidInput("cursor: take it from `next` of the page before") from None


@router.get("/stats")
async def stats(here: Reads) -> dict[str, int]:
    """How many accounts are in which state."""
    return await here.queries.account_stats(here.tenant)


@router.get("/{account_id}", response_model=AccountView)
async def account(here: Reads, account_id: str) -> dict[str, Any]:
    """One account; an id is `<job>:<index>`."""
    return account_view(await here.queries.account(here.tenant, *account_key(account_id)))
