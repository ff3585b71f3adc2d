"""The simulated directory: the only fake. In memory, unique by user name, fails on demand.

Without any setting it is the no-op of the benchmarks. Each worker process has its own.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from heapq import nsmallest
from typing import Any

from botrix.creators.creator import Check, Entries, Entry, Member, Sighting, Wanted, Whose
from botrix.creators.declared import Setting, Type, names
from botrix.creators.gate import Gate
from botrix.errors import DirectoryError
from botrix.model import Outcome, OutcomeKind

SEALED: tuple[str, ...] = ()
DEMANDS_A_CHANGE = True
GATED = False
_PAGE = 500


@dataclass(frozen=True, slots=True)
class Faults:
    """delay: seconds per call; fail_rate, lose_rate: shares of creates and new passwords that fail,
    or that happen without an answer; fail_first: so many creates of each name fail; reject: names
    with this text are refused; forget: keep no entry (for endless load)."""

    delay: float = 0.0
    fail_rate: float = 0.0
    lose_rate: float = 0.0
    fail_first: int = 0
    reject: str = ""
    forget: bool = False
    seed: int | None = None
    batch: int = 500
    concurrency: int = 4


_TYPES = {"float": Type.NUMBER, "int": Type.INTEGER, "bool": Type.BOOLEAN, "str": Type.TEXT}
_HELP = {
    "delay": "Seconds that each call takes.",
    "fail_rate": "The share of creates and new passwords that fail, from 0 to 1.",
    "lose_rate": "The share of those that happen without an answer, from 0 to 1.",
    "fail_first": "So many creates of each name fail.",
    "reject": "Names with this text are refused.",
    "forget": "Keep no entry, for endless load.",
    "seed": "For the same faults each time.",
    "batch": "Accounts a call.",
    "concurrency": "Calls at once.",
}
_RANGES = {"batch": (1, 500), "concurrency": (1, 256)}
SETTINGS = tuple(
    Setting(one.name, _HELP[one.name], _TYPES[one.type.split()[0]], default=one.default)
    for one in fields(Faults)
)


async def open_creator(config: Mapping[str, Any], timeout: float, gate: Gate) -> SimulatedCreator:
    """config: the fields of Faults; `timeout` is of no use here."""
    unknown = set(config) - names(SETTINGS)
    if unknown:
        raise DirectoryError(f"a simulated directory has no setting {sorted(unknown)[0]!r}")
    if wrong := [one.name for one in SETTINGS if not _usable(one, config)]:
        raise DirectoryError(f"`{wrong[0]}` of a simulated directory cannot be used; correct it")
    return SimulatedCreator(Faults(**config))


def _usable(one: Setting, config: Mapping[str, Any]) -> bool:
    value = config.get(one.name, one.default)
    match one.type:
        case Type.NUMBER:
            share = one.name.endswith("_rate")
            return type(value) in (int, float) and 0 <= value <= (1 if share else 86_400)
        case Type.INTEGER:
            least, most = _RANGES.get(one.name, (0, 2**31))
            return (value is None and one.default is None) or (
                type(value) is int and least <= value <= most
            )
        case Type.BOOLEAN:
            return type(value) is bool
    return isinstance(value, str)


class SimulatedCreator:
    """See Faults."""

    kind = "simulated"
    unique_key = "username"

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self.batch = faults.batch
        self.concurrency = faults.concurrency
        self._rng = random.Random(faults.seed)  # noqa: S311  a fault is no secret
        self.entries: dict[str, str] = {}
        self._disabled: set[str] = set()
        self.groups: dict[str, set[str]] = {}
        self._tried: Counter[str] = Counter()

    async def check(self) -> Check:
        return Check(True, (f"{len(self.entries)} entries in memory", "keeps groups"))

    async def find(self, wanted: Sequence[Wanted]) -> Sequence[Sighting]:
        await self._pause()
        return [self._sighting(one) for one in wanted]

    async def ours(self, after: str | None) -> Entries:
        await self._pause()
        later = (key for key in self.entries if key > (after or ""))
        keys = nsmallest(_PAGE, (key for key in later if self.entries[key].startswith("botrix:")))
        return Entries([self._entry(key) for key in keys], keys[-1] if len(keys) == _PAGE else None)

    async def create(self, wanted: Sequence[Wanted]) -> Sequence[Outcome]:
        await self._pause()
        return [self._create(one) for one in wanted]

    async def join(self, members: Sequence[Member]) -> Sequence[Outcome]:
        await self._pause()
        for one in members:
            for group in one.groups:
                self.groups.setdefault(group, set()).add(one.entry_id)
        return [Outcome(OutcomeKind.CREATED, one.entry_id) for one in members]

    async def set_password(self, entry_id: str, password: str) -> Outcome:
        """Of any entry, since it may be another process that holds it."""
        await self._pause()
        if self._faults.fail_rate and self._rng.random() < self._faults.fail_rate:
            return Outcome(OutcomeKind.RETRY, reason="failed on demand")
        if self._faults.lose_rate and self._rng.random() < self._faults.lose_rate:
            return Outcome(OutcomeKind.UNKNOWN, reason="answer lost on demand")
        return Outcome(OutcomeKind.CREATED, entry_id=entry_id)

    async def disable(self, entry_id: str) -> Outcome:
        outcome = self._known(entry_id)
        if outcome.kind is OutcomeKind.CREATED:
            self._disabled.add(entry_id)
        return outcome

    async def delete(self, entry_id: str) -> Outcome:
        outcome = self._known(entry_id)
        self.entries.pop(entry_id, None)
        self._disabled.discard(entry_id)
        return outcome

    async def close(self) -> None:
        self.entries.clear()

    async def _pause(self) -> None:
        if self._faults.delay:
            await asyncio.sleep(self._faults.delay)

    def _create(self, one: Wanted) -> Outcome:
        faults, key = self._faults, one.person.username.casefold()
        if faults.reject and faults.reject in key:
            return Outcome(OutcomeKind.REJECTED, reason="rejected", detail="refused on demand")
        if faults.fail_first:
            self._tried[key] += 1
            if self._tried[key] <= faults.fail_first:
                return Outcome(OutcomeKind.RETRY, reason="failed on demand")
        if faults.fail_rate and self._rng.random() < faults.fail_rate:
            return Outcome(OutcomeKind.RETRY, reason="failed on demand")
        if key in self.entries:
            return Outcome(OutcomeKind.CONFLICT, reason="name taken")
        if not faults.forget:
            self.entries[key] = one.tag
        if faults.lose_rate and self._rng.random() < faults.lose_rate:
            return Outcome(OutcomeKind.UNKNOWN, reason="answer lost on demand")
        return Outcome(OutcomeKind.CREATED, entry_id=key)

    def _sighting(self, one: Wanted) -> Sighting:
        key = one.person.username.casefold()
        if key not in self.entries:
            return Sighting(Whose.NOBODY)
        entry = self._entry(key)
        if entry.tag == one.tag:
            return entry.seen(Whose.OURS)
        return entry.seen(Whose.OTHER_JOB if entry.is_of_botrix else Whose.FOREIGN)

    def _entry(self, key: str) -> Entry:
        """It keeps nothing of a person, so that many entries are small."""
        return Entry(key, key, self.entries[key], active=key not in self._disabled)

    def _known(self, entry_id: str) -> Outcome:
        if entry_id in self.entries:
            return Outcome(OutcomeKind.CREATED, entry_id=entry_id)
        return Outcome(OutcomeKind.REJECTED, reason="no such entry")
