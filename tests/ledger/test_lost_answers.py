"""A commit whose answer was lost: it may have happened, and the ledger says so."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from botrix.errors import LedgerDown, OutcomeUnknown
from botrix.ledger.ledger import Asked, Room, Submission
from botrix.ledger.postgres import PostgresLedger
from botrix.model import NewJob
from botrix.states import AccountStatus
from tests.ledger.test_verbs import plan, result
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import Proxy
from tests.servers.system import System

pytestmark = pytest.mark.suite("PostgreSQL")


@pytest_asyncio.fixture
async def proxy(postgres_server: PostgresServer) -> AsyncIterator[Proxy]:
    made = Proxy(postgres_server.port)
    await made.start()
    yield made
    await made.stop()


@pytest_asyncio.fixture
async def ledger(postgres_server: PostgresServer, proxy: Proxy) -> AsyncIterator[PostgresLedger]:
    url = await postgres_server.database()
    made = PostgresLedger(url.replace(str(postgres_server.port), str(proxy.port)))
    await made.open_session("s1", "w", "host", 1, "0")
    yield made
    await made.close()


async def test_a_claim_that_happened_is_found_again(ledger: PostgresLedger, proxy: Proxy) -> None:
    (submitted,) = await ledger.submit([Submission(NewJob("j", 3))])
    proxy.lose = b"COMMIT"
    with pytest.raises(OutcomeUnknown):
        await ledger.claim("s1", [Asked("j", submitted.place)], Room(10), plan)
    assert [(a.index, a.find_first) for a in await ledger.held("s1")] == [
        (0, True), (1, True), (2, True),
    ]  # fmt: skip


async def test_a_transaction_cut_before_its_commit_wrote_nothing(
    ledger: PostgresLedger, proxy: Proxy
) -> None:
    (submitted,) = await ledger.submit([Submission(NewJob("j", 3))])
    proxy.lose = b"FOR SHARE"
    with pytest.raises(LedgerDown) as caught:
        await ledger.claim("s1", [Asked("j", submitted.place)], Room(10), plan)
    assert not isinstance(caught.value, OutcomeUnknown)
    assert await ledger.held("s1") == []


async def test_a_flush_said_again_counts_once(ledger: PostgresLedger, proxy: Proxy) -> None:
    (submitted,) = await ledger.submit([Submission(NewJob("j", 1))])
    (account,) = (await ledger.claim("s1", [Asked("j", submitted.place)], Room(10), plan)).accounts
    done = [result(account, AccountStatus.CREATED, detail="the mark")]
    proxy.lose = b"the mark"
    with pytest.raises(OutcomeUnknown):
        await ledger.record("s1", done)
    recorded = await ledger.record("s1", done)
    assert (recorded.accepted, recorded.stale) == (0, [("j", 0)])


@pytest.mark.parametrize("system", ["postgres"], indirect=True)
async def test_a_worker_takes_up_what_it_claimed_unheard(
    system: System, postgres_server: PostgresServer, proxy: Proxy
) -> None:
    system.add_directory("sim", delay=0.05, batch=1)
    proxy.lose, proxy.times = b"COMMIT", 20
    url = system.settings.ledger_url.replace(str(postgres_server.port), str(proxy.port))
    jobs = [await system.generate(10, directory="sim") for _ in range(10)]
    await system.worker(BOTRIX_LEDGER_URL=url, BOTRIX_LEASE="60")
    for job in jobs:
        assert (await system.final(job, 60))["created"] == 10
    assert proxy.lost > 5
    assert system.rows("SELECT count(DISTINCT username) FROM accounts") == [(100,)]
