"""GET /metrics: what Prometheus scrapes. The ledger is asked at each scrape, so that every API
process tells the same, and a restart resets nothing. Jobs, accounts, directories and webhooks are
those of the tenant that asks; what runs, and the lanes that all share, everybody is told.
"""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from prometheus_client.core import Metric

from botrix.api import measured
from botrix.api.door import Here, Reads
from botrix.errors import LedgerDown
from botrix.exposition import of_process, one, rendered

router = APIRouter(tags=["system"])


@router.get("/metrics", response_class=Response)
async def metrics(request: Request, here: Reads) -> Response:
    """In Prometheus' text form (version 0.0.4), or OpenMetrics where the Accept header prefers it.
    What the ledger would tell is left out while it does not answer."""
    told, revision = await _of_the_ledger(here)
    told += [*await measured.of_the_line(here), *of_process(here.own.lag, revision=revision)]
    text, kind = rendered(told, request.headers.get("accept", ""))
    return Response(text, headers={"content-type": kind})


async def _of_the_ledger(here: Here) -> tuple[list[Metric], str]:
    """And its revision."""
    up = ("botrix_ledger_up", "1 while the ledger answers, else 0.")
    try:
        revision = await here.services.ledger.revision()
        told = await measured.of_the_ledger(here)
    except LedgerDown:
        return [one(*up, 0.0)], ""
    return [one(*up, 1.0), *told], revision or ""
