"""Bulk: each account gets the outcome that it would have got alone, whatever becomes of the whole,
and nothing is made twice."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from botrix.creators.creator import Creator, Wanted, Whose
from botrix.creators.gate import Gate
from botrix.creators.scim.creator import open_creator
from botrix.model import LeasedAccount, Outcome, OutcomeKind, Person
from botrix.worker.attempt import attempt
from tests.creators.conftest import opened
from tests.servers.scim import TOKEN, SimulatedDirectory

CREATED, RETRY, REJECTED, UNKNOWN = (
    OutcomeKind.CREATED, OutcomeKind.RETRY, OutcomeKind.REJECTED, OutcomeKind.UNKNOWN,
)  # fmt: skip


def accounts(n: int) -> list[LeasedAccount]:
    return [
        LeasedAccount("default", "d", "job", i, 1, Person(f"u{i}", f"u{i}@x", "A", "B", "C"), b"")
        for i in range(n)
    ]


def wanted_of(one: LeasedAccount) -> Wanted:
    return Wanted(one.tag, one.person, f"Pass-w0rd!{one.index}")


async def tried(creator: Creator, batch: Sequence[LeasedAccount]) -> list[Outcome]:
    return await attempt(creator, batch, [wanted_of(one) for one in batch], lambda: True)


async def kinds_of(creator: Creator, n: int) -> Counter[OutcomeKind]:
    return Counter(outcome.kind for outcome in await tried(creator, accounts(n)))


async def all_once(directory: SimulatedDirectory, n: int) -> None:
    assert directory.created() == Counter({f"u{i}": 1 for i in range(n)})
    tags = [entry["externalId"] for entry in await directory.entries()]
    assert sorted(tags) == sorted(f"botrix:job:{i}" for i in range(n))
    for i in range(n):
        assert await directory.logs_in({"userName": f"u{i}", "password": f"Pass-w0rd!{i}"})


def calls(directory: SimulatedDirectory, verb: str) -> list[dict[str, Any]]:
    return [call for call in directory.calls() if call["verb"] == verb]


@pytest.fixture
def config(directory: SimulatedDirectory, token_file: str) -> dict[str, Any]:
    return {"url": directory.url, "token_file": token_file}


async def begin(directory: SimulatedDirectory, *rules: dict[str, Any], **bulk: Any) -> None:
    await directory.misbehave(bulk={"most": 500, **bulk}, rules=list(rules))


async def test_many_are_created_by_one_request(
    directory: SimulatedDirectory, config: dict[str, Any]
) -> None:
    await begin(directory)
    async with opened("scim", config) as creator:
        assert creator.batch == 8
        assert await kinds_of(creator, 150) == {CREATED: 150}
        assert creator.batch == 200
        assert calls(directory, "find") == []  # each was told by the answer
        assert "by one request (Bulk)" in " ".join((await creator.check()).can)
    assert [call.get("operations") for call in calls(directory, "bulk")] == [150, 0]
    await all_once(directory, 150)


async def test_it_can_be_switched_off(
    directory: SimulatedDirectory, config: dict[str, Any]
) -> None:
    await begin(directory)
    async with opened("scim", {**config, "bulk": False}) as creator:
        assert await kinds_of(creator, 20) == {CREATED: 20}
        assert creator.batch == 8
        assert "Bulk" not in " ".join((await creator.check()).can)
    assert calls(directory, "bulk") == []


@pytest.mark.parametrize(
    ("most", "payload", "requests"), [(7, 1 << 20, 5), (500, 3000, 4), (500, 400, 0), (1, 9999, 0)]
)
async def test_it_keeps_within_what_was_announced(
    directory: SimulatedDirectory, config: dict[str, Any], most: int, payload: int, requests: int
) -> None:
    """A body above the payload would be refused, and split: there would be more requests."""
    await begin(directory, most=most, payload=payload)
    async with opened("scim", config) as creator:
        assert await kinds_of(creator, 30) == {CREATED: 30}
    sent = calls(directory, "bulk")
    assert {call["status"] for call in sent} <= {200}
    assert len(sent) == requests
    await all_once(directory, 30)


async def test_a_payload_is_used_to_its_last_byte(
    directory: SimulatedDirectory, config: dict[str, Any]
) -> None:
    """What is sent is what was counted: with a byte less, one account has no room."""
    sizes = []
    for payload in (1 << 20, 0, -1):
        await begin(directory, payload=(sizes[0] + payload) if sizes else payload)
        async with opened("scim", config) as creator:
            made = [replace(a, job_id=f"j{len(sizes)}") for a in accounts(9)]
            people = [replace(a.person, username=f"{a.person.username}é{a.job_id}") for a in made]
            batch = [replace(a, person=p) for a, p in zip(made, people, strict=True)]
            before = len(calls(directory, "bulk"))
            outcomes = await tried(creator, batch)
            assert {o.kind for o in outcomes} == {CREATED}
        sent = calls(directory, "bulk")[before:]
        assert {call["status"] for call in sent} == {200}
        assert [call["operations"] for call in sent] == [8 if payload == -1 else 9]
        sizes.append(max(call["bytes"] for call in sent))
    assert sizes[0] == sizes[1] > sizes[2]


@pytest.mark.parametrize("quirk", ["reverse", "numbers", "shows"])
async def test_answers_come_in_any_order_and_form(
    directory: SimulatedDirectory, config: dict[str, Any], quirk: str
) -> None:
    await begin(directory, {"do": "400", "match": "u3@"}, **{quirk: True})
    async with opened("scim", config) as creator:
        outcomes = await tried(creator, accounts(10))
        ids = {e["userName"]: e["id"] for e in await directory.entries()}
    assert outcomes.pop(3).kind is REJECTED
    assert {o.kind for o in outcomes} == {CREATED}
    assert [o.entry_id for o in outcomes] == [ids[f"u{i}"] for i in range(10) if i != 3]


@pytest.mark.parametrize("quirk", ["forgets", "doubles"])
async def test_one_that_is_missing_or_there_twice_is_looked_for(
    directory: SimulatedDirectory, config: dict[str, Any], quirk: str
) -> None:
    await begin(directory, **{quirk: 3})
    async with opened("scim", config) as creator:
        outcomes = await creator.create([wanted_of(one) for one in accounts(9)])
        assert [o.kind for o in outcomes] == [CREATED, CREATED, UNKNOWN] * 3
        assert "in the answer of the Bulk" in (outcomes[2].detail or "")
        left = [replace(one, find_first=True) for one in accounts(9)[2::3]]
        assert {o.reason for o in await tried(creator, left)} == {"adopted"}
    await all_once(directory, 9)


@pytest.mark.parametrize(
    ("rule", "kind", "reason", "counted"),
    [
        ({"do": "400"}, REJECTED, "rejected", True),
        ({"do": "409"}, UNKNOWN, "not visible yet", False),
        ({"do": "500"}, UNKNOWN, "no clear answer", True),
        ({"do": "403"}, RETRY, "credentials refused", False),
        ({"do": "429"}, RETRY, "too many requests", False),
        ({"do": "500", "done": True}, CREATED, "adopted", True),
    ],
)
async def test_an_operation_means_what_it_would_alone(
    directory: SimulatedDirectory, config: dict[str, Any], rule: Any, kind: Any, reason: str,
    counted: bool,
) -> None:  # fmt: skip
    await begin(directory, {**rule, "match": "u1@"})
    async with opened("scim", config) as creator:
        outcomes = await tried(creator, accounts(4))
    assert [o.kind for o in outcomes] == [CREATED, kind, CREATED, CREATED]
    assert (outcomes[1].reason, outcomes[1].counted) == (reason, counted)


async def test_the_patience_of_an_operation_is_kept(
    directory: SimulatedDirectory, config: dict[str, Any]
) -> None:
    await begin(directory, {"do": "429", "match": "u1@", "retry_after": "1", "times": 1})
    async with opened("scim", config) as creator:
        outcomes = await tried(creator, accounts(3))
        assert outcomes[1].retry_after == 1.0
        began = time.monotonic()
        (again,) = await tried(creator, accounts(2)[1:])
    assert again.kind is CREATED
    assert time.monotonic() - began > 0.8


@pytest.mark.parametrize("n", [2, 31, 64])
@pytest.mark.parametrize("bad", [0, 1, -1])
async def test_a_bad_row_is_brought_out_and_alone_refused(
    directory: SimulatedDirectory, config: dict[str, Any], n: int, bad: int
) -> None:
    """Its server does what comes before it, and then refuses all."""
    batch = accounts(n)
    person = replace(batch[bad].person, username="ubad", email="b@x")
    batch[bad] = replace(batch[bad], person=person)
    await begin(directory, {"do": "400", "match": '"b@x"'}, bad="ubad")
    async with opened("scim", config) as creator:
        outcomes = await tried(creator, batch)
        assert outcomes.pop(bad).kind is REJECTED
    assert {o.kind for o in outcomes} == {CREATED}
    assert len(calls(directory, "bulk")) <= 2 * n.bit_length()
    assert set(directory.created().values()) == {1}


async def test_what_breaks_half_way_is_done_by_halves(
    directory: SimulatedDirectory, config: dict[str, Any]
) -> None:
    """Those that it had made before it broke are found as ours; none is made a second time."""
    await begin(directory, breaks_after=5)
    async with opened("scim", config) as creator:
        outcomes = await tried(creator, accounts(16))
        assert {o.kind for o in outcomes} == {CREATED}
    assert TOKEN not in repr(outcomes)
    await all_once(directory, 16)


@pytest.mark.parametrize("quirk", ["drop_external_id", "duplicate_is_500", "ignore_filter"])
async def test_breaking_half_way_at_a_server_with_deviations(
    directory: SimulatedDirectory, config: dict[str, Any], quirk: str
) -> None:
    await directory.misbehave(bulk={"most": 500, "breaks_after": 5}, **{quirk: True})
    batch = [replace(a, template="") for a in accounts(16)]
    wanted = [replace(wanted_of(one), unguessable=True) for one in batch]
    async with opened("scim", config) as creator:
        outcomes = await attempt(creator, batch, wanted, lambda: True)
    assert {o.kind for o in outcomes} == {CREATED}
    assert directory.created() == Counter({f"u{i}": 1 for i in range(16)})


async def test_one_that_is_too_large_teaches_how_large_it_may_be(
    directory: SimulatedDirectory, config: dict[str, Any]
) -> None:
    await begin(directory, bears=12)
    async with opened("scim", config) as creator:
        assert await kinds_of(creator, 40) == {CREATED: 40}
        assert creator.batch == 10
        refused = [c for c in calls(directory, "bulk") if c["status"] == 413]
        more = [replace(a, index=a.index + 40) for a in accounts(10)]
        people = [replace(a.person, username=f"more{a.index}") for a in more]
        await tried(creator, [replace(a, person=p) for a, p in zip(more, people, strict=True)])
    assert len([c for c in calls(directory, "bulk") if c["status"] == 413]) == len(refused)


@pytest.mark.parametrize("do", ["501", "404", "405"])
async def test_where_there_is_none_after_all_they_go_one_by_one(
    directory: SimulatedDirectory, config: dict[str, Any], do: str
) -> None:
    await begin(directory, {"do": do, "on": "bulk"})
    async with opened("scim", config) as creator:
        assert await kinds_of(creator, 20) == {CREATED: 20}
        assert creator.batch == 8
        check = await creator.check()
    assert any("announces Bulk and has none" in d.what for d in check.deviations)
    assert len(calls(directory, "bulk")) == 1
    await all_once(directory, 20)


async def test_that_there_is_none_is_seen_by_the_check(
    directory: SimulatedDirectory, config: dict[str, Any]
) -> None:
    await begin(directory, absent=True)
    async with opened("scim", config) as creator:
        check = await creator.check()
    assert any("announces Bulk and has none" in d.what for d in check.deviations)
    assert await directory.entries() == []


@pytest.mark.parametrize("do", ["502", "503", "reset", "junk", "huge", "hang", "redirect"])
@pytest.mark.parametrize("done", [True, False])
async def test_a_lost_answer_leaves_all_in_doubt_and_nothing_is_sent_again_unseen(
    directory: SimulatedDirectory, config: dict[str, Any], do: str, done: bool
) -> None:
    await begin(directory, {"do": do, "on": "bulk", "done": done, "times": 1})
    async with opened("scim", config, timeout=1.0) as creator:
        outcomes = await creator.create([wanted_of(one) for one in accounts(6)])
        assert {o.kind for o in outcomes} == {UNKNOWN}
        assert bool(calls(directory, "create")) is done
        left = [replace(a, find_first=True) for a in accounts(6)]
        assert {o.kind for o in await tried(creator, left)} == {CREATED}
    assert len(calls(directory, "bulk")) == 1
    await all_once(directory, 6)


async def test_one_that_kills_each_bulk_takes_no_neighbours_along_twice(
    directory: SimulatedDirectory, config: dict[str, Any]
) -> None:
    await begin(
        directory,
        {"do": "reset", "on": "bulk", "match": '"u5"'},
        {"do": "reset", "on": "create", "match": '"u5"'},
    )
    async with opened("scim", config) as creator:
        await tried(creator, accounts(12))
        for n in (12, 24):
            left = [replace(a, find_first=a.index < 12) for a in accounts(n)]
            outcomes = await tried(creator, left)
            assert outcomes.pop(5).kind is UNKNOWN
            assert {o.kind for o in outcomes} == {CREATED}
    assert set(directory.created().values()) == {1}
    assert len(directory.created()) == 23
    assert [c["fault"] for c in calls(directory, "bulk")] == ["reset", "", ""]


@pytest.mark.parametrize(
    ("do", "reason"), [("429", "too many requests"), ("401", "credentials refused")]
)
async def test_where_fewer_would_not_help_it_is_not_split(
    directory: SimulatedDirectory, config: dict[str, Any], do: str, reason: str
) -> None:
    await begin(directory, {"do": do, "on": "bulk", "times": 1, "retry_after": "1"})
    async with opened("scim", config) as creator:
        outcomes = await creator.create([wanted_of(one) for one in accounts(9)])
        assert {(o.kind, o.reason, o.counted) for o in outcomes} == {(RETRY, reason, False)}
        assert len(calls(directory, "bulk")) == 1
        assert await kinds_of(creator, 9) == {CREATED: 9}
    assert len(calls(directory, "bulk")) == 2


async def test_a_server_that_only_breaks_is_not_asked_without_end(
    directory: SimulatedDirectory, config: dict[str, Any]
) -> None:
    await begin(directory, {"do": "500", "on": "bulk"}, {"do": "500"})
    async with opened("scim", config) as creator:
        outcomes = await creator.create([wanted_of(one) for one in accounts(200)])
    assert {o.kind for o in outcomes} == {UNKNOWN}
    assert len(directory.calls()) < 30


async def test_no_outcome_shows_a_password_of_the_batch(
    directory: SimulatedDirectory, config: dict[str, Any]
) -> None:
    """Of a server that repeats what was sent to it."""
    batch = [wanted_of(one) for one in accounts(8)]
    async with opened("scim", config) as creator:
        for on in ("bulk", "create"):
            for do in ("400", "429", "502"):
                await begin(directory, {"do": do, "on": on, "echo": True})
                assert "Pass-w0rd" not in repr(await creator.create(batch))


async def test_one_request_is_one_call_of_many_operations(
    directory: SimulatedDirectory, config: dict[str, Any]
) -> None:
    await begin(directory)
    gate = Gate()
    creator = await open_creator(config, 5.0, gate)
    await creator.create([wanted_of(accounts(1)[0])])
    gate.taken()
    await creator.create([wanted_of(one) for one in accounts(30)[1:]])
    tally = gate.taken()
    await creator.close()
    assert (tally.operations, tally.of(*tally.answers)) == (29, 1)


async def test_a_tag_is_no_secret_and_its_bulk_id_is_its_own(
    directory: SimulatedDirectory, config: dict[str, Any]
) -> None:
    """Also of two that bear one tag."""
    await begin(directory)
    one = wanted_of(accounts(1)[0])
    other = replace(one, person=replace(one.person, username="other"))
    async with opened("scim", config) as creator:
        outcomes = await creator.create([one, other, one])
        assert [o.kind for o in outcomes] == [CREATED, CREATED, OutcomeKind.CONFLICT]
        assert [s.whose for s in await creator.find([one, other])] == [Whose.OURS] * 2
    assert json.dumps(one.password) not in directory.log.read_text()
