"""Groups at a SCIM server: looked up once, filled by one request for all, and never made."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from botrix.creators.creator import Creator, Member, Wanted
from botrix.model import OutcomeKind
from tests.creators.conftest import opened
from tests.creators.test_every_kind import wanted
from tests.servers.scim import SimulatedDirectory

CREATED, REJECTED, RETRY = OutcomeKind.CREATED, OutcomeKind.REJECTED, OutcomeKind.RETRY


@pytest.fixture
def config(directory: SimulatedDirectory, token_file: str) -> dict[str, Any]:
    return {"url": directory.url, "token_file": token_file}


def member_of(n: int, *groups: str) -> Wanted:
    one = wanted(f"u{n}", f"botrix:job:{n}")
    return replace(one, person=replace(one.person, groups=groups))


async def made(creator: Creator, all_wanted: list[Wanted]) -> list[Member]:
    outcomes = await creator.create(all_wanted)
    assert {o.kind for o in outcomes} == {CREATED}, outcomes
    pairs = zip(all_wanted, outcomes, strict=True)
    return [Member(o.entry_id or "", w.person.username, w.person.groups) for w, o in pairs]


async def members(directory: SimulatedDirectory) -> dict[str, set[str]]:
    """The user names in each group."""
    names = {entry["id"]: entry["userName"] for entry in await directory.entries()}
    groups = await directory.ask("GET", "/_groups")
    found = {g["displayName"]: [names.get(m["value"], "?") for m in g["members"]] for g in groups}
    assert all(len(set(ones)) == len(ones) for ones in found.values())
    return {name: set(ones) for name, ones in found.items()}


def calls(directory: SimulatedDirectory) -> int:
    return len([call for call in directory.calls() if call["verb"] == "group"])


@pytest.mark.parametrize("quirk", ["", "no_patch", "ignore_filter", "no_filter", "cursor"])
async def test_a_batch_joins_each_group_by_one_request(
    directory: SimulatedDirectory, config: dict[str, Any], quirk: str
) -> None:
    quirks = {"etag": True, "page": 2, **({quirk: True} if quirk else {})}
    await directory.misbehave(groups=["a", "b", "c", 'd" or displayName pr'], **quirks)
    many = [member_of(n, *(["a"] if n % 2 else ["a", 'd" or displayName pr'])) for n in range(20)]
    async with opened("scim", config) as creator:
        joining = await made(creator, many)
        looked_up = calls(directory)
        for _ in range(2):
            before = calls(directory)
            assert {o.kind for o in await creator.join(joining)} == {CREATED}
            assert calls(directory) - before == (4 if quirk == "no_patch" else 2)
    assert looked_up <= 4
    everybody = {f"u{n}" for n in range(20)}
    found = await members(directory)
    assert found["a"] == everybody
    assert found['d" or displayName pr'] == {f"u{n}" for n in range(0, 20, 2)}
    assert found["b"] == set()


@pytest.mark.parametrize("quirk", [{"groups": None}, {"groups": []}, {"rules": [{"do": "501"}]}])
async def test_who_wants_a_group_that_is_not_there_is_not_created(
    directory: SimulatedDirectory, config: dict[str, Any], quirk: dict[str, Any]
) -> None:
    rules = [{**rule, "on": "group"} for rule in quirk.get("rules", [])]
    await directory.misbehave(**{**quirk, "rules": rules})
    async with opened("scim", config) as creator:
        lost, kept = await creator.create([member_of(0, "staff"), member_of(1)])
        check = await creator.check()
    assert (lost.kind, lost.reason, kept.kind) == (REJECTED, "no such group", CREATED)
    assert [e["userName"] for e in await directory.entries()] == ["u1"]
    assert any(d.what == "has no groups" for d in check.deviations) is (quirk != {"groups": []})


async def test_of_two_groups_of_a_name_none_is_guessed(
    directory: SimulatedDirectory, config: dict[str, Any]
) -> None:
    await directory.misbehave(groups=["a", "a"], ignore_filter=True)
    async with opened("scim", config) as creator:
        (lost,) = await creator.create([member_of(0, "a")])
    assert (lost.kind, lost.reason) == (REJECTED, "no such group")


async def test_groups_that_cannot_be_read_now_are_waited_for(
    directory: SimulatedDirectory, config: dict[str, Any]
) -> None:
    await directory.misbehave(rules=[{"do": "503", "on": "group", "times": 1}])
    async with opened("scim", config) as creator:
        (put_off,) = await creator.create([member_of(0, "staff")])
        assert (put_off.kind, put_off.reason) == (RETRY, "groups unread")
        assert await directory.entries() == []
        await made(creator, [member_of(0, "staff")])


async def test_a_group_made_anew_is_found_again(
    directory: SimulatedDirectory, config: dict[str, Any]
) -> None:
    async with opened("scim", config) as creator:
        joining = await made(creator, [member_of(0, "staff")])
        await directory.misbehave(groups=[])
        (lost,) = await creator.join(joining)
        assert (lost.kind, lost.reason) == (REJECTED, "no such group")
        await directory.misbehave(groups=["staff"])
        assert [o.kind for o in await creator.join(joining)] == [CREATED]
        await directory.misbehave(groups=[])
        await directory.misbehave(groups=["staff"])  # of another id, which is looked up
        assert [o.kind for o in await creator.join(joining)] == [CREATED]
    assert await members(directory) == {"staff": {"u0"}}


async def test_a_member_that_is_none_keeps_no_other_out(
    directory: SimulatedDirectory, config: dict[str, Any]
) -> None:
    async with opened("scim", config) as creator:
        joining = await made(creator, [member_of(n, "staff") for n in range(3)])
        ghost = Member("nobody", "ghost", ("staff",))
        outcomes = await creator.join([joining[0], ghost, *joining[1:]])
    assert [o.kind for o in outcomes] == [CREATED, REJECTED, CREATED, CREATED]
    assert await members(directory) == {"staff": {"u0", "u1", "u2"}}


@pytest.mark.parametrize(("no_patch", "etag"), [(False, False), (True, True), (True, False)])
async def test_many_batches_at_once_lose_no_member(
    directory: SimulatedDirectory, config: dict[str, Any], no_patch: bool, etag: bool
) -> None:
    """Also of two workers, unless the server has neither PATCH nor ETags."""
    await directory.misbehave(no_patch=no_patch, etag=etag, delay=0.01)
    async with opened("scim", config) as one, opened("scim", config) as other:
        two = other if etag or not no_patch else one
        joining = await made(one, [member_of(n, "staff") for n in range(24)])
        parts = [joining[n : n + 2] for n in range(0, 24, 2)]
        batches = [(one if n % 2 else two, part) for n, part in enumerate(parts)]
        for _ in range(12):  # who was overtaken twice is told so, and comes again
            told = await asyncio.gather(*(creator.join(part) for creator, part in batches))
            again = zip(batches, told, strict=True)
            batches = [b for b, outcomes in again if {o.kind for o in outcomes} != {CREATED}]
    assert await members(directory) == {"staff": {f"u{n}" for n in range(24)}}
