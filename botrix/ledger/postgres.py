"""The ledger on PostgreSQL (asyncpg): each verb is one statement or one short transaction.

The verbs look rows up by key and nothing else, so the planner of these connections may only nest
loops over indexes: a plan made while a table was empty would otherwise scan it for good. Plans are
generic, since those made for the arrays at hand took ten times as long. Rows are locked in one
order (jobs by id, then accounts), so that workers never wait in a circle.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import asyncpg

from botrix.errors import LedgerDown, LedgerError, OutcomeUnknown, SessionLost, SettingsError
from botrix.ledger import (
    postgres_claim,
    postgres_dispatch,
    postgres_governing,
    postgres_keeping,
    postgres_looks,
    postgres_posting,
    postgres_reconcile,
    postgres_removal,
    postgres_sessions,
    postgres_tallies,
    postgres_verbs,
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
from botrix.ledger.postgres_entering import Entering
from botrix.ledger.postgres_rows import Db
from botrix.ledger.posting import Delivery, Receipt, Wanted
from botrix.ledger.remedies import first_line, remedy
from botrix.ledger.revisions import check
from botrix.model import Lane, LeasedAccount, Person, Result
from botrix.states import AccountStatus, Duty

T = TypeVar("T")
_PLANNER = {
    "application_name": "botrix",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",
    # A process that stands still, or is cut off, inside a transaction would keep its locks, that on
    # its own session's row among them, and nobody could declare it lost.
    "idle_in_transaction_session_timeout": "3s",
    "tcp_user_timeout": "15s",
}
_DOWN = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.exceptions.OperatorInterventionError,
    asyncpg.exceptions.InsufficientResourcesError,
    asyncpg.exceptions.TransactionRollbackError,
    asyncpg.exceptions.ReadOnlySQLTransactionError,
    asyncpg.exceptions.InternalClientError,
    asyncpg.exceptions.InvalidCachedStatementError,  # migrated under our feet: prepared anew
)
_CERTAIN = (  # the server answered: nothing was written
    asyncpg.exceptions.InsufficientResourcesError,
    asyncpg.exceptions.TransactionRollbackError,
    asyncpg.exceptions.ReadOnlySQLTransactionError,
    asyncpg.exceptions.InvalidCachedStatementError,
)


class PostgresLedger:
    """url: `postgresql://…`. Connects when first used, and again for ever; timeout: seconds that
    one statement may take before the ledger counts as down."""

    def __init__(self, url: str, timeout: float = 10.0) -> None:
        self._url = url
        self._timeout = timeout
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._opening = asyncio.Lock()
        self._entering = Entering()

    async def submit(self, submissions: Sequence[Submission]) -> list[Submitted]:
        if submissions and self._entering.can(submissions):
            done = await self._at_once(lambda db: self._entering.enter(db, submissions))
            if done is not None:
                return done
        return await self._write(lambda db: postgres_verbs.submit(db, submissions))

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
        await self._at_once(lambda db: postgres_sessions.open_session(db, row))

    async def renew(self, session: str) -> Duty | None:
        return await self._at_once(lambda db: postgres_sessions.renew(db, session))

    async def end_session(self, session: str) -> None:
        await self._at_once(lambda db: postgres_sessions.end_session(db, session))

    async def peers(self) -> list[PeerBeat]:
        return await self._at_once(postgres_sessions.peers)

    async def mark_lost(self, session: str, seen_beat: int | None) -> bool:
        return await self._at_once(lambda db: postgres_sessions.mark_lost(db, session, seen_beat))

    async def lost_sessions(self) -> list[str]:
        return await self._at_once(postgres_sessions.lost_sessions)

    async def claim(self, session: str, asked: Sequence[Asked], room: Room, plan: Plan) -> Claim:
        return await self._write(lambda db: postgres_claim.claim(db, session, asked, room, plan))

    async def held(self, session: str) -> list[LeasedAccount]:
        return await self._at_once(lambda db: postgres_claim.held(db, session))

    async def rename(self, session: str, account: LeasedAccount, person: Person) -> bool:
        return await self._at_once(lambda db: postgres_verbs.rename(db, session, account, person))

    async def record(self, session: str, results: Sequence[Result]) -> Recorded:
        if any(one.status is AccountStatus.DELETED for one in results):
            return await self._write(
                lambda db: postgres_removal.record_with_removals(db, session, results)
            )
        if any(one.loose for one in results):
            return await self._write(
                lambda db: postgres_looks.record_with_looks(db, session, results)
            )
        run = self._write if any(one.guarded for one in results) else self._at_once
        return await run(lambda db: postgres_verbs.record(db, session, results))

    async def refused(self, session: str, results: Sequence[Result]) -> None:
        await self._at_once(lambda db: postgres_verbs.refused(db, session, results))

    async def suspects(self) -> bool:
        return await self._at_once(postgres_claim.suspects)

    async def claim_suspect(self, session: str) -> LeasedAccount | None:
        return await self._write(lambda db: postgres_claim.claim_suspect(db, session))

    async def look_again(self, session: str, settled: float) -> Provisional | None:
        return await self._write(lambda db: postgres_reconcile.look_again(db, session, settled))

    async def provisional(self, job_id: str, after: int, limit: int) -> list[Late]:
        return await self._at_once(
            lambda db: postgres_reconcile.provisional(db, job_id, after, limit)
        )

    async def landed(self, session: str, found: Sequence[Found]) -> Recorded:
        return await self._write(lambda db: postgres_reconcile.landed(db, session, found))

    async def looked_again(self, session: str, job: Provisional, *, done: bool) -> None:
        await self._write(lambda db: postgres_reconcile.looked_again(db, session, job, done=done))

    async def free(self, limit: int) -> Due:
        return await self._write(lambda db: postgres_dispatch.free(db, limit))

    async def due(self, limit: int) -> Due:
        return await self._write(lambda db: postgres_dispatch.due(db, limit))

    async def fetch(self, limit: int) -> list[Placed]:
        return await self._at_once(lambda db: postgres_dispatch.fetch(db, limit))

    async def passed_by(self, lane: Lane, head: int | None, limit: int) -> list[Placed]:
        return await self._at_once(lambda db: postgres_dispatch.passed_by(db, lane, head, limit))

    async def open_jobs(self, most: int) -> int:
        return await self._at_once(lambda db: postgres_dispatch.open_jobs(db, most))

    async def several_tenants(self) -> bool:
        return await self._at_once(postgres_dispatch.several_tenants)

    async def waiting(self, after: str, tenants: int, limit: int) -> dict[str, list[Placed]]:
        return await self._at_once(lambda db: postgres_dispatch.waiting(db, after, tenants, limit))

    async def places(self, jobs: Sequence[str]) -> dict[str, int | None]:
        return await self._at_once(lambda db: postgres_dispatch.places(db, jobs))

    async def halted(self, jobs: Collection[str]) -> set[str]:
        return await self._at_once(lambda db: postgres_dispatch.halted(db, jobs))

    async def put_back(self, seen: Mapping[str, int]) -> list[Placed]:
        return await self._at_once(lambda db: postgres_dispatch.put_back(db, seen))

    async def sum_up(self, limit: int) -> bool:
        return await self._write(lambda db: postgres_tallies.sum_up(db, limit))

    async def first_results(self, job_id: str, limit: int) -> bytes:
        return await self._at_once(lambda db: postgres_verbs.first_results(db, job_id, limit))

    async def those_of(self, tenant_id: str, jobs: Collection[str]) -> set[str]:
        return await self._at_once(lambda db: postgres_verbs.those_of(db, tenant_id, jobs))

    async def directory(self, tenant_id: str, name: str) -> DirectoryRow | None:
        return await self._at_once(lambda db: postgres_verbs.directory(db, tenant_id, name))

    async def govern(self, session: str, reports: Sequence[Report]) -> list[Allowance]:
        return await self._write(lambda db: postgres_governing.govern(db, session, reports))

    async def due_probe(self) -> tuple[str, str] | None:
        return await self._at_once(postgres_governing.due_probe)

    async def probed(self, tenant_id: str, name: str, problem: str, patience: float) -> None:
        key = (tenant_id, name)
        await self._write(lambda db: postgres_governing.probed(db, *key, problem, patience))

    async def release(self, limit: int) -> bool:
        return await self._write(lambda db: postgres_governing.release(db, limit))

    async def standing(self, tenant_id: str, name: str) -> Standing | None:
        return await self._at_once(lambda db: postgres_governing.standing(db, tenant_id, name))

    async def outlived_passwords(
        self, rule: Rule, after: Outlived | None, limit: int
    ) -> list[Outlived]:
        return await self._at_once(
            lambda db: postgres_keeping.outlived_passwords(db, rule, after, limit)
        )

    async def outlived_jobs(self, rule: Rule, after: Outlived | None, limit: int) -> list[Outlived]:
        return await self._at_once(
            lambda db: postgres_keeping.outlived_jobs(db, rule, after, limit)
        )

    async def erase(self, job: Outlived, indexes: range) -> int | None:
        return await self._write(lambda db: postgres_keeping.erase(db, job, indexes))

    async def forget(self, job: Outlived, limit: int) -> bool | None:
        return await self._write(lambda db: postgres_keeping.forget(db, job, limit))

    async def erased(self, job: Outlived) -> bool | None:
        return await self._write(lambda db: postgres_keeping.erased(db, job))

    async def purge(self, job: Outlived, indexes: range) -> int | None:
        return await self._write(lambda db: postgres_keeping.purge(db, job, indexes))

    async def remove(self, job: Outlived, limit: int) -> bool | None:
        return await self._write(lambda db: postgres_keeping.remove(db, job, limit))

    async def departed(self, _: Mapping[str, int]) -> tuple[bool, dict[str, int]]:
        return False, {}  # there is nothing to scrub

    async def scrub(self, most: int) -> bool:
        return True  # its VACUUM does; and no dump holds what is dead

    async def take_deliveries(self, wanted: Wanted) -> list[Delivery]:
        return await self._at_once(lambda db: postgres_posting.take(db, wanted))

    async def settle_deliveries(self, receipts: Sequence[Receipt]) -> list[str]:
        return await self._write(lambda db: postgres_posting.settle(db, receipts))

    async def forget_deliveries(self, limit: int) -> int:
        return await self._write(lambda db: postgres_posting.forget(db, limit))

    async def revision(self) -> str | None:
        sql = "SELECT version_num FROM alembic_version"
        found = await self._at_once(lambda db: db.fetchval(sql))
        return None if found is None else str(found)

    async def ping(self) -> None:
        check(await self.revision())

    async def close(self) -> None:
        if self._pool is not None:
            try:
                await asyncio.wait_for(self._pool.close(), 3.0)
            except TimeoutError:
                self._pool.terminate()
            self._pool = None

    async def _at_once(self, verb: Callable[[Db], Awaitable[T]]) -> T:
        """A verb of one statement, which commits itself."""
        async with self._connection() as db:
            try:
                return await verb(db)
            except _DOWN as error:
                raise self._lost(error, unknown=not isinstance(error, _CERTAIN)) from error

    async def _write(self, verb: Callable[[Db], Awaitable[T]]) -> T:
        """A verb of several statements: a connection lost before COMMIT has written nothing."""
        async with self._connection() as db:
            try:
                await db.execute("BEGIN")
                answer = await verb(db)
            except _DOWN as error:
                await _rollback(db)
                raise self._lost(error, unknown=False) from error
            except BaseException:
                await _rollback(db)
                raise
            try:
                await db.execute("COMMIT")
            except _DOWN as error:
                raise self._lost(error, unknown=not isinstance(error, _CERTAIN)) from error
            return answer

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Db]:
        try:
            pool = self._pool or await self._open()
            db = await pool.acquire(timeout=self._timeout)
        except asyncpg.InvalidAuthorizationSpecificationError as error:
            raise LedgerDown(f"the ledger refused the login ({error}); correct its url") from error
        except (*_DOWN, asyncpg.InvalidCatalogNameError) as error:
            raise self._lost(error, unknown=False) from error
        try:
            yield db
        except (SessionLost, LedgerDown):
            raise
        except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError) as error:
            raise LedgerDown(f"the ledger is not ready ({error}); run: botrix migrate") from error
        except asyncpg.PostgresError as error:
            raise LedgerError(f"the ledger refused the data: {error}") from error
        finally:
            await _released(pool, db)

    async def _open(self) -> asyncpg.Pool[asyncpg.Record]:
        async with self._opening:
            if self._pool is None:
                try:
                    self._pool = await asyncpg.create_pool(
                        self._url, min_size=0, max_size=8, timeout=self._timeout,
                        command_timeout=self._timeout, server_settings=_PLANNER,
                        reset=_as_it_is,
                    )  # fmt: skip
                except (ValueError, asyncpg.exceptions.ClientConfigurationError):
                    raise SettingsError(
                        "the ledger's url cannot be read; give postgresql://USER@HOST:PORT/NAME"
                    ) from None
            return self._pool

    def _lost(self, error: BaseException, *, unknown: bool) -> LedgerDown:
        kind = OutcomeUnknown if unknown else LedgerDown
        then = remedy(error, "it is tried again")
        return kind(f"the ledger did not answer ({first_line(error)}); {then}")


async def _rollback(db: Any) -> None:
    """On a connection that may be lost; then the server has rolled back by itself."""
    try:
        if not db.is_closed():
            await db.execute("ROLLBACK", timeout=2.0)
    except (asyncpg.PostgresError, *_DOWN):
        _terminated(db)


async def _as_it_is(_: Any) -> None:
    """Nothing here outlives its transaction, so that there is nothing to be put back, which would
    be a round trip more for each verb. What was left open is rolled back all the same."""


async def _released(pool: Any, db: Any) -> None:
    try:
        await pool.release(db, timeout=2.0)
    except (asyncpg.PostgresError, *_DOWN):
        _terminated(db)


def _terminated(db: Any) -> None:
    with contextlib.suppress(asyncpg.InterfaceError):  # the pool has taken a dead one back itself
        db.terminate()
