"""The line as lists in memory, and the real line held to it call by call.

The model says the contract of each script once more in Python. An answer can be lost on purpose:
the server has done what was asked, and the client hears nothing of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from redis.asyncio import Redis

from botrix.line import keys
from botrix.line.entries import encode
from botrix.line.line import Back, Line, Placing, Rejected, Taken
from botrix.model import Lane

_LETTERS = {Lane.HIGH: b"h", Lane.NORMAL: b"n", Lane.LOW: b"l"}
_OF_LETTER = {letter: lane for lane, letter in _LETTERS.items()}
_ORDERS = {
    0: (Lane.LOW, Lane.HIGH, Lane.NORMAL),
    8: (Lane.NORMAL, Lane.HIGH, Lane.LOW),
}
"""By the number of the take, modulo 16; else high, normal, low."""

Hand = tuple[str, str]
"""A session and its pump."""


class AnswerLost(Exception):
    """The server did it; no error of redis-py, or the line would count as down for a second."""


class LineModel:
    """taken: of each hand, with the letters of the lanes. rejected: how many entries were."""

    def __init__(self) -> None:
        self.lanes: dict[Lane, list[bytes]] = {lane: [] for lane in Lane}
        self.taken: dict[Hand, list[bytes]] = {}
        self.rejected = 0
        self._takes = 0

    def push(self, placed: Iterable[Placing]) -> None:
        for one in placed:
            self.lanes[one.lane].append(encode(one.id, one.place))

    def take(self, hand: Hand, n: int) -> list[bytes]:
        """What was taken and not settled, else up to n entries."""
        if not self.taken.get(hand):
            popped: list[bytes] = []
            for lane in _ORDERS.get((self._takes + 1) % 16, tuple(Lane)):
                entries = self.lanes[lane]
                many = n - len(popped)
                popped += [_LETTERS[lane] + entry for entry in entries[:many]]
                del entries[:many]
            self._takes += bool(popped)
            self.taken[hand] = popped
        return self.taken[hand]

    def settle(
        self, hand: Hand, seen: str, back: Sequence[Back], rejected: Sequence[Rejected]
    ) -> str:
        """seen: the digest of the batch that is to be settled. Another batch is left alone."""
        taken = self.taken.get(hand)
        if not taken or digest(taken) != seen:
            return "already"
        for one in back:
            if not one.head:
                self.lanes[one.lane].append(one.raw)
        for one in reversed(back):
            if one.head:
                self.lanes[one.lane].insert(0, one.raw)
        self.rejected += len(rejected)
        self.taken[hand] = []
        return "settled"

    def give_back(self, sessions: Iterable[str], pumps: Sequence[str]) -> int:
        given = 0
        for hand in [(session, pump) for session in sessions for pump in pumps]:
            taken = self.taken.pop(hand, [])
            for entry in reversed(taken):
                self.lanes[_OF_LETTER[entry[:1]]].insert(0, entry[1:])
            given += len(taken)
        return given

    def flush(self) -> None:
        self.__init__()  # type: ignore[misc]


def digest(taken: Sequence[bytes]) -> str:
    return hashlib.sha1(b"\n".join(taken), usedforsecurity=False).hexdigest()


class WatchedLine(Line):
    """Each call is made on the model too, and their answers are compared. `lose`: the next answer
    to a take is lost."""

    model: LineModel
    lose = False

    def watch(self) -> None:
        """From now on, with an empty line."""
        self.model = LineModel()
        self.lose = False
        self._batches.clear()

    async def take(self, session: str, pump: str, n: int) -> list[Taken]:
        expected = list(self.model.take((session, pump), n))
        answer = await super().take(session, pump, n)
        _same(answer, expected)
        return answer

    async def settle_and_take(
        self, session: str, pump: str, back: Sequence[Back], rejected: Sequence[Rejected], n: int
    ) -> list[Taken]:
        hand = (session, pump)
        self.model.settle(hand, self._batches[hand], back, rejected)
        expected = list(self.model.take(hand, n))
        answer = await super().settle_and_take(session, pump, back, rejected, n)
        _same(answer, expected)
        return answer

    async def settle(
        self, session: str, pump: str, back: Sequence[Back], rejected: Sequence[Rejected]
    ) -> str:
        hand = (session, pump)
        expected = self.model.settle(hand, self._batches[hand], back, rejected)
        answer = await super().settle(session, pump, back, rejected)
        assert answer == expected, f"settled by {hand}: {answer}, not {expected}"
        return answer

    async def half(
        self, session: str, pump: str, back: Sequence[Back], rejected: Sequence[Rejected]
    ) -> None:
        """A settle and take of which only the settle reached the server; no answer."""
        hand = (session, pump)
        self.model.settle(hand, self._batches[hand], back, rejected)
        await self._call("settle", *self._settle(session, pump, back, rejected))

    async def give_back(self, sessions: Iterable[str], pumps: Sequence[str]) -> int:
        gone = list(sessions)
        answer = await super().give_back(gone, pumps)
        expected = self.model.give_back(gone, pumps)
        assert answer == expected, f"given back of {gone}: {answer}, not {expected}"
        return answer

    async def push(self, placed: Sequence[Placing]) -> None:
        await super().push(placed)
        self.model.push(placed)

    def _taken(self, session: str, pump: str, entries: Sequence[bytes]) -> list[Taken]:
        if self.lose:
            self.lose = False
            raise AnswerLost
        return super()._taken(session, pump, entries)


def _same(answer: Sequence[Taken], expected: Sequence[bytes]) -> None:
    taken = [_LETTERS[one.lane] + one.raw for one in answer]
    assert taken == expected, f"taken: {taken}, not {expected}"


async def compare(redis: Redis, model: LineModel, sessions: Iterable[str]) -> None:
    """Every list of the real line with that of the model."""
    hands = [(session, pump) for session in sessions for pump in ("1", "2")]
    pipe = redis.pipeline(transaction=False)
    for lane in Lane:
        pipe.lrange(keys.LANES[lane], 0, -1)
    for session, pump in hands:
        pipe.lrange(keys.taken(session, pump), 0, -1)
    pipe.llen(keys.REJECTED)
    lists: list[Any] = await pipe.execute()
    expected: list[Any] = [model.lanes[lane] for lane in Lane]
    expected += [model.taken.get(hand, []) for hand in hands]
    assert lists == [*expected, model.rejected], "the line differs from its model"
