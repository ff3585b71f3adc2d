"""The ledger on SQLite: one writer thread, one connection, every verb one immediate transaction.

DESIGN rule: WAL with synchronous=FULL (NORMAL may lose the last commits on power loss), BEGIN
IMMEDIATE (Python's default mode loses updates), busy_timeout 5 s. The steps of each verb are plain
functions on a connection, in the modules beside this one.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from botrix.errors import LedgerDown, LedgerError
from botrix.ledger import (
    sqlite_claim,
    sqlite_dispatch,
    sqlite_governing,
    sqlite_keeping,
    sqlite_looks,
    sqlite_posting,
    sqlite_reconcile,
    sqlite_removal,
    sqlite_sessions,
    sqlite_verbs,
)
from botrix.ledger.governing import Allowance, Report, Standing
from botrix.ledger.keeping import Outlived, Rule
from botrix.ledger.ledger import (
    Asked,
    Claim,
    DirectoryRow,
    Due,
    Found,
    Late,
    PeerBeat,
    Placed,
    Plan,
    Provisional,
    Recorded,
    Room,
    Submission,
    Submitted,
)
from botrix.ledger.posting import Delivery, Receipt, Wanted
from botrix.ledger.revisions import check
from botrix.ledger.sqlite_resting import Resting, checkpoint
from botrix.ledger.thread import Thread
from botrix.model import Lane, LeasedAccount, Person, Result
from botrix.states import AccountStatus, Duty

T = TypeVar("T")


class SqliteLedger:
    """Opens lazily, in its own thread; an error of the file or its lock becomes LedgerDown."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._db: sqlite3.Connection | None = None
        self._thread = Thread("ledger")
        self._resting = Resting(lambda: self._run(lambda db, _: checkpoint(db), ""))

    async def submit(self, submissions: Sequence[Submission]) -> list[Submitted]:
        return await self._write(lambda db, now: sqlite_verbs.submit(db, submissions, now))

    async def open_session(
        self,
        session: str,
        worker_id: str,
        host: str,
        pid: int,
        version: str,
        wanted: Duty = Duty.WORK,
    ) -> None:
        row = (session, worker_id, host, pid, version, wanted.value)
        await self._write(lambda db, now: sqlite_sessions.open_session(db, row, now))

    async def renew(self, session: str) -> Duty | None:
        return await self._write(lambda db, _: sqlite_sessions.renew(db, session))

    async def end_session(self, session: str) -> None:
        await self._write(lambda db, now: sqlite_sessions.end_session(db, session, now))

    async def peers(self) -> list[PeerBeat]:
        return await self._read(lambda db, _: sqlite_sessions.peers(db))

    async def mark_lost(self, session: str, seen_beat: int | None) -> bool:
        return await self._write(
            lambda db, now: sqlite_sessions.mark_lost(db, session, seen_beat, now)
        )

    async def lost_sessions(self) -> list[str]:
        return await self._read(sqlite_sessions.lost_sessions)

    async def claim(self, session: str, asked: Sequence[Asked], room: Room, plan: Plan) -> Claim:
        return await self._write(
            lambda db, now: sqlite_claim.claim(db, session, asked, room, plan, now)
        )

    async def held(self, session: str) -> list[LeasedAccount]:
        return await self._read(lambda db, _: sqlite_claim.held(db, session))

    async def rename(self, session: str, account: LeasedAccount, person: Person) -> bool:
        return await self._write(
            lambda db, now: sqlite_verbs.rename(db, session, account, person, now)
        )

    async def record(self, session: str, results: Sequence[Result]) -> Recorded:
        verb = sqlite_verbs.record
        kinds = {(one.status, one.loose) for one in results}
        if any(status is AccountStatus.DELETED for status, _ in kinds):
            verb = sqlite_removal.record_with_removals
        elif any(loose for _, loose in kinds):
            verb = sqlite_looks.record_with_looks
        return await self._write(lambda db, now: verb(db, session, results, now))

    async def refused(self, session: str, results: Sequence[Result]) -> None:
        await self._write(lambda db, now: sqlite_verbs.refused(db, session, results, now))

    async def suspects(self) -> bool:
        return await self._read(sqlite_claim.suspects)

    async def claim_suspect(self, session: str) -> LeasedAccount | None:
        return await self._write(lambda db, now: sqlite_claim.claim_suspect(db, session, now))

    async def look_again(self, session: str, settled: float) -> Provisional | None:
        return await self._write(
            lambda db, now: sqlite_reconcile.look_again(db, session, settled, now)
        )

    async def provisional(self, job_id: str, after: int, limit: int) -> list[Late]:
        return await self._read(
            lambda db, _: sqlite_reconcile.provisional(db, job_id, after, limit)
        )

    async def landed(self, session: str, found: Sequence[Found]) -> Recorded:
        return await self._write(lambda db, now: sqlite_reconcile.landed(db, session, found, now))

    async def looked_again(self, session: str, job: Provisional, *, done: bool) -> None:
        await self._write(
            lambda db, now: sqlite_reconcile.looked_again(db, session, job, now, done=done)
        )

    async def free(self, limit: int) -> Due:
        return await self._write(lambda db, now: sqlite_dispatch.free(db, limit, now))

    async def due(self, limit: int) -> Due:
        return await self._write(lambda db, now: sqlite_dispatch.due(db, limit, now))

    async def fetch(self, limit: int) -> list[Placed]:
        return await self._read(lambda db, _: sqlite_dispatch.fetch(db, limit))

    async def passed_by(self, lane: Lane, head: int | None, limit: int) -> list[Placed]:
        return await self._read(lambda db, _: sqlite_dispatch.passed_by(db, lane, head, limit))

    async def open_jobs(self, most: int) -> int:
        return await self._read(lambda db, _: sqlite_dispatch.open_jobs(db, most))

    async def several_tenants(self) -> bool:
        return await self._read(lambda db, _: sqlite_dispatch.several_tenants(db))

    async def waiting(self, after: str, tenants: int, limit: int) -> dict[str, list[Placed]]:
        return await self._read(lambda db, _: sqlite_dispatch.waiting(db, after, tenants, limit))

    async def places(self, jobs: Sequence[str]) -> dict[str, int | None]:
        return await self._read(lambda db, _: sqlite_dispatch.places(db, jobs))

    async def halted(self, jobs: Collection[str]) -> set[str]:
        return await self._read(lambda db, _: sqlite_dispatch.halted(db, jobs))

    async def put_back(self, seen: Mapping[str, int]) -> list[Placed]:
        return await self._write(lambda db, now: sqlite_dispatch.put_back(db, seen, now))

    async def sum_up(self, limit: int) -> bool:
        return False  # its triggers do

    async def first_results(self, job_id: str, limit: int) -> bytes:
        return await self._read(lambda db, _: sqlite_verbs.first_results(db, job_id, limit))

    async def those_of(self, tenant_id: str, jobs: Collection[str]) -> set[str]:
        return await self._read(lambda db, _: sqlite_verbs.those_of(db, tenant_id, jobs))

    async def directory(self, tenant_id: str, name: str) -> DirectoryRow | None:
        return await self._read(lambda db, _: sqlite_verbs.directory(db, tenant_id, name))

    async def govern(self, session: str, reports: Sequence[Report]) -> list[Allowance]:
        return await self._write(lambda db, now: sqlite_governing.govern(db, session, reports, now))

    async def due_probe(self) -> tuple[str, str] | None:
        if not await self._read(sqlite_governing.any_probe_due):
            return None
        return await self._write(sqlite_governing.due_probe)

    async def probed(self, tenant_id: str, name: str, problem: str, patience: float) -> None:
        key = (tenant_id, name)
        await self._write(lambda db, now: sqlite_governing.probed(db, *key, problem, patience, now))

    async def release(self, limit: int) -> bool:
        if not await self._read(lambda db, _: sqlite_governing.to_release(db)):
            return False
        return await self._write(lambda db, now: sqlite_governing.release(db, limit, now))

    async def standing(self, tenant_id: str, name: str) -> Standing | None:
        return await self._read(lambda db, now: sqlite_governing.standing(db, tenant_id, name, now))

    async def outlived_passwords(
        self, rule: Rule, after: Outlived | None, limit: int
    ) -> list[Outlived]:
        return await self._read(
            lambda db, now: sqlite_keeping.outlived_passwords(db, rule, after, limit, now)
        )

    async def outlived_jobs(self, rule: Rule, after: Outlived | None, limit: int) -> list[Outlived]:
        return await self._read(
            lambda db, now: sqlite_keeping.outlived_jobs(db, rule, after, limit, now)
        )

    async def erase(self, job: Outlived, indexes: range) -> int | None:
        return await self._write(lambda db, _: sqlite_keeping.erase(db, job, indexes))

    async def forget(self, job: Outlived, limit: int) -> bool | None:
        return await self._write(lambda db, _: sqlite_keeping.forget(db, job, limit))

    async def erased(self, job: Outlived) -> bool | None:
        return await self._write(lambda db, now: sqlite_keeping.erased(db, job, now))

    async def purge(self, job: Outlived, indexes: range) -> int | None:
        return await self._write(lambda db, now: sqlite_keeping.purge(db, job, indexes, now))

    async def remove(self, job: Outlived, limit: int) -> bool | None:
        return await self._write(lambda db, now: sqlite_keeping.remove(db, job, limit, now))

    async def departed(self, seen: Mapping[str, int]) -> tuple[bool, dict[str, int]]:
        return await self._read(lambda db, now: sqlite_keeping.departed(db, seen, now))

    async def scrub(self, most: int) -> bool:
        return await self._run(lambda db, _: sqlite_keeping.scrub(db, most), "")

    async def take_deliveries(self, wanted: Wanted) -> list[Delivery]:
        due = await self._read(lambda db, now: sqlite_posting.due(db, wanted, now))
        if not due:
            return []
        return await self._write(lambda db, now: sqlite_posting.take(db, due, wanted.lease, now))

    async def settle_deliveries(self, receipts: Sequence[Receipt]) -> list[str]:
        return await self._write(lambda db, now: sqlite_posting.settle(db, receipts, now))

    async def forget_deliveries(self, limit: int) -> int:
        return await self._write(lambda db, now: sqlite_posting.forget(db, limit, now))

    async def revision(self) -> str | None:
        sql = "SELECT version_num FROM alembic_version"
        row = await self._read(lambda db, _: db.execute(sql).fetchone())
        return None if row is None else str(row[0])

    async def ping(self) -> None:
        check(await self.revision())

    async def close(self) -> None:
        await self._resting.close()
        await self._thread.run(self._close)
        self._thread.close()

    async def _write(self, verb: Callable[[sqlite3.Connection, float], T]) -> T:
        answer = await self._run(verb, "BEGIN IMMEDIATE")
        self._resting.wrote()
        return answer

    async def _read(self, verb: Callable[[sqlite3.Connection, float], T]) -> T:
        return await self._run(verb, "BEGIN")

    async def _run(self, verb: Callable[[sqlite3.Connection, float], T], begin: str) -> T:
        return await self._thread.run(self._transaction, verb, begin)

    def _transaction(self, verb: Callable[[sqlite3.Connection, float], T], begin: str) -> T:
        """begin: "" for what must stand outside of one."""
        try:
            db = self._open()
            if begin:
                db.execute(begin)
            try:
                answer = verb(db, self._clock())
                if begin:
                    db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
            return answer
        except sqlite3.OperationalError as error:
            if str(error).startswith("no such"):  # table or column
                raise LedgerDown(
                    f"the ledger {self._path} is not ready ({error}); run: botrix migrate"
                ) from error
            raise LedgerDown(
                f"the ledger {self._path} did not answer ({error}); it is tried again"
            ) from error
        except sqlite3.Error as error:
            raise LedgerError(f"the ledger refused the data: {error}") from error

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            if not self._path.exists():
                raise LedgerDown(f"there is no ledger at {self._path}; run: botrix migrate")
            db = sqlite3.connect(self._path, isolation_level=None, timeout=5.0)
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA foreign_keys = ON")
            db.execute("PRAGMA secure_delete = ON")
            db.row_factory = sqlite3.Row
            self._db = db
        return self._db

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None
