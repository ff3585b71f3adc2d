"""What a webhook tells: the message of an event, byte for byte the same at every try. Pure.

Its form is that of Standard Webhooks 1.0.0 (`type`, `timestamp`, `data`). It holds nothing of a
person, and no secret. The ledger's triggers decide what is an event; see migration 0006.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

EVENTS = (
    "job.accepted",
    "job.started",
    "job.waiting",
    "job.completed",
    "job.failed",
    "job.cancelled",
    "job.retried",
)
TEST = "webhook.test"
"""Sent when somebody asks for it, once; whatever a webhook wants otherwise."""
_COUNTS = ("count", "created", "existing", "failed", "cancelled", "deleted", "bad_rows")


def message(event: str, at: float, tenant: str, job_id: str, body: str) -> bytes:
    """at: when it happened, in seconds since 1970; body: JSON, what the ledger noted then."""
    noted: dict[str, Any] = json.loads(body)
    data: dict[str, Any] = {"tenant": tenant}
    if job_id:
        counts = {name: noted.pop(name) for name in _COUNTS if name in noted}
        data |= {"job_id": job_id, **noted, "counts": counts, "links": _links(job_id, noted)}
    when = datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds")
    told = {"type": event, "timestamp": when.replace("+00:00", "Z"), "data": data}
    return json.dumps(told, separators=(",", ":")).encode()


def _links(job_id: str, noted: dict[str, Any]) -> dict[str, str]:
    """Paths of the API."""
    found = {"job": f"/api/jobs/{job_id}", "accounts": f"/api/jobs/{job_id}/accounts"}
    if noted.get("undoes"):
        found["undoes"] = f"/api/jobs/{noted['undoes']}"
    return found


def message_id(webhook_id: str, n: int, at: float) -> str:
    """The same at every try, and no other's: SQLite may give the number of a deleted delivery
    again, but not at the same time."""
    digest = hashlib.sha256(f"{webhook_id}.{n}.{at!r}".encode())
    return f"msg_{digest.hexdigest()[:32]}"
