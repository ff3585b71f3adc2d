"""What happened to a job or an account, in order: notes of the ledger, and what the rows tell
themselves (that it was accepted, how it ended)."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from botrix.api.door import NOTE_MOST, Here, Reads, account_key
from botrix.api.schemas import HappeningView, Page, time_of

router = APIRouter(tags=["history"])
_A_MOMENT = 0.005
Cursor = Annotated[int, Query(ge=0, le=NOTE_MOST)]
Limit = Annotated[int, Query(ge=1, le=1000)]


@router.get("/api/jobs/{job_id}/history", response_model=Page[HappeningView])
async def of_job(
    here: Reads, job_id: str, cursor: Cursor = 0, limit: Limit = 1000
) -> dict[str, Any]:
    """A job and its accounts. What was created at the first attempt makes no item of its own."""
    job = await here.queries.job(here.tenant, job_id)
    return await _page(here, job_id, None, _ends(job), cursor, limit)


@router.get("/api/accounts/{account_id}/history", response_model=Page[HappeningView])
async def of_account(
    here: Reads, account_id: str, cursor: Cursor = 0, limit: Limit = 1000
) -> dict[str, Any]:
    """One account, and what happened to its job."""
    job_id, index = account_key(account_id)
    job = await here.queries.job(here.tenant, job_id)
    account = await here.queries.account(here.tenant, job_id, index)
    told = _ends(job)
    if account["status"] == "created" and account["reason"] is None:
        last = await here.queries.last_worker(here.tenant, job_id, index)
        told.append(
            {
                "at": min(account["updated_at"], job["finished_at"] or account["updated_at"]),
                "what": "created", "account": account_id,
                "attempt": account["attempt"], "session": last["last_session"],
                "worker": last["worker_id"],
            }
        )  # fmt: skip
    return await _page(here, job_id, index, told, cursor, limit)


def _ends(job: dict[str, Any]) -> list[dict[str, Any]]:
    detail = f"{job['count']} accounts, priority {job['lane']}, directory {job['directory']}"
    told = [{"at": job["created_at"], "what": "accepted", "detail": detail}]
    if job["finished_at"] is not None:
        names = ("created", "existing", "failed", "cancelled", "deleted")
        counts = ", ".join(f"{job[name]} {name}" for name in names if job[name])
        now = f"{job['status']} now" if job["status"] != "completed" else "completed"
        told.append({"at": job["finished_at"], "what": "finished", "detail": f"{now}: {counts}"})
    return told


async def _page(
    here: Here, job_id: str, index: int | None, told: list[dict[str, Any]], cursor: int, limit: int
) -> dict[str, Any]:
    """Notes after the cursor, and those of `told` that fall between them."""
    rows = await here.queries.history(here.tenant, job_id, index, cursor, limit)
    full = len(rows) == limit
    since = rows[0]["at"] if cursor and rows else 0.0
    until = rows[-1]["at"] if full else float("inf")
    items = [*(t for t in told if since <= t["at"] < until), *(_item(row) for row in rows)]
    items.sort(key=_order)
    shown = [{**item, "at": time_of(item["at"])} for item in items]
    return {"items": shown, "next": str(rows[-1]["n"]) if full else None}


def _order(item: dict[str, Any]) -> float:
    """By time; what finished a job is noted in the same transaction, a moment after its end."""
    return float(item["at"]) + (_A_MOMENT if item["what"] == "finished" else 0.0)


def _item(row: dict[str, Any]) -> dict[str, Any]:
    account = None if row["idx"] is None else f"{row['job_id']}:{row['idx']}"
    names = ("at", "what", "attempt", "reason", "detail")
    return {
        **{name: row[name] for name in names},
        "account": account,
        "session": row["session_id"],
        "worker": row["worker_id"],
    }
