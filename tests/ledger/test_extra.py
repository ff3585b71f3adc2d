"""Groups and attributes go with their account wherever it goes, and cost nothing where there are
none."""

from __future__ import annotations

from msgspec.structs import replace

from botrix.extra import extra_of, groups_of
from botrix.ledger.imports import Import
from botrix.ledger.ledger import Asked, Ledger, Room
from botrix.ledger.passwords import Passwords
from botrix.ledger.queries import Queries
from botrix.model import LeasedAccount, NewJob, Person, Source
from botrix.repeats import RosterRow
from botrix.states import AccountStatus
from tests.ledger.test_verbs import placed, plan, result
from tests.servers.keys import CONSOLE

_GROUPS = ("class-7b", 'of "quotes", {braces} and é')
_ADA = Person("ada", "e@x", "g", "f", "d", _GROUPS, {"title": "Dr", "employee_number": "007"})
_BOB = Person("bob", "e@x", "g", "f", "d")


async def _claimed(ledger: Ledger, job: str = "j", session: str = "s1") -> list[LeasedAccount]:
    asked = [Asked(job, (await ledger.places([job]))[job])]
    return (await ledger.claim(session, asked, Room(10), plan)).accounts


async def _imported(queries: Queries) -> None:
    work = Import(queries.engine, NewJob("j", 0, Source.IMPORT))
    await work.begin()
    people = [RosterRow(n, one, "pw") for n, one in enumerate((_ADA, _BOB), 2)]
    await work.add(people, [], lambda password, tag: b"sealed")
    await work.finish(None, "")


async def test_a_roster_s_reach_the_worker(ledger: Ledger, queries: Queries) -> None:
    await _imported(queries)
    assert [one.person for one in await _claimed(ledger)] == [_ADA, _BOB]
    assert [one.person for one in await ledger.held("s1")] == [_ADA, _BOB]
    rows = await queries.accounts("default", {}, None, 10)
    assert [extra_of(row["extra"]) for row in rows] == [(_GROUPS, _ADA.attributes), ((), {})]
    assert rows[1]["extra"] is None


async def test_they_come_again_with_each_lease(ledger: Ledger, queries: Queries) -> None:
    await _imported(queries)
    for end in (AccountStatus.UNSURE, AccountStatus.PLANNED, AccountStatus.FAILED):
        leased = await _claimed(ledger)
        assert {one.index: one.person for one in leased} == {0: _ADA, 1: _BOB}
        await ledger.record("s1", [result(one, end, delay=0.0) for one in leased])
        await ledger.due(10)
    late = await ledger.provisional("j", -1, 10)
    assert [one.account.person for one in late] == [_ADA, _BOB]
    await queries.retry("default", "j", CONSOLE)
    await ledger.due(10)
    assert [one.person for one in await _claimed(ledger)] == [_ADA, _BOB]


async def test_a_suspect_brings_them_too(ledger: Ledger, queries: Queries) -> None:
    await _imported(queries)
    for session in ("s1", "s2"):
        if session != "s1":
            await ledger.open_session(session, "w", "host", 1, "0")
        await _claimed(ledger, session=session)
        await ledger.mark_lost(session, None)
        await ledger.free(10)
    await ledger.open_session("s3", "w", "host", 1, "0")
    suspect = await ledger.claim_suspect("s3")
    assert suspect is not None
    assert suspect.person == _ADA


async def test_a_job_s_groups_are_those_of_all_its_accounts(
    ledger: Ledger, queries: Queries
) -> None:
    asked = await placed(ledger, NewJob("j", 15, groups=_GROUPS))
    first = (await ledger.claim("s1", [asked], Room(10), plan)).accounts
    rest = await _claimed(ledger)
    assert [one.person.groups for one in (*first, *rest)] == [_GROUPS] * 15
    assert first[3].person.username == "j-3"
    rows = await queries.accounts("default", {}, None, 20)
    assert [extra_of(row["extra"]) for row in rows] == [(_GROUPS, {})] * 15
    assert groups_of((await queries.job("default", "j"))["groups"]) == _GROUPS


async def test_where_there_are_none_nothing_is_kept(ledger: Ledger, queries: Queries) -> None:
    asked = [await placed(ledger, NewJob("j", 2)), Asked("r", raw=NewJob("r", 2, Source.RAW))]
    leased = (await ledger.claim("s1", asked, Room(10), plan)).accounts
    assert [one.person.groups for one in leased] == [()] * 4
    rows = await queries.accounts("default", {}, None, 10)
    assert [row["extra"] for row in rows] == [None] * 4
    assert [(await queries.job("default", job))["groups"] for job in "jr"] == [None, None]


async def test_a_new_name_is_in_the_same_groups(ledger: Ledger) -> None:
    asked = await placed(ledger, NewJob("j", 1, groups=_GROUPS))
    (one,) = (await ledger.claim("s1", [asked], Room(1), plan)).accounts
    assert await ledger.rename("s1", one, replace(one.person, username="another"))
    await ledger.record("s1", [result(one, AccountStatus.UNSURE, delay=0.0)])
    await ledger.due(10)
    (again,) = await _claimed(ledger)
    assert (again.person.username, again.person.groups) == ("another", _GROUPS)


async def test_a_password_that_leaves_or_is_reset_takes_nothing_along(
    ledger: Ledger, queries: Queries
) -> None:
    await _imported(queries)
    leased = await _claimed(ledger)
    await ledger.record("s1", [result(a, AccountStatus.CREATED, entry_id="e") for a in leased])
    passwords = Passwords(queries.engine)
    await passwords.reveal("default", "j", 0, lambda sealed, index: "pw", CONSOLE)
    taken = await passwords.begin_reset("default", "j", 0, 60)
    assert taken is not None
    await passwords.finish_reset(taken, b"new", CONSOLE)
    row = await queries.account("default", "j", 0)
    assert extra_of(row["extra"]) == (_GROUPS, _ADA.attributes)
