"""The simulated directory: the only fake. In memory, unique by user name, fails on demand.

Without any setting it is the no-op of the benchmarks. Each worker process has its own.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from botrix.creators.creator import Check, Member, Sighting, Wanted, Whose
from botrix.creators.gate import Gate
from botrix.errors import DirectoryError
from botrix.model import Outcome, OutcomeKind

SEALED: tuple[str, ...] = ()
DEMANDS_A_CHANGE = True
GATED = False


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


async def open_creator(config: Mapping[str, Any], timeout: float, gate: Gate) -> SimulatedCreator:
    """config: the fields of Faults; `timeout` is of no use here."""
    unknown = set(config) - {f.name for f in fields(Faults)}
    if unknown:
        raise DirectoryError(f"a simulated directory has no setting {sorted(unknown)[0]!r}")
    return SimulatedCreator(Faults(**config))


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
        self.groups: dict[str, set[str]] = {}
        self._tried: Counter[str] = Counter()

    async def check(self) -> Check:
        return Check(True, (f"{len(self.entries)} entries in memory", "keeps groups"))

    async def find(self, wanted: Sequence[Wanted]) -> Sequence[Sighting]:
        await self._pause()
        return [self._sighting(one) for one in wanted]

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
        return self._known(entry_id)

    async def delete(self, entry_id: str) -> Outcome:
        outcome = self._known(entry_id)
        self.entries.pop(entry_id, None)
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
        tag = self.entries.get(key)
        if tag is None:
            return Sighting(Whose.NOBODY)
        if tag == one.tag:
            return Sighting(Whose.OURS, key)
        return Sighting(Whose.OTHER_JOB if tag.startswith("botrix:") else Whose.FOREIGN, key)

    def _known(self, entry_id: str) -> Outcome:
        if entry_id in self.entries:
            return Outcome(OutcomeKind.CREATED, entry_id=entry_id)
        return Outcome(OutcomeKind.REJECTED, reason="no such entry")
