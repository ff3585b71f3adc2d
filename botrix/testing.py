"""What every creator must do, whatever its directory: the suite, also for other packages.

Import all of it into a test file beside a fixture `creator`; docs/creators.md shows how. It needs
pytest and pytest-asyncio, which Botrix itself does without.
"""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from botrix.creators.creator import Creator, Entry, Member, Wanted, Whose
from botrix.model import OutcomeKind, Person


def wanted(name: str, tag: str = "botrix:job:0") -> Wanted:
    return Wanted(tag, Person(name, f"{name}@x.example", "Zoë", "Ångström", "Zoë Å"), "Pass-w0rd!")


async def keeps_tags(creator: Creator) -> bool:
    """Without them, nobody can tell whose an account is that bears a name of a roster."""
    return not any("keeps no externalId" in one.what for one in (await creator.check()).deviations)


async def as_seen(creator: Creator, whose: Whose) -> Whose:
    return whose if await keeps_tags(creator) else Whose.UNPROVEN


async def all_ours(creator: Creator) -> list[Entry]:
    """Page by page, to the end."""
    found: list[Entry] = []
    after = None
    while True:
        page = await creator.ours(after)
        assert not page.problem
        found += page.entries
        if page.next is None:
            return found
        assert page.next != after
        after = page.next


async def test_it_says_that_it_can_be_used(creator: Creator) -> None:
    check = await creator.check()
    assert check.usable, check
    assert check.can


async def test_what_is_created_is_found_as_ours(creator: Creator) -> None:
    one, two = wanted("ann", "botrix:job:0"), wanted("bob", "botrix:job:1")
    assert [s.whose for s in await creator.find([one, two])] == [Whose.NOBODY] * 2
    outcomes = await creator.create([one, two])
    assert [o.kind for o in outcomes] == [OutcomeKind.CREATED] * 2
    assert all(o.entry_id for o in outcomes)
    ours = await as_seen(creator, Whose.OURS)
    seen = await creator.find([two, wanted("eve"), one])
    assert [s.whose for s in seen] == [ours, Whose.NOBODY, ours]
    assert [s.entry_id for s in seen] == [outcomes[1].entry_id, None, outcomes[0].entry_id]


async def test_a_random_name_is_ours_with_tags_or_without(creator: Creator) -> None:
    random = replace(wanted("x7k2m9"), unguessable=True)
    (outcome,) = await creator.create([random])
    (sighting,) = await creator.find([random])
    assert (sighting.whose, sighting.entry_id) == (Whose.OURS, outcome.entry_id)


async def test_a_second_account_of_a_name_is_refused(creator: Creator) -> None:
    first, other = wanted("ann"), wanted("ann", "botrix:other:7")
    (made,) = await creator.create([first])
    for again in (first, other):
        (outcome,) = await creator.create([again])
        assert outcome.kind in (OutcomeKind.CONFLICT, OutcomeKind.UNKNOWN), again
    (sighting,) = await creator.find([other])
    assert sighting.whose is await as_seen(creator, Whose.OTHER_JOB)
    assert sighting.entry_id == made.entry_id


async def test_a_name_that_differs_in_case_is_refused_or_another(creator: Creator) -> None:
    first, upper = wanted("ann"), wanted("ANN", "botrix:other:7")
    (made,) = await creator.create([first])
    (outcome,) = await creator.create([upper])
    refused = outcome.kind in (OutcomeKind.CONFLICT, OutcomeKind.UNKNOWN)
    assert refused or outcome.entry_id not in (made.entry_id, None)
    seen = await creator.find([first, upper])
    assert [s.entry_id for s in seen] == [made.entry_id, outcome.entry_id or made.entry_id]


async def test_what_is_seen_is_as_it_was_wanted(creator: Creator) -> None:
    one = wanted("ann")
    await creator.create([one])
    mine, others = await creator.find([one, wanted("ann", "botrix:other:7")])
    expected = one.tag if await keeps_tags(creator) else None
    assert (mine.tag, others.tag) == (expected, expected)
    for seen in (mine, others):
        assert seen.active in (True, None)
        for name, text in (seen.fields or {}).items():
            assert text == getattr(one.person, name), name


async def test_who_was_disabled_is_seen_so_where_it_is_told(creator: Creator) -> None:
    both = [wanted("ann"), wanted("bob", "botrix:job:1")]
    outcome, _ = await creator.create(both)
    await creator.disable(outcome.entry_id or "")
    seen = [one.active for one in await creator.find(both)]
    assert seen in ([False, True], [None, None])


async def test_what_is_ours_is_listed_and_nothing_else(creator: Creator) -> None:
    if not await keeps_tags(creator):
        page = await creator.ours(None)
        assert (bool(page.problem), page.keeps_tags) == (True, False)
        return
    assert await all_ours(creator) == []
    mine = [wanted(f"user-{n}", f"botrix:job:{n}") for n in range(9)]
    others = [wanted("ann", "botrix:other:7"), wanted("bob", "imported by hand")]
    outcomes = [*await creator.create(mine), *await creator.create(others)]
    await creator.delete(outcomes[8].entry_id or "")
    expected = [*zip(mine[:8], outcomes[:8], strict=True), (others[0], outcomes[9])]
    seen = {entry.tag: entry for entry in await all_ours(creator)}
    assert set(seen) == {one.tag for one, _ in expected}
    for one, outcome in expected:
        entry = seen[one.tag]
        assert (entry.entry_id, entry.username) == (outcome.entry_id, one.person.username)
        assert entry.active in (True, None)
        for name, text in (entry.fields or {}).items():
            assert text == getattr(one.person, name), name


async def test_of_many_at_once_one_gets_the_name(creator: Creator) -> None:
    batches = [[wanted("ann", f"botrix:j{n}:0")] for n in range(16)]
    outcomes = await asyncio.gather(*(creator.create(batch) for batch in batches))
    kinds = [outcome.kind for (outcome,) in outcomes]
    assert kinds.count(OutcomeKind.CREATED) == 1
    sightings = await asyncio.gather(*(creator.find(batch) for batch in batches))
    ours = sum(sighting.whose is Whose.OURS for (sighting,) in sightings)
    assert ours == (1 if await keeps_tags(creator) else 0)


async def test_an_account_of_somebody_else_is_foreign(creator: Creator) -> None:
    await creator.create([wanted("ann", "imported by hand")])
    (sighting,) = await creator.find([wanted("ann")])
    assert sighting.whose is await as_seen(creator, Whose.FOREIGN)


async def test_an_entry_is_changed_and_deleted(creator: Creator) -> None:
    one = wanted("ann")
    (outcome,) = await creator.create([one])
    assert outcome.entry_id is not None
    for change in (
        creator.set_password(outcome.entry_id, "An0ther-password"),
        creator.disable(outcome.entry_id),
        creator.delete(outcome.entry_id),
    ):
        assert (await change).kind is OutcomeKind.CREATED
    (sighting,) = await creator.find([one])
    assert sighting.whose is Whose.NOBODY
    for gone in (creator.delete(outcome.entry_id), creator.disable(outcome.entry_id)):
        assert (await gone).kind is OutcomeKind.REJECTED


async def test_an_entry_is_put_into_its_groups_again_and_again(creator: Creator) -> None:
    if any("no groups" in one.what for one in (await creator.check()).deviations):
        pytest.skip("this directory has no groups")
    (outcome,) = await creator.create([wanted("ann")])
    member = Member(outcome.entry_id or "", "ann", ("staff",))
    for _ in range(2):
        assert [o.kind for o in await creator.join([member])] == [OutcomeKind.CREATED]


async def test_a_group_that_is_not_there_is_told_before_anything_is_made(creator: Creator) -> None:
    if "keeps groups" in (await creator.check()).can:
        pytest.skip("a group is there once somebody is in it")
    lost = replace(wanted("ann"), person=replace(wanted("ann").person, groups=("nowhere",)))
    refused, made = await creator.create([lost, wanted("bob", "botrix:job:1")])
    assert (refused.kind, refused.reason) == (OutcomeKind.REJECTED, "no such group")
    assert made.kind is OutcomeKind.CREATED
    assert [s.whose for s in await creator.find([lost])] == [Whose.NOBODY]


async def test_a_batch_with_a_name_that_is_taken_makes_the_rest(creator: Creator) -> None:
    await creator.create([wanted("user-3", "botrix:other:7")])
    batch = [wanted(f"user-{n}", f"botrix:job:{n}") for n in range(6)]
    kinds = [o.kind for o in await creator.create(batch)]
    assert kinds.pop(3) in (OutcomeKind.CONFLICT, OutcomeKind.UNKNOWN)
    assert set(kinds) == {OutcomeKind.CREATED}
    seen = [s.whose for s in await creator.find(batch)]
    assert seen.pop(3) is await as_seen(creator, Whose.OTHER_JOB)
    assert set(seen) == {await as_seen(creator, Whose.OURS)}


async def test_a_full_batch(creator: Creator) -> None:
    await creator.check()  # after which the batch is known
    batch = [wanted(f"user-{n}", f"botrix:job:{n}") for n in range(creator.batch)]
    assert {o.kind for o in await creator.create(batch)} == {OutcomeKind.CREATED}
    assert {s.whose for s in await creator.find(batch)} == {await as_seen(creator, Whose.OURS)}


async def test_names_that_would_break_a_filter(creator: Creator) -> None:
    odd = [wanted(name) for name in ('a"b', "a\\b", 'x" or userName pr', "o'hara", "a+b@x.example")]
    await creator.create([wanted("innocent")])
    assert {s.whose for s in await creator.find(odd)} == {Whose.NOBODY}
