"""Plans, canaries, stop-loss and later begins, on both ledgers."""

from __future__ import annotations

import random

import pytest

from botrix.ledger.ledger import Asked, Claim, Ledger, Room, Submission
from botrix.ledger.plans import Plans
from botrix.ledger.queries import Queries
from botrix.model import POISON, LeasedAccount, NewJob, Outcome, OutcomeKind, Result
from botrix.retry import Backoff, decide
from botrix.states import AccountStatus, OnConflict, Prospect, Stage
from tests.ledger.test_verbs import placed, plan, result
from tests.servers.keys import CONSOLE

_CREATE, _CONFLICT = Prospect.CREATE, Prospect.CONFLICT


async def claimed(ledger: Ledger, job: str) -> list[LeasedAccount]:
    """All that may be claimed of a job now, once it was given a place."""
    while (place := (await ledger.places([job]))[job]) is None:
        if not any(one.id == job for one in (await ledger.due(500)).placed):
            return []
    claim: Claim = await ledger.claim("s1", [Asked(job, place)], Room(5000), plan)
    return claim.accounts


def looked(account: LeasedAccount, prospect: Prospect) -> Result:
    seen = Outcome(OutcomeKind.LOOKED, prospect=prospect)
    return decide(account, seen, Backoff(), random.Random())


def done(account: LeasedAccount, status: AccountStatus = AccountStatus.CREATED) -> Result:
    return result(account, status, guarded=account.guarded)


async def planned(ledger: Ledger, n: int = 3) -> None:
    await ledger.submit([Submission(NewJob("p", n, stage=Stage.PLAN))])
    accounts = await claimed(ledger, "p")
    assert [one.stage for one in accounts] == [Stage.PLAN] * n
    prospects = [_CONFLICT] + [_CREATE] * (n - 1)
    await ledger.record("s1", list(map(looked, accounts, prospects)))


async def test_a_plan_waits_once_all_was_looked_at(ledger: Ledger, queries: Queries) -> None:
    await planned(ledger)
    job = await queries.job("default", "p")
    assert (job["status"], job["paused"], job["waits"]) == ("running", True, "plan")
    assert (job["to_create"], job["to_adopt"], job["to_conflict"]) == (2, 0, 1)
    assert await claimed(ledger, "p") == []
    accounts = await queries.accounts("default", {"job_id": "p"}, None, 10)
    assert [(one["status"], one["prospect"]) for one in accounts] == [
        ("planned", "conflict"), ("planned", "create"), ("planned", "create"),
    ]  # fmt: skip
    notes = await queries.history("default", "p", None, 0, 10)
    assert [(one["what"], one["reason"]) for one in notes] == [("waits", "plan")]


async def test_an_applied_plan_is_looked_at_again_and_then_made(
    ledger: Ledger, queries: Queries
) -> None:
    await planned(ledger)
    await apply(queries, "p")
    accounts = await claimed(ledger, "p")
    assert {one.stage for one in accounts} == {Stage.CHECK}
    prospects = [one.prospect or _CREATE for one in accounts]
    await ledger.record("s1", list(map(looked, accounts, prospects)))
    accounts = await claimed(ledger, "p")
    assert [(one.stage, one.find_first) for one in accounts] == [(Stage.CREATE, False)] * 3
    await ledger.record("s1", [done(one) for one in accounts])
    assert (await queries.job("default", "p"))["status"] == "completed"


async def test_a_plan_is_not_made_where_the_directory_moved(
    ledger: Ledger, queries: Queries
) -> None:
    await planned(ledger)
    await apply(queries, "p")
    accounts = await claimed(ledger, "p")
    await ledger.record("s1", [looked(one, _CREATE) for one in accounts])
    job = await queries.job("default", "p")
    assert (job["stage"], job["waits"], job["moved"]) == ("plan", "plan", 1)
    assert (job["to_create"], job["to_conflict"]) == (3, 0)
    await apply(queries, "p")
    accounts = await claimed(ledger, "p")
    await ledger.record("s1", [looked(one, _CREATE) for one in accounts])
    assert {one.stage for one in await claimed(ledger, "p")} == {Stage.CREATE}


async def test_what_was_lost_while_it_was_looked_at_is_looked_at_again(
    ledger: Ledger, queries: Queries
) -> None:
    await ledger.submit([Submission(NewJob("p", 2, stage=Stage.PLAN))])
    first, second = await claimed(ledger, "p")
    await ledger.record("s1", [looked(first, _CREATE)])
    await ledger.mark_lost("s1", None)
    await ledger.free(100)
    await ledger.open_session("s1b", "w", "host", 1, "0")
    place = (await ledger.places(["p"]))["p"]
    claim = await ledger.claim("s1b", [Asked("p", place)], Room(10), plan)
    assert [(one.index, one.stage) for one in claim.accounts] == [(second.index, Stage.PLAN)]
    await ledger.record("s1b", [looked(claim.accounts[0], _CREATE)])
    accounts = await queries.accounts("default", {"job_id": "p"}, None, 10)
    assert [one["crashes"] for one in accounts] == [0, 0]  # a look that ended kills nobody


async def test_a_canary_is_all_that_is_claimed(ledger: Ledger, queries: Queries) -> None:
    await placed(ledger, NewJob("c", 30, reach=10))
    accounts = await claimed(ledger, "c")
    assert [one.index for one in accounts] == list(range(10))
    await ledger.record("s1", [done(one) for one in accounts[:-1]])
    assert (await queries.job("default", "c"))["waits"] is None
    assert await claimed(ledger, "c") == []
    await ledger.record("s1", [done(accounts[-1], AccountStatus.FAILED)])
    job = await queries.job("default", "c")
    assert (job["waits"], job["place"], job["created"], job["failed"]) == ("canary", None, 9, 1)


async def test_a_plan_with_a_canary_is_looked_at_whole(ledger: Ledger, queries: Queries) -> None:
    await ledger.submit([Submission(NewJob("p", 30, stage=Stage.PLAN, reach=10))])
    accounts = await claimed(ledger, "p")
    assert len(accounts) == 30
    await ledger.record("s1", [looked(one, _CREATE) for one in accounts])
    await apply(queries, "p")
    accounts = await claimed(ledger, "p")
    await ledger.record("s1", [looked(one, _CREATE) for one in accounts])
    accounts = await claimed(ledger, "p")
    assert [one.index for one in accounts] == list(range(10))
    await ledger.record("s1", [done(one) for one in accounts])
    assert (await queries.job("default", "p"))["waits"] == "canary"


async def test_a_canary_whose_last_account_is_poison_waits(
    ledger: Ledger, queries: Queries
) -> None:
    await placed(ledger, NewJob("c", 30, reach=2))
    first, last = await claimed(ledger, "c")
    await ledger.record("s1", [done(first)])
    for n in range(POISON):
        session = "s1" if n == 0 else f"t{n}"
        await ledger.mark_lost(session, None)
        await ledger.free(100)
        await ledger.open_session(f"t{n + 1}", "w", "host", 1, "0")
        if n < POISON - 1:
            await ledger.due(500)
            place = (await ledger.places(["c"]))["c"]
            again = await ledger.claim(f"t{n + 1}", [Asked("c", place)], Room(10), plan)
            held = again.accounts or [await ledger.claim_suspect(f"t{n + 1}")]
            assert [one and one.index for one in held] == [last.index]
    job = await queries.job("default", "c")
    assert (job["failed"], job["waits"]) == (1, "canary")


@pytest.mark.parametrize(("gate", "waits"), [(0.05, "canary"), (0.1, None)])
async def test_a_gate_lets_a_good_canary_go_on(
    ledger: Ledger, queries: Queries, gate: float, waits: str | None
) -> None:
    await placed(ledger, NewJob("c", 30, reach=10, gate=gate))
    accounts = await claimed(ledger, "c")
    states = [AccountStatus.FAILED] + [AccountStatus.CREATED] * 9
    await ledger.record("s1", list(map(done, accounts, states)))
    assert (await queries.job("default", "c"))["waits"] == waits
    assert len(await claimed(ledger, "c")) == (0 if waits else 20)


async def test_a_canary_as_big_as_its_job_ends_it(ledger: Ledger, queries: Queries) -> None:
    await placed(ledger, NewJob("c", 5, reach=10))
    await ledger.record("s1", [done(one) for one in await claimed(ledger, "c")])
    assert (await queries.job("default", "c"))["status"] == "completed"


async def test_a_job_waits_where_more_fail_than_may(ledger: Ledger, queries: Queries) -> None:
    await placed(ledger, NewJob("f", 2000, max_failures=1))
    accounts = await claimed(ledger, "f")
    await ledger.record("s1", [done(accounts[0], AccountStatus.FAILED)])
    assert (await queries.job("default", "f"))["waits"] is None
    await ledger.record("s1", [done(accounts[1], AccountStatus.FAILED)])
    job = await queries.job("default", "f")
    assert (job["waits"], job["place"]) == ("failures", None)
    assert await claimed(ledger, "f") == []
    await ledger.record("s1", [done(one) for one in accounts[2:]])  # what was under way is kept
    assert (await queries.job("default", "f"))["created"] == 498


async def test_a_retry_does_not_end_the_wait(ledger: Ledger, queries: Queries) -> None:
    await placed(ledger, NewJob("f", 3, max_failures=0))
    accounts = await claimed(ledger, "f")
    await ledger.record("s1", [done(accounts[0], AccountStatus.FAILED)])
    await ledger.record("s1", [done(accounts[1], AccountStatus.PLANNED)])
    assert await claimed(ledger, "f") == []
    assert (await queries.job("default", "f"))["waits"] == "failures"


async def test_a_later_job_has_no_place_until_its_time(ledger: Ledger, queries: Queries) -> None:
    far = (await queries.job("default", (await placed(ledger, NewJob("a", 1))).id))["created_at"]
    (one,) = await ledger.submit([Submission(NewJob("l", 1, not_before=far + 3600))])
    assert (one.job_id, one.place, one.refused) == ("l", None, "")
    assert await claimed(ledger, "l") == []
    (now,) = await ledger.submit([Submission(NewJob("n", 1, not_before=far - 1))])
    assert now.place is not None


async def test_on_conflict_goes_with_each_account(ledger: Ledger) -> None:
    await placed(ledger, NewJob("x", 1, on_conflict=OnConflict.FAIL))
    (account,) = await claimed(ledger, "x")
    assert account.on_conflict is OnConflict.FAIL


async def test_a_tenant_is_told_of_no_job_but_its_own(ledger: Ledger) -> None:
    await placed(ledger, NewJob("mine", 1))
    assert await ledger.those_of("default", ["mine", "none"]) == {"mine"}
    assert await ledger.those_of("other", ["mine"]) == set()


async def apply(queries: Queries, job: str) -> None:
    await Plans(queries.engine).apply("default", job, None, CONSOLE)
