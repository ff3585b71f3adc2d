"""Whom the line comes to late, and what is claimed for them; on stores that only tell and note."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import cast

import pytest

from botrix.errors import LineDown
from botrix.ledger.ledger import Asked, Claim, Ledger, Placed, Room, Ruling, Verdict
from botrix.line.entries import encode
from botrix.line.line import Line, Placing
from botrix.model import Lane, LeasedAccount, Person
from botrix.worker.claiming import Claiming
from botrix.worker.desk import Desk
from botrix.worker.pump import Rush
from botrix.worker.shares import Shares
from tests.unit.test_solitary import made_desk

_PERSON = Person("n", "e", "g", "f", "d")


class _Ledger:
    """jobs: by tenant, those with a place."""

    def __init__(self, jobs: Mapping[str, Sequence[Placed]]) -> None:
        self.jobs = jobs
        self.tenants = 2
        self.looks: list[str] = []

    async def several_tenants(self) -> bool:
        return self.tenants > 1

    async def waiting(self, after: str, tenants: int, limit: int) -> dict[str, list[Placed]]:
        self.looks.append(after)
        names = [name for name in sorted(self.jobs) if name > after][:tenants]
        return {name: list(self.jobs[name])[:limit] for name in names}

    async def passed_by(self, lane: Lane, _head: int | None, limit: int) -> list[Placed]:
        jobs = [one for jobs in self.jobs.values() for one in jobs if one.lane is lane]
        return sorted(jobs, key=lambda one: one.place)[:limit]


class _Line:
    def __init__(self, lanes: Mapping[Lane, Sequence[bytes]]) -> None:
        self.up = True
        self.lanes = lanes
        self.pushed: list[Placing] = []

    async def heads(self, lane: Lane, n: int) -> list[bytes]:
        if not self.up:
            raise LineDown("down")
        return list(self.lanes.get(lane, ()))[:n]

    async def push(self, placed: Sequence[Placing]) -> None:
        self.pushed += placed

    async def publish(self, _: object) -> None:
        pass


class _Desk:
    several_tenants = False
    quiet = False

    def __init__(self) -> None:
        self.held: dict[tuple[str, str], int] = {}

    async def has_room(self) -> None:
        pass

    def room(self, most: int, _part: float = 1.0) -> Room:
        return Room(most, 75, self.held, 75)


class _Claiming:
    """Gives each its one account, as far as there is `room`; of some, work is left."""

    in_doubt = False

    def __init__(self, ledger: _Ledger) -> None:
        self.owners = {one.id: name for name, jobs in ledger.jobs.items() for one in jobs}
        self.asked: list[list[str]] = []
        self.part = 0.0
        self.room = 1 << 30
        self.left: dict[str, int] = {}
        self.refuse = False

    async def claim(self, asked: list[Asked], part: float) -> Claim:
        self.asked.append([one.id for one in asked])
        if self.refuse:
            return Claim([Ruling(one.id, Verdict.REJECTED, reason="r") for one in asked])
        self.part = part
        claim = Claim()
        for one in asked:
            taken = len(claim.accounts) < self.room
            verdict = Verdict.TAKEN if taken else Verdict.OVER
            claim.rulings.append(Ruling(one.id, verdict, self.left.get(one.id), Lane.LOW))
            if taken:
                who = self.owners[one.id]
                claim.accounts.append(LeasedAccount(who, "d", one.id, 0, 1, _PERSON, b""))
        return claim


class _Setting:
    def __init__(
        self,
        jobs: Mapping[str, Sequence[Placed]],
        line: Mapping[Lane, Sequence[bytes]] | None = None,
        *,
        ahead: int = 2,
    ) -> None:
        self.ledger, self.desk, self.rush = _Ledger(jobs), _Desk(), Rush()
        placed = sorted((one for some in jobs.values() for one in some), key=lambda one: one.place)
        self.line = _Line(line or _entries(*placed))
        self.claiming = _Claiming(self.ledger)
        self.shares = Shares(
            cast(Claiming, self.claiming), cast(Ledger, self.ledger), cast(Line, self.line),
            cast(Desk, self.desk), self.rush,
        )  # fmt: skip
        self.shares.ahead = ahead
        self.rush.note(full=True, passing=False)

    async def asked(self) -> list[str]:
        """For which jobs, at one look; the first tick only finds that there are several tenants."""
        if not self.desk.several_tenants:
            assert await self.shares.tick()  # and again at once
        before = len(self.claiming.asked)
        claimed = await self.shares.tick()
        asked = self.claiming.asked[before:]
        assert claimed == bool(asked)
        return asked[0] if asked else []


def _jobs(name: str, places: range, lane: Lane = Lane.NORMAL) -> list[Placed]:
    return [Placed(f"{name}{place}", place, lane) for place in places]


def _entries(*placed: Placed) -> dict[Lane, list[bytes]]:
    lanes: dict[Lane, list[bytes]] = {}
    for one in placed:
        lanes.setdefault(one.lane, []).append(encode(one.id, one.place))
    return lanes


async def test_those_behind_are_claimed_for_and_the_first_is_not() -> None:
    setting = _Setting({"a": _jobs("a", range(1, 9)), "b": _jobs("b", range(9, 11))})
    assert await setting.asked() == ["b9", "b10"]
    assert setting.claiming.part == pytest.approx(1 / 2)


async def test_tenants_take_turns_and_the_next_look_begins_after_the_last() -> None:
    jobs: dict[str, list[Placed]] = {"a": _jobs("a", range(1, 9))}
    jobs |= {name: _jobs(name, range(at, at + 2)) for name, at in (("b", 10), ("c", 20), ("d", 30))}
    setting = _Setting(jobs)
    setting.claiming.room = 2
    assert await setting.asked() == ["b10", "c20", "d30", "b11", "c21", "d31"]
    assert setting.claiming.part == pytest.approx(3 / 4)
    assert (await setting.asked())[:3] == ["d30", "b10", "c20"]
    assert (await setting.asked())[:3] == ["c20", "d30", "b10"]


async def test_whom_the_line_comes_to_at_once_is_left_to_it() -> None:
    """Also where nothing of theirs is left in the line: then it is in somebody's hands."""
    jobs = {"a": _jobs("a", range(1, 3)), "b": _jobs("b", range(3, 5))}
    assert await _Setting(jobs, ahead=9).asked() == []
    assert await _Setting(jobs, _entries(*jobs["a"]), ahead=9).asked() == []


async def test_a_lane_that_is_full_keeps_those_of_the_next_waiting() -> None:
    """The first of the normal lane stands at its head; but the pumps take from the high one."""
    high, normal = _jobs("a", range(1, 9), Lane.HIGH), _jobs("b", range(9, 11))
    assert await _Setting({"a": high, "b": normal}).asked() == ["b9", "b10"]
    assert await _Setting({"a": high[:1], "b": normal}).asked() == []


async def test_raw_entries_are_nobodys() -> None:
    raw = {Lane.NORMAL: [b'{"id":"raw","count":1}'] * 9}
    setting = _Setting({"b": _jobs("b", range(3, 5))}, raw)
    assert await setting.asked() == ["b3", "b4"]


async def test_while_the_pumps_pass_by_all_but_who_has_its_share_are_claimed_for() -> None:
    setting = _Setting({"a": _jobs("a", range(1, 3)), "b": _jobs("b", range(3, 5))}, ahead=9)
    setting.rush.note(full=False, passing=True)
    setting.desk.held = {("a", "one"): 40, ("a", "two"): 35}
    assert await setting.asked() == ["b3", "b4"]


async def test_without_the_line_the_ledger_tells_who_is_first() -> None:
    setting = _Setting({"a": _jobs("a", range(1, 9)), "b": _jobs("b", range(9, 11))})
    setting.line.up = False
    setting.claiming.left = {"b9": 99}
    assert await setting.asked() == ["b9", "b10"]
    assert setting.line.pushed == []


async def test_a_job_with_work_left_is_pushed_with_its_new_place() -> None:
    setting = _Setting({"a": _jobs("a", range(1, 9)), "b": _jobs("b", range(9, 11))})
    setting.claiming.left = {"b9": 99}
    await setting.asked()
    assert setting.line.pushed == [Placing("b9", 99, Lane.LOW)]


async def test_one_tenant_costs_a_look_a_second_and_idle_ones_none() -> None:
    setting = _Setting({"a": _jobs("a", range(1, 9))})
    setting.ledger.tenants = 1
    for _ in range(3):
        assert not await setting.shares.tick()
        assert setting.shares.interval == pytest.approx(1.0)
    assert not setting.desk.several_tenants
    assert setting.ledger.looks == []
    setting.ledger.tenants = 2
    await setting.shares.tick()
    setting.rush.note(full=False, passing=False)
    tick = asyncio.create_task(setting.shares.tick())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(tick), 0.05)
    assert setting.ledger.looks == []
    setting.rush.note(full=True, passing=False)
    assert not await tick
    assert setting.ledger.looks == [""]


async def test_a_quarter_is_left_to_other_tenants_where_there_are_any() -> None:
    desk = made_desk()
    assert desk.room(100).tenant_share > 100
    desk.several_tenants = True
    assert (desk.room(100).total, desk.room(100).tenant_share) == (10, 7)
    assert desk.room(100, 1 / 2).total == 5


async def test_what_the_ledger_refuses_is_not_claimed_again() -> None:
    setting = _Setting({"a": _jobs("a", range(1, 9)), "b": _jobs("b", range(9, 10))})
    setting.claiming.refuse = True
    await setting.shares.tick()
    for _ in range(3):
        assert not await setting.shares.tick()
    assert setting.claiming.asked == [["b9"]]
