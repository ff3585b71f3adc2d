"""A SCIM server that misbehaves: what each misdeed means, and that nothing is made twice."""

from __future__ import annotations

import time
from typing import Any

import pytest
from msgspec.structs import replace

from botrix.creators.creator import Creator, Wanted, Whose
from botrix.model import LeasedAccount, Outcome, OutcomeKind, Person
from botrix.worker.attempt import attempt
from tests.creators.conftest import opened
from tests.servers.scim import SimulatedDirectory

CREATED, RETRY, REJECTED, UNKNOWN = (
    OutcomeKind.CREATED, OutcomeKind.RETRY, OutcomeKind.REJECTED, OutcomeKind.UNKNOWN,
)  # fmt: skip
PERSON = Person("ann", "ann@x.example", "Ann", "B", "Ann B")
ACCOUNT = LeasedAccount("default", "d", "job", 0, 1, PERSON, b"")
WANTED = Wanted(ACCOUNT.tag, PERSON, "Pass-w0rd!")


async def once(creator: Creator, wanted: Wanted = WANTED, **more: Any) -> Outcome:
    (outcome,) = await attempt(creator, [replace(ACCOUNT, **more)], [wanted], lambda: True)
    return outcome


@pytest.mark.parametrize(
    ("rule", "kind", "reason", "counted"),
    [
        ({"do": "500"}, UNKNOWN, "no clear answer", True),
        ({"do": "502"}, UNKNOWN, "no clear answer", True),
        ({"do": "junk"}, UNKNOWN, "no clear answer", True),
        ({"do": "huge"}, UNKNOWN, "no clear answer", True),
        ({"do": "drip"}, UNKNOWN, "no clear answer", True),
        ({"do": "hang"}, UNKNOWN, "no clear answer", True),
        ({"do": "reset"}, UNKNOWN, "no clear answer", True),
        ({"do": "redirect"}, UNKNOWN, "no clear answer", True),
        ({"do": "409"}, UNKNOWN, "not visible yet", False),
        ({"do": "429"}, RETRY, "too many requests", False),
        ({"do": "401"}, RETRY, "credentials refused", False),
        ({"do": "403"}, RETRY, "credentials refused", False),
        ({"do": "400"}, REJECTED, "rejected", True),
        ({"do": "413"}, REJECTED, "rejected", True),
    ],
    ids=lambda value: value.get("do") if isinstance(value, dict) else None,
)
async def test_what_was_not_done(
    directory: SimulatedDirectory, token_file: str, rule: Any, kind: Any, reason: str, counted: bool
) -> None:
    await directory.misbehave(rules=[rule])
    config = {"url": directory.url, "token_file": token_file}
    async with opened("scim", config, timeout=0.5) as creator:
        outcome = await once(creator)
        assert (outcome.kind, outcome.reason, outcome.counted) == (kind, reason, counted)
        assert await directory.entries() == []
        await directory.misbehave()
        assert (await once(creator, find_first=True)).kind is CREATED
    assert directory.created() == {"ann": 1}


@pytest.mark.parametrize("do", ["500", "reset", "junk", "huge", "hang", "redirect", "409"])
@pytest.mark.parametrize("quirk", ["", "ignore_filter", "no_filter"])
async def test_what_was_done_unheard_is_found(
    directory: SimulatedDirectory, token_file: str, do: str, quirk: str
) -> None:
    quirks = {quirk: True} if quirk else {}
    await directory.misbehave(rules=[{"do": do, "done": True}], **quirks)
    config = {"url": directory.url, "token_file": token_file}
    async with opened("scim", config, timeout=0.5) as creator:
        outcome = await once(creator)
    assert outcome.kind is CREATED
    assert outcome.entry_id == (await directory.entries())[0]["id"]
    assert directory.created() == {"ann": 1}


@pytest.mark.parametrize("quirk", ["ignore_filter", "duplicate_is_500"])
async def test_a_foreign_account_stays_as_it_is(
    directory: SimulatedDirectory, token_file: str, quirk: str
) -> None:
    await directory.misbehave(**{quirk: True})
    theirs = {"userName": "Ann", "externalId": "hr-4711", "displayName": "Their Ann"}
    await directory.ask("POST", "/Users", theirs)
    before = await directory.entries()
    async with opened("scim", {"url": directory.url, "token_file": token_file}) as creator:
        outcome = await once(creator, WANTED)
    assert (outcome.kind, outcome.reason) == (OutcomeKind.CONFLICT, "name taken")
    assert await directory.entries() == before


async def test_without_tags_a_random_name_proves_and_a_roster_name_does_not(
    directory: SimulatedDirectory, token_file: str
) -> None:
    await directory.misbehave(drop_external_id=True)
    async with opened("scim", {"url": directory.url, "token_file": token_file}) as creator:
        other = replace(WANTED, person=replace(PERSON, username="bob"))
        assert (await once(creator, other)).kind is CREATED
        await directory.misbehave(drop_external_id=True, rules=[{"do": "500", "done": True}])
        outcome = await once(creator)
        assert (outcome.kind, outcome.reason) == (OutcomeKind.CONFLICT, "ownership unknown")
        random = replace(WANTED, person=replace(PERSON, username="x7k2m9"), unguessable=True)
        assert (await once(creator, random)).kind is CREATED


async def test_what_is_not_visible_yet_costs_no_try(
    directory: SimulatedDirectory, token_file: str
) -> None:
    await directory.misbehave(blind=0.5, rules=[{"do": "500", "done": True, "times": 1}])
    async with opened("scim", {"url": directory.url, "token_file": token_file}) as creator:
        first = await once(creator)
        assert first.kind is UNKNOWN
        again = await once(creator, find_first=True)
        assert (again.kind, again.reason, again.counted) == (UNKNOWN, "not visible yet", False)
        while again.kind is UNKNOWN:
            again = await once(creator, find_first=True)
    assert again.kind is CREATED
    assert directory.created() == {"ann": 1}


async def test_patience_that_is_asked_for_is_kept(
    directory: SimulatedDirectory, token_file: str
) -> None:
    rule = {"do": "429", "times": 1, "retry_after": "1"}
    await directory.misbehave(rules=[rule])
    async with opened("scim", {"url": directory.url, "token_file": token_file}) as creator:
        outcome = await once(creator)
        assert (outcome.kind, outcome.retry_after) == (RETRY, 1.0)
        began = time.monotonic()
        assert (await once(creator)).kind is CREATED
        assert time.monotonic() - began > 0.9
        await directory.misbehave(rules=[{**rule, "retry_after": "900"}])
        await once(creator, replace(WANTED, person=replace(PERSON, username="bob")))
        calls = len(directory.calls())
        put_off = await once(creator)
        assert (put_off.kind, len(directory.calls())) == (RETRY, calls)
        assert put_off.retry_after is not None
        assert put_off.retry_after > 890


async def test_one_list_serves_many_in_doubt(
    directory: SimulatedDirectory, token_file: str
) -> None:
    await directory.misbehave(ignore_filter=True)
    names = [f"u{n}" for n in range(64)]
    all_wanted = [
        replace(WANTED, tag=f"botrix:job:{n}", person=replace(PERSON, username=name))
        for n, name in enumerate(names)
    ]
    async with opened("scim", {"url": directory.url, "token_file": token_file}) as creator:
        for n in range(0, 64, creator.batch):
            await creator.create(all_wanted[n : n + creator.batch])
    async with opened("scim", {"url": directory.url, "token_file": token_file}) as creator:
        before = len(directory.calls())
        for n in range(0, 64, creator.batch):
            seen = await creator.find(all_wanted[n : n + creator.batch])
            assert {s.whose for s in seen} == {Whose.OURS}
    assert len(directory.calls()) - before <= 3


async def test_a_server_that_is_away_costs_no_try(token_file: str) -> None:
    config = {"url": "http://127.0.0.1:9", "token_file": token_file}
    async with opened("scim", config) as creator:
        outcome = await once(creator)
        assert (outcome.kind, outcome.counted) == (RETRY, False)
        check = await creator.check()
    assert not check.usable
    assert "no connection" in check.problem


async def test_a_wrong_token_is_told_by_the_check(
    directory: SimulatedDirectory, token_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TOKEN", "wrong")
    async with opened("scim", {"url": directory.url, "token_env": "MY_TOKEN"}) as creator:
        check = await creator.check()
    assert not check.usable
    assert "token" in check.problem


async def test_no_answer_shows_the_password(directory: SimulatedDirectory, token_file: str) -> None:
    """A server may repeat what was sent to it."""
    await directory.misbehave()
    async with opened("scim", {"url": directory.url, "token_file": token_file}) as creator:
        bad = replace(WANTED, person=replace(PERSON, username=""))
        outcome = await once(creator, bad)
    assert outcome.kind is REJECTED
    assert WANTED.password not in repr(outcome)
