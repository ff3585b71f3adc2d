"""GET /metrics: what Prometheus scrapes. The ledger is asked at each scrape, so that every API
process tells the same, and a restart resets nothing.
"""

from __future__ import annotations

import platform
from contextlib import suppress

from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from botrix import __version__
from botrix.api.door import Here, Reads
from botrix.errors import LedgerDown

router = APIRouter(tags=["system"])


@router.get("/metrics", response_class=Response)
async def metrics(here: Reads) -> Response:
    """In Prometheus' text form (version 0.0.4). What the ledger would tell is left out while it
    does not answer."""
    registry = CollectorRegistry()
    revision, workers = await _of_the_ledger(here)
    build = Gauge(
        "botrix_build_info",
        "Always 1; the version of this API, and the revision of the ledger.",
        ["version", "revision", "python"],
        registry=registry,
    )
    build.labels(__version__, revision, platform.python_version()).set(1)
    live = Gauge(
        "botrix_workers", "Live workers, by the version that runs.", ["version"], registry=registry
    )
    for version, n in sorted(workers.items()):
        live.labels(version).set(n)
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)


async def _of_the_ledger(here: Here) -> tuple[str, dict[str, int]]:
    """Its revision, and how many workers of each version are live."""
    with suppress(LedgerDown):
        revision = await here.services.ledger.revision()
        return revision or "", await here.queries.live_workers()
    return "", {}
