"""Whether and where this worker is scraped. Nothing of it is loaded unless a port is set."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from botrix import lag
from botrix.services import Services
from botrix.worker.measures import Measures
from botrix.worker.parts import cancelled


class Vitals(Protocol):
    """Of a session. unconfirmed: seconds since its last beat that was answered was sent; oldest:
    for how many it has held one of its accounts."""

    @property
    def status(self) -> str: ...

    @property
    def unconfirmed(self) -> float: ...

    @property
    def held(self) -> int: ...

    @property
    def oldest(self) -> float: ...


class Shown:
    """The session that is told of; None while there is none, as before the ledger answers."""

    session: Vitals | None = None


@asynccontextmanager
async def scraped(services: Services, measures: Measures) -> AsyncIterator[Shown]:
    """From the start to the end of a worker, through all its sessions."""
    shown, host, port = Shown(), services.settings.metrics_host, services.settings.metrics_port
    if not port:
        yield shown
        return
    from botrix.worker.metrics import Measured
    from botrix.worker.responder import Responder

    late = lag.begun()
    measured = Measured(services, measures, shown, late)
    beside = (Responder(host, port, measured.text).serve(), lag.watch(late))
    tasks = [asyncio.create_task(one) for one in beside]
    try:
        yield shown
    finally:
        await cancelled(tasks)
