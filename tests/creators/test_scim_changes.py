"""Changing entries with and without PATCH, and what a list is asked for."""

from __future__ import annotations

from typing import Any

import pytest

from botrix.creators.creator import Check, Whose
from botrix.model import OutcomeKind
from tests.creators.conftest import opened
from tests.creators.test_every_kind import wanted
from tests.servers.scim import SimulatedDirectory

CREATED, UNKNOWN = OutcomeKind.CREATED, OutcomeKind.UNKNOWN


@pytest.fixture
def config(directory: SimulatedDirectory, token_file: str) -> dict[str, Any]:
    return {"url": directory.url, "token_file": token_file}


def told(check: Check) -> str:
    return "; ".join(f"{d.what}: {d.so}" for d in check.deviations)


@pytest.mark.parametrize("etag", [True, False])
async def test_without_patch_the_whole_is_put_back(
    directory: SimulatedDirectory, config: dict[str, Any], etag: bool
) -> None:
    await directory.misbehave(no_patch=True, etag=etag)
    async with opened("scim", config) as creator:
        (made,) = await creator.create([wanted("ann")])
        before = (await directory.entries())[0]
        assert (await creator.set_password(made.entry_id or "", "An0ther!")).kind is CREATED
        assert await directory.logs_in({"userName": "ann", "password": "An0ther!"})
        assert (await creator.disable(made.entry_id or "")).kind is CREATED
        check = await creator.check()
    after = (await directory.entries())[0]
    assert after.pop("active") is False
    assert {k: v for k, v in before.items() if k not in ("active", "meta")} == {
        k: v for k, v in after.items() if k != "meta"
    }
    assert "cannot PATCH" in told(check)
    assert ("by its ETag" in told(check)) is etag
    assert [c for c in directory.calls() if c["status"] == 501] == []


async def test_patch_that_was_announced_and_is_not_there(
    directory: SimulatedDirectory, config: dict[str, Any]
) -> None:
    async with opened("scim", config) as creator:
        (made,) = await creator.create([wanted("ann")])
        await directory.misbehave(rules=[{"do": "501", "on": "change", "times": 1}])
        for _ in range(2):
            assert (await creator.disable(made.entry_id or "")).kind is CREATED
        assert "cannot PATCH" in told(await creator.check())
    assert (await directory.entries())[0]["active"] is False


@pytest.mark.parametrize(("times", "kind"), [(1, CREATED), (2, UNKNOWN)])
async def test_who_was_overtaken_reads_again_once(
    directory: SimulatedDirectory, config: dict[str, Any], times: int, kind: Any
) -> None:
    rules = [{"do": "412", "on": "change", "times": times}]
    async with opened("scim", config) as creator:
        (made,) = await creator.create([wanted("ann")])
        await directory.misbehave(no_patch=True, etag=True)
    async with opened("scim", config) as creator:
        await creator.check()
        await directory.misbehave(no_patch=True, etag=True, rules=rules)
        assert (await creator.disable(made.entry_id or "")).kind is kind


@pytest.mark.parametrize(
    ("quirks", "pages"),
    [
        ({}, 1),
        ({"page": 10}, 3),
        ({"page": 10, "cursor": True}, 3),
        ({"no_count": True}, 2),
        ({"no_count": True, "page": 10}, 4),
        ({"no_count": True, "page": 10, "cursor": True}, 4),
    ],
)
async def test_a_list_is_read_to_its_end(
    directory: SimulatedDirectory, config: dict[str, Any], quirks: dict[str, Any], pages: int
) -> None:
    """Never more at once than the server bears; without `count` where it does not bear that."""
    await directory.misbehave(no_filter=True, **quirks)
    all_wanted = [wanted(f"u{n}", f"botrix:job:{n}") for n in range(25)]
    async with opened("scim", config) as creator:
        await creator.create(all_wanted)
        await creator.find(all_wanted[:1])
    async with opened("scim", config) as creator:
        before = len(directory.calls())
        seen = await creator.find([*all_wanted, wanted("nobody")])
        assert [s.whose for s in seen] == [Whose.OURS] * 25 + [Whose.NOBODY]
        assert len(directory.calls()) - before == pages + 1  # with the probe of the filter
        check = await creator.check()
    assert ("refuses `count`" in told(check)) is ("no_count" in quirks)


async def test_an_ignored_filter_is_seen_once_there_is_somebody(
    directory: SimulatedDirectory, config: dict[str, Any]
) -> None:
    """The probe cannot tell, of an empty directory; nor is everybody on the first page."""
    await directory.misbehave(ignore_filter=True, page=3)
    all_wanted = [wanted(f"u{n}", f"botrix:job:{n}") for n in range(8)]
    async with opened("scim", config) as creator:
        assert {s.whose for s in await creator.find(all_wanted)} == {Whose.NOBODY}
        await creator.create(all_wanted)
        assert {s.whose for s in await creator.find(all_wanted)} == {Whose.OURS}
        assert "ignores the filter" in told(await creator.check())


async def test_a_cursor_that_has_run_out_tells_nothing(
    directory: SimulatedDirectory, config: dict[str, Any]
) -> None:
    rule = {"do": "400", "on": "find", "match": "at-"}
    quirks: dict[str, Any] = {"no_filter": True, "cursor": True, "page": 2}
    await directory.misbehave(**quirks)
    all_wanted = [wanted(f"u{n}", f"botrix:job:{n}") for n in range(5)]
    async with opened("scim", config) as creator:
        await creator.create(all_wanted)
        await directory.misbehave(**quirks, rules=[rule])
        assert {s.whose for s in await creator.find(all_wanted)} == {Whose.UNSURE}
        await directory.misbehave(**quirks)
        assert {s.whose for s in await creator.find(all_wanted)} == {Whose.OURS}


@pytest.mark.parametrize("most", [0, 100])
async def test_an_email_that_may_not_be_primary(
    directory: SimulatedDirectory, config: dict[str, Any], most: int
) -> None:
    await directory.misbehave(no_primary=True, bulk={"most": most})
    async with opened("scim", config) as creator:
        for n in range(0, 12, 4):
            batch = [wanted(f"u{i}", f"botrix:job:{i}") for i in range(n, n + 4)]
            assert {o.kind for o in await creator.create(batch)} == {CREATED}
        assert "refuses a primary e-mail" in told(await creator.check())
    refused = [c for c in directory.calls() if c["verb"] == "create" and c["status"] == 400]
    assert len(refused) == 4
    assert all(e["emails"][0]["value"].startswith("u") for e in await directory.entries())


async def test_a_bad_email_is_not_taken_for_that(
    directory: SimulatedDirectory, config: dict[str, Any]
) -> None:
    await directory.misbehave(no_primary=False, rules=[{"do": "400", "match": "ann"}])
    async with opened("scim", config) as creator:
        (refused,) = await creator.create([wanted("ann")])
        assert refused.kind is OutcomeKind.REJECTED
        assert "primary" not in told(await creator.check())
        await creator.create([wanted("bob")])
    assert (await directory.entries())[0]["emails"][0]["primary"] is True


@pytest.mark.parametrize("most", [0, 100])
async def test_duplicates_answered_by_an_error_are_told_once_seen(
    directory: SimulatedDirectory, config: dict[str, Any], most: int
) -> None:
    await directory.misbehave(duplicate_is_500=True, bulk={"most": most})
    theirs, other = wanted("ann", "hr-4711"), wanted("bob", "botrix:job:1")
    async with opened("scim", config) as creator:
        await creator.create([theirs])
        assert "duplicate" not in told(await creator.check())
        ours = wanted("ann", "botrix:job:0")
        assert [o.kind for o in await creator.create([ours, other])] == [UNKNOWN, CREATED]
        assert (await creator.find([ours]))[0].whose is Whose.FOREIGN
        assert "answers a duplicate by an error" in told(await creator.check())


async def test_tags_that_are_dropped_are_told_once_seen(
    directory: SimulatedDirectory, config: dict[str, Any]
) -> None:
    await directory.misbehave(drop_external_id=True)
    async with opened("scim", config) as creator:
        await creator.create([wanted("ann")])
        assert "keeps no externalId" in told(await creator.check())


async def test_a_check_writes_nothing(
    directory: SimulatedDirectory, config: dict[str, Any]
) -> None:
    await directory.misbehave(bulk={"most": 100}, etag=True)
    async with opened("scim", config) as creator:
        check = await creator.check()
    assert check.usable
    assert check.deviations == ()
    assert "guards what is replaced by its ETag" in check.can
    assert {c["verb"] for c in directory.calls()} <= {"find", "group", "bulk"}
    assert await directory.entries() == []
