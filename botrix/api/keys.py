"""/api/keys: which keys there are, and the end of one. They are made at a console."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from botrix.api.door import Administers
from botrix.api.schemas import KeyView, Page, time_of

router = APIRouter(prefix="/api/keys", tags=["keys"])
_TIMES = ("created_at", "expires_at", "last_used_at", "revoked_at")


@router.get("", response_model=Page[KeyView])
async def keys(here: Administers) -> dict[str, Any]:
    """The keys of this tenant, never a secret."""
    rows = await here.keys.shown(here.tenant)
    return {
        "items": [{**row, **{n: time_of(row[n]) for n in _TIMES}} for row in rows],
        "next": None,
    }


@router.post("/{key_id}/revoke", status_code=204)
async def revoke(here: Administers, key_id: str) -> None:
    """For good; effective in every process within five seconds."""
    await here.keys.revoke(here.tenant, key_id, here.who.actor)
