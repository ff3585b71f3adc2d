"""Usernames that come twice in one roster. One that was given makes a bad row of the later one; one
that was made goes on with a number: anna.meier, anna.meier2, anna.meier3, in the order of the rows.

Only the roster itself is looked at, never the directory or another job: so the same roster gives
the same names again, and what is there already is found under them. Pure; whoever keeps the rows
tells by `look` which names are taken. Room: one batch, and the next number of the last REMEMBERED
names. Where a number is not remembered it is searched in steps that double, for a whole batch at
once, so that half a million rows of one name cost no more than as many of different ones.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from botrix.errors import InvalidInput
from botrix.model import Person

Look = Callable[[Collection[str]], Awaitable[Mapping[str, int]]]
"""Of these names, in lower case, those that an earlier batch has, with their rows."""
BadOnes = list[tuple[int, str]]
_NUMBER = re.compile(r"[^@]*?([0-9]+)(?:@|\Z)")
REMEMBERED = 20_000
_AHEAD = 4096


@dataclass(frozen=True, slots=True)
class Naming:
    """Of a row whose username is made. most: the longest that it may be; named: who it is under
    another username, raises InvalidInput where that cannot be; had: the username that it had in an
    earlier job, where it failed there and comes again."""

    most: int
    named: Callable[[str], Person]
    had: str | None = None


@dataclass(frozen=True, slots=True)
class RosterRow:
    """A good row, on its way to become an account. `number` is that of the file; naming: where its
    username may give way."""

    number: int
    person: Person
    password: str = field(repr=False)
    naming: Naming | None = field(default=None, repr=False)


def shortened(name: str, most: int, tail: str = "") -> str | None:
    """With the tail behind what comes before an @, cut so that it is not longer than `most`; None
    where that leaves nothing."""
    local, at, domain = name.partition("@")
    room = most - len(at + domain) - len(tail)
    if len(local) > room:
        local = local[: max(room, 0)].rstrip(".-+")
    return f"{local}{tail}{at}{domain}" if local else None


def is_numbered(name: str, most: int, other: str) -> bool:
    """Whether the other one is the name with a number behind it."""
    found = _NUMBER.match(other)
    digits = found[1] if found else ""
    return any(shortened(name, most, digits[at:]) == other for at in range(len(digits)))


class Repeats:
    """Of one roster, batch by batch."""

    def __init__(self) -> None:
        self._next: OrderedDict[str, int] = OrderedDict()

    async def settle(
        self, rows: Sequence[RosterRow], look: Look
    ) -> tuple[list[RosterRow], BadOnes]:
        """The rows that become accounts, under names of their own; and the others, with why."""
        taken = _Taken(look)
        await taken.ask(row.person.username for row in rows)
        start = await self._searched(rows, taken) | self._remembered(rows)
        batch, ahead = _Batch(taken, start), 1
        while unasked := batch.names(rows, ahead):
            await taken.ask(unasked)
            batch, ahead = _Batch(taken, start), min(2 * ahead, _AHEAD)
        self._remember(batch.next)
        return batch.settled()

    def _remembered(self, rows: Iterable[RosterRow]) -> dict[str, int]:
        stems = {_stem(row, row.naming) for row in rows if row.naming}
        return {stem: n for stem in stems if (n := self._next.get(stem))}

    async def _searched(self, rows: Sequence[RosterRow], taken: _Taken) -> dict[str, int]:
        """The next numbers of names that are taken and not remembered."""
        found: dict[str, _Search] = {}
        for row in rows:
            if row.naming and taken.row(row.person.username):
                stem = _stem(row, row.naming)
                if stem not in self._next:
                    found[stem] = _Search(row.person.username, row.naming.most)
        searching = list(found.values())
        while searching:
            await taken.ask(name for one in searching if (name := one.probe))
            searching = [one for one in searching if not one.learn(taken)]
        return {stem: one.free for stem, one in found.items()}

    def _remember(self, numbers: Mapping[str, int]) -> None:
        for stem, n in numbers.items():
            self._next[stem] = n
            self._next.move_to_end(stem)
        while len(self._next) > REMEMBERED:
            self._next.popitem(last=False)


def _stem(row: RosterRow, naming: Naming) -> str:
    """What the row's names with numbers have in common."""
    return shortened(row.person.username, naming.most, "#") or row.person.username


class _Taken:
    """What was found out about names."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._rows: dict[str, int | None] = {}

    async def ask(self, names: Iterable[str]) -> None:
        new = {name.lower() for name in names} - self._rows.keys()
        if new:
            self._rows |= dict.fromkeys(new) | dict(await self._look(new))

    def knows(self, name: str) -> bool:
        return name.lower() in self._rows

    def row(self, name: str) -> int | None:
        return self._rows.get(name.lower())


class _Search:
    """For a number that is free where the one below it is taken: doubling steps, then halves."""

    def __init__(self, name: str, most: int) -> None:
        self._name = name
        self._most = most
        self._low, self._step, self._high = 1, 1, 0  # high: 0 until a free one was seen

    @property
    def free(self) -> int:
        return self._high

    @property
    def _number(self) -> int:
        return (self._low + self._high) // 2 if self._high else self._low + self._step

    @property
    def probe(self) -> str | None:
        return shortened(self._name, self._most, str(self._number))

    def learn(self, taken: _Taken) -> bool:
        """Whether it is found."""
        n, name = self._number, self.probe
        if name is None or taken.row(name) is None:
            self._high = n
        else:
            self._low, self._step = n, 2 * self._step
        return self._high == self._low + 1


class _Batch:
    """One try to name the rows of a batch; what nobody was asked about counts as free."""

    def __init__(self, taken: _Taken, start: Mapping[str, int]) -> None:
        self._taken = taken
        self._start = start
        self._mine: dict[str, int] = {}
        self._named: list[tuple[RosterRow, str]] = []
        self._bad: BadOnes = []
        self._unasked: list[str] = []
        self.next: dict[str, int] = {}

    def names(self, rows: Sequence[RosterRow], ahead: int) -> list[str]:
        """Those that must be asked about before it can be sure; of each, `ahead` numbers."""
        for row in rows:
            first = self._row(row.person.username)
            if first is None:
                self._keep(row, row.person.username)
            elif row.naming is None:
                self._bad.append((row.number, f"repeats the user name of row {first}"))
            elif name := self._numbered(row, row.naming, ahead):
                self._keep(row, name)
            else:
                reason = f"repeats the user name of row {first}, and there is no room for a number"
                self._bad.append((row.number, reason))
        return self._unasked

    def settled(self) -> tuple[list[RosterRow], BadOnes]:
        good = []
        for row, name in self._named:
            try:
                good.append(_under(row, name))
            except InvalidInput as error:  # its number stays unused
                self._bad.append((row.number, str(error)))
        return good, sorted(self._bad)

    def _row(self, name: str) -> int | None:
        return self._mine.get(name.lower()) or self._taken.row(name)

    def _keep(self, row: RosterRow, name: str) -> None:
        self._mine[name.lower()] = row.number
        self._named.append((row, name))

    def _numbered(self, row: RosterRow, naming: Naming, ahead: int) -> str | None:
        stem, whole = _stem(row, naming), row.person.username
        n = self.next.get(stem) or self._start.get(stem) or 2
        while name := shortened(whole, naming.most, str(n)):
            n += 1
            if not self._taken.knows(name):
                more = (shortened(whole, naming.most, str(n + i)) for i in range(ahead - 1))
                self._unasked += [name, *(one for one in more if one)]
            if self._row(name) is None:
                break
        self.next[stem] = n
        return name


def _under(row: RosterRow, name: str) -> RosterRow:
    if row.naming is None or name == row.person.username:
        return row
    return replace(row, person=row.naming.named(name), naming=None)
