"""One comparison, from beginning to end: opens what it needs, looks, and mends."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from botrix.audit import Actor
from botrix.creators.creator import Creator
from botrix.errors import DirectoryError, LineDown
from botrix.ledger.engine import create_engine
from botrix.ledger.mending import Mending
from botrix.ledger.queries import Queries
from botrix.ledger.reconciling import Job, Reconciling
from botrix.line.events import Event
from botrix.line.line import Line
from botrix.line.shown import Update
from botrix.model import tag_of
from botrix.passwords import read_policy
from botrix.reconcile.comparing import NOBODY
from botrix.reconcile.findings import Findings, What
from botrix.reconcile.looking import Look, Tally
from botrix.reconcile.mending import Mender, Wish
from botrix.services import Services
from botrix.settings import Settings

_SHARERS = 4
"""Of the rate that a directory may be asked at, so much less than all of it."""


class Run:
    """Of a job, or of a whole directory. folder: for what is found. total: so many are to be seen;
    is_whole: whether all was."""

    def __init__(
        self, tenant: str, job: str | None, directory: str | None, at_once: int, folder: Path
    ) -> None:
        self.directory = directory or ""
        self.job = job
        self.findings = Findings(folder)
        self.tally = Tally()
        self.total = 0
        self._tenant = tenant
        self._at_once = at_once
        self._done = False

    @property
    def is_whole(self) -> bool:
        return self._done and (self.job is not None or not self.tally.problem)

    async def look(
        self, settings: Settings, recreate: bool, seen: Callable[[int, int], None]
    ) -> None:
        """seen: hears how many of how many there are to be seen. recreate: see whether those who
        are missing have another name."""
        async with self._opened(settings) as (services, ledger):
            job = await self._begin(ledger)
            creator = await self._creator(services)
            seen(0, self.total)
            look = Look(
                self._tenant, ledger, creator, self.findings, self.tally,
                lambda n: seen(n, self.total),
            )  # fmt: skip
            if job is None:
                await look.directory(self.directory)
            else:
                await look.job(job)
                if recreate and self.findings.count(What.MISSING, NOBODY):
                    await look.ours(of=job.id)
        self._done = True

    async def mend(self, settings: Settings, wish: Wish, actor: Actor) -> None:
        async with self._opened(settings) as (services, ledger):
            row = await services.ledger.directory(self._tenant, self.directory)
            policy = read_policy(row.policy if row else "{}")

            def sealed(job_id: str, index: int) -> bytes:
                return services.sealer.seal(policy.new(), self._tenant, tag_of(job_id, index))

            async def opened(job_id: str) -> None:
                await _show_running(services.line, await Queries(engine).job(self._tenant, job_id))

            engine = create_engine(settings.ledger_url)
            mending = Mending(engine, self._tenant, actor)
            creator = await self._creator(services)
            try:
                await Mender(ledger, mending, creator, self.findings, sealed, opened).mend(wish)
            finally:
                await engine.dispose()

    def close(self) -> None:
        self.findings.close()

    async def _begin(self, ledger: Reconciling) -> Job | None:
        if self.job is None:
            self.total = 2 * await ledger.count(self._tenant, self.directory)
            return None
        job = await ledger.job(self._tenant, self.job)
        self.directory, self.total = job.directory, job.created
        return job

    async def _creator(self, services: Services) -> Creator:
        """Raises DirectoryError where the directory cannot be used."""
        services.directories.first_limit = self._at_once
        services.directories.gate(self._tenant, self.directory).sharers = _SHARERS
        creator = await services.directories.creator(self._tenant, self.directory)
        check = await creator.check()
        if not check.usable:
            raise DirectoryError(f"{self.directory} cannot be used: {check.problem}")
        return creator

    @asynccontextmanager
    async def _opened(self, settings: Settings) -> AsyncIterator[tuple[Services, Reconciling]]:
        engine = create_engine(settings.ledger_url)
        try:
            async with Services(settings) as services:
                yield services, Reconciling(engine)
        finally:
            await engine.dispose()


async def _show_running(line: Line, row: Mapping[str, Any]) -> None:
    """Else the line would go on to show a final status until the job ends again."""
    shown = Update(row["tenant_id"], row["id"], row["status"], None, Event.of_row(row).text(), True)
    with contextlib.suppress(LineDown):
        await line.publish([shown])
