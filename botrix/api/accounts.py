"""/api/accounts: one account or many."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from botrix.api.door import Reads, account_key
from botrix.api.schemas import AccountView, Page, account_view
from botrix.errors import InvalidInput, NotFound
from botrix.model import AccountStatus

router = APIRouter(prefix="/api/accounts", tags=["accounts"])


@router.get("", response_model=Page[AccountView])
async def accounts(
    here: Reads,
    status: AccountStatus | None = None,
    username: str | None = None,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """Accounts of all jobs, by job and index."""
    asked = {"status": status, "username": username}
    where = {name: str(value) for name, value in asked.items() if value is not None}
    after = None if cursor is None else _after(cursor)
    rows = await here.queries.accounts(here.tenant, where, after, limit)
    following = f"{rows[-1]['job_id']}:{rows[-1]['idx']}" if len(rows) == limit else None
    return {"items": [account_view(row) for row in rows], "next": following}


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
