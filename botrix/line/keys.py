"""Every key of the line, once, with its type and meaning. Nothing else spells a key.

The braces put the lanes in the slot of the bare name (4960 on a Cluster), so that one script may
touch them all. What the line only shows lies in many slots; no script of a Cluster touches two.
"""

from __future__ import annotations

from botrix.model import Lane

QUEUE = "botrix:jobs:queue"
"""LIST: the normal lane, one JSON object per job with work left. Anyone may RPUSH here."""

LANES: dict[Lane, str] = {
    Lane.HIGH: f"{{{QUEUE}}}:high",
    Lane.NORMAL: QUEUE,
    Lane.LOW: f"{{{QUEUE}}}:low",
}
"""LIST each, in the order in which they are served."""

REJECTED = f"{{{QUEUE}}}:rejected"
"""LIST, the last 1,000: raw entries that could not be used, with a reason and a time."""

TURN = f"{{{QUEUE}}}:turn"
"""INTEGER: how many takes there were; decides which lane comes first."""

UPDATES = "botrix:jobs:updates"
"""Channel: JSON events."""

EVENTS = f"{{{QUEUE}}}:events"
"""STREAM, about the last 20,000: the same events, to be read later: t, the job's tenant; j, its id;
e, the event."""

EVENTS_KEPT = 20_000

STATUS_TTL = 3600
"""Seconds that a status and its results stay after the last write."""

REQUESTS_TTL = 120
"""Seconds that a count of requests stays: longer than its minute."""

STATUS_PREFIX, RESULTS_PREFIX = "botrix:jobs:status:", "botrix:jobs:results:"
HEALTH_PREFIX = "botrix:worker:health:"


def taken(session: str, pump: str) -> str:
    """LIST: what a session's pump has taken and not yet settled, each with its lane's letter."""
    return f"{{{QUEUE}}}:taken:{session}:{pump}"


def requests(tenant_id: str, minute: int) -> str:
    """INTEGER: how many requests of a tenant came in a minute since 1970."""
    return f"{{{QUEUE}}}:requests:{tenant_id}:{minute}"


def status(job_id: str) -> str:
    """STRING: the job's status."""
    return STATUS_PREFIX + job_id


def results(job_id: str) -> str:
    """STRING: JSON, counts and the first accounts of a final job."""
    return RESULTS_PREFIX + job_id


def health(worker_id: str) -> str:
    """STRING: JSON of a live worker; expires by itself when the worker is gone."""
    return f"{HEALTH_PREFIX}{worker_id}"
