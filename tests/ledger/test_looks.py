"""Looks without leases: accounts that are all there are handed out by a cursor, on both ledgers."""

from __future__ import annotations

import random

import pytest
import sqlalchemy as sa

from botrix.audit import NOBODY
from botrix.errors import SessionLost
from botrix.ledger.ledger import Asked, Ledger, Room
from botrix.ledger.queries import Queries
from botrix.ledger.tables import jobs
from botrix.model import LeasedAccount, Outcome, OutcomeKind, Result
from botrix.retry import Backoff, cut_short, decide
from botrix.states import AccountStatus, Prospect, Stage
from tests.ledger.test_turns import apply, done, looked, planned
from tests.ledger.test_verbs import plan

_CREATE = Prospect.CREATE


def unseen(account: LeasedAccount) -> Result:
    away = Outcome(OutcomeKind.UNKNOWN, reason="timeout")
    return decide(account, away, Backoff(), random.Random())


async def claims(ledger: Ledger, session: str, room: int) -> list[LeasedAccount]:
    while (place := (await ledger.places(["p"]))["p"]) is None:
        if not (await ledger.due(500)).placed:
            return []
    return (await ledger.claim(session, [Asked("p", place)], Room(room), plan)).accounts


async def quiet(queries: Queries) -> None:
    """As if nothing had been heard of the look for a while."""
    async with queries.engine.begin() as db:
        mine = sa.update(jobs).where(jobs.c.id == "p", jobs.c.due_at.is_not(None))
        assert (await db.execute(mine.values(due_at=0))).rowcount == 1


async def walking(ledger: Ledger, queries: Queries, n: int) -> None:
    await planned(ledger, n)
    await apply(queries, "p")


async def test_two_workers_are_given_different_accounts_and_no_lease(
    ledger: Ledger, queries: Queries
) -> None:
    await walking(ledger, queries, 5)
    await ledger.open_session("s2", "w", "host", 1, "0")
    mine, yours = await claims(ledger, "s1", 3), await claims(ledger, "s2", 3)
    assert [[one.index for one in some] for some in (mine, yours)] == [[0, 1, 2], [3, 4]]
    assert all(one.loose and one.stage is Stage.CHECK for one in mine + yours)
    assert await ledger.held("s1") == []
    moved = [looked(one, _CREATE) for one in mine]  # account 0 was in conflict
    recorded = await ledger.record("s1", moved)
    assert (recorded.accepted, recorded.stale) == (3, [])
    await ledger.record("s2", [looked(one, _CREATE) for one in yours])
    job = await queries.job("default", "p")
    assert (job["to_create"], job["moved"], job["waits"]) == (5, 1, "plan")


async def test_the_first_of_two_results_counts(ledger: Ledger, queries: Queries) -> None:
    await walking(ledger, queries, 3)
    accounts = await claims(ledger, "s1", 9)
    await ledger.record("s1", [looked(accounts[1], _CREATE)])
    again = await ledger.record("s1", [looked(one, _CREATE) for one in accounts[1:]])
    assert again.accepted == 1
    job = await queries.job("default", "p")
    assert (job["to_create"], job["waits"]) == (2, None)


async def test_what_is_leased_meanwhile_is_left_to_who_leased_it(
    ledger: Ledger, queries: Queries
) -> None:
    """As a worker of an earlier release would, which leases all that it looks at."""
    await walking(ledger, queries, 3)
    await ledger.open_session("s2", "w", "host", 1, "0")
    late = await claims(ledger, "s1", 9)
    await quiet(queries)
    held = await claims(ledger, "s2", 9)
    assert [one.loose for one in held] == [False] * 3
    for one in held:
        assert (await ledger.record("s1", [looked(one, _CREATE) for one in late])).accepted == 0
        assert (await ledger.record("s2", [looked(one, _CREATE)])).accepted == 1
    job = await queries.job("default", "p")
    assert (job["to_create"], job["moved"], job["waits"]) == (3, 1, "plan")


async def test_an_earlier_release_finds_all_accounts_planned(
    ledger: Ledger, queries: Queries
) -> None:
    """Else its workers would plan them anew, and its API cancel them twice."""
    await walking(ledger, queries, 4)
    assert len(await claims(ledger, "s1", 3)) == 3
    async with queries.engine.connect() as db:
        cursors = (await db.execute(sa.select(jobs.c.next_index, jobs.c.walked))).one()
    assert cursors == (4, 3)


async def test_what_was_lost_is_claimed_with_leases(ledger: Ledger, queries: Queries) -> None:
    await walking(ledger, queries, 4)
    accounts = await claims(ledger, "s1", 9)
    await ledger.record("s1", [looked(accounts[1], _CREATE), unseen(accounts[2])])
    assert cut_short(accounts[3], begun=True).status is AccountStatus.PLANNED  # nothing is in doubt
    await ledger.mark_lost("s1", None)
    await ledger.open_session("s2", "w", "host", 1, "0")
    assert await claims(ledger, "s2", 9) == []
    await quiet(queries)
    again = await claims(ledger, "s2", 9)
    assert [(one.index, one.loose) for one in again] == [(0, False), (2, False), (3, False)]
    prospects = [one.prospect or _CREATE for one in again]
    await ledger.record("s2", list(map(looked, again, prospects)))
    assert {one.stage for one in await claims(ledger, "s2", 9)} == {Stage.CREATE}
    notes = await queries.history("default", "p", 2, 0, 10)
    assert ("planned", "timeout") in [(one["what"], one["reason"]) for one in notes]


async def test_a_lost_session_records_no_look(ledger: Ledger, queries: Queries) -> None:
    await walking(ledger, queries, 2)
    accounts = await claims(ledger, "s1", 9)
    await ledger.mark_lost("s1", None)
    with pytest.raises(SessionLost):
        await ledger.record("s1", [looked(one, _CREATE) for one in accounts])
    assert (await queries.job("default", "p"))["to_create"] == 0


async def test_a_look_of_before_says_nothing_now(ledger: Ledger, queries: Queries) -> None:
    await walking(ledger, queries, 2)
    late = await claims(ledger, "s1", 9)
    await ledger.record("s1", [looked(one, _CREATE) for one in late])  # moved: it waits again
    await apply(queries, "p")
    assert len(await claims(ledger, "s1", 9)) == 2
    await quiet(queries)
    leased = await claims(ledger, "s1", 9)
    await ledger.record("s1", [cut_short(one, begun=False) for one in leased])  # none was seen
    assert (await ledger.record("s1", [looked(one, _CREATE) for one in late])).accepted == 0
    await quiet(queries)
    fresh = await claims(ledger, "s1", 9)
    await ledger.record("s1", [looked(one, _CREATE) for one in fresh])
    created = await claims(ledger, "s1", 9)
    assert [one.stage for one in created] == [Stage.CREATE] * 2
    await ledger.record("s1", [done(one) for one in created])
    assert (await queries.job("default", "p"))["status"] == "completed"


async def test_one_that_is_cancelled_while_it_is_looked_at_adds_up(
    ledger: Ledger, queries: Queries
) -> None:
    await walking(ledger, queries, 4)
    accounts = await claims(ledger, "s1", 2)
    await queries.cancel("default", "p", NOBODY)
    assert (await ledger.record("s1", [looked(one, _CREATE) for one in accounts])).accepted == 0
    await ledger.due(500)
    job = await queries.job("default", "p")
    assert (job["status"], job["cancelled"]) == ("cancelled", 4)


async def test_who_kills_its_worker_each_time_is_set_aside(
    ledger: Ledger, queries: Queries
) -> None:
    """The first loss leaves no trace: nothing was leased."""
    await walking(ledger, queries, 2)
    assert len(await claims(ledger, "s1", 9)) == 2
    await ledger.mark_lost("s1", None)
    await quiet(queries)
    for n in range(2, 4):
        await ledger.open_session(f"s{n}", "w", "host", 1, "0")
        assert len(await claims(ledger, f"s{n}", 9)) == 2
        await ledger.mark_lost(f"s{n}", None)
        await ledger.free(100)
    for n in (4, 5):
        await ledger.open_session(f"s{n}", "w", "host", 1, "0")
        alone = await ledger.claim_suspect(f"s{n}")
        assert alone is not None
        if alone.index == 0:
            await ledger.mark_lost(f"s{n}", None)
            await ledger.free(100)
        else:
            await ledger.record(f"s{n}", [looked(alone, _CREATE)])
    job = await queries.job("default", "p")
    assert (job["failed"], job["stage"]) == (1, "create")
    await ledger.open_session("s6", "w", "host", 1, "0")
    assert [one.index for one in await claims(ledger, "s6", 9)] == [1]
