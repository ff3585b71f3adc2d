"""The verbs by which workers share what a directory bears, and agree on whether it is used at all.

Each worker says every half second what it saw of a directory and how much it wants; the answer is
its share. What was seen is gathered in the directory's row, so that all workers together find one
limit (`botrix.throttle`) and one mood (`botrix.breaker`). Shares that were given count until their
worker has asked again, so that they never add up to more than the limit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec
from msgspec.structs import replace

from botrix import breaker, throttle
from botrix.breaker import Mood, Window
from botrix.states import DirectoryStatus
from botrix.throttle import Level, Observed

PRESENT = 3.0
"""Seconds for which a worker's share is kept for it."""
PROBING = 60.0
"""Seconds that a probe may take before another worker probes too."""
_TURN = 2.0
PAUSED = "its directory is paused; see: botrix directory show"
"""What the history of a held job says."""


class Report(msgspec.Struct, frozen=True):
    """Of one directory, since this worker's last. demand: calls that it could make at once; most:
    what the operator allows; seen and window: what came of its calls."""

    tenant_id: str
    name: str
    demand: int
    most: int
    seen: Observed
    window: Window


class Allowance(msgspec.Struct, frozen=True):
    """share: calls at once of this worker; limit: of all. wait: seconds for which the directory
    asked to be left alone. sharers: how many workers ask something of it. again: seconds after
    which to report again."""

    share: int
    limit: int
    status: DirectoryStatus
    reason: str
    wait: float = 0.0
    sharers: int = 1
    again: float = 0.5


class Governed(msgspec.Struct, frozen=True):
    """A directory's row. Times by the clock of the ledger."""

    mood: Mood = Mood()
    level: Level = Level()
    seen: Observed = msgspec.field(default_factory=Observed)
    window: Window = msgspec.field(default_factory=Window)
    decided_at: float = 0.0
    not_before: float = 0.0
    most: int = 0


class User(msgspec.Struct, frozen=True):
    """What a worker wants and was given."""

    demand: int
    share: int
    seen_at: float


class Standing(msgspec.Struct, frozen=True):
    """For people. share of each worker by its session."""

    governed: Governed
    now: float
    users: dict[str, User]


class Use(msgspec.Struct, frozen=True):
    """How a directory is used, for people. status: why it is paused says `reason`; by: who paused
    it, if that was somebody; next_probe_in: seconds. limit: calls at once, of all workers, and why;
    most: what the operator allows, and rate: operations a second. workers: how many use it now, and
    at_once how many calls they may make together."""

    status: DirectoryStatus = DirectoryStatus.WORKING
    reason: str = ""
    since: float | None = None
    next_probe_in: float | None = None
    limit: int | None = None
    limit_reason: str = "it was not used enough yet to tell"
    workers: int = 0
    at_once: int = 0
    by: str = ""


def used(standing: Standing | None) -> Use:
    """None: nothing was ever asked of it."""
    if standing is None:
        return Use()
    row, mood = standing.governed, standing.governed.mood
    probed = mood.status is DirectoryStatus.PAUSED and not mood.by_hand
    users = [user for user in standing.users.values() if user.demand]
    return Use(
        mood.status, mood.reason, mood.since or None,
        max(0.0, mood.probe_at - standing.now) if probed else None,
        _limit(row), _WHY.get(mood.status, row.level.reason), len(users),
        sum(user.share for user in users), _whose(mood),
    )  # fmt: skip


def _whose(mood: Mood) -> str:
    return (mood.by or "somebody") if mood.by_hand else ""


_WHY = {
    DirectoryStatus.PAUSED: "it is paused",
    DirectoryStatus.TRYING: "one call at a time, since it was paused",
}


def govern(
    row: Governed,
    users: Mapping[str, User],
    session: str,
    report: Report,
    now: float,
) -> tuple[Governed, User, Allowance]:
    """The row after a report, the share of who reports, and what is answered."""
    row = _decided(_moody(_gathered(row, report, now), report.window, now), now)
    limit = _limit(row)
    others = {
        one: user for one, user in users.items() if one != session and now - user.seen_at < PRESENT
    }
    wanted = {one: user.demand for one, user in others.items()} | {session: report.demand}
    fair = throttle.share_out(limit, wanted, int(now / _TURN))[session]
    share = max(0, min(fair, limit - sum(user.share for user in others.values())))
    mood = row.mood
    again = throttle.shortest(row.level)
    wait, sharers = max(0.0, row.not_before - now), sum(n > 0 for n in wanted.values())
    why = mood.reason or (f"by {_whose(mood)}" if mood.by_hand else "")
    allowance = Allowance(share, limit, mood.status, why, wait, max(1, sharers), again)
    return row, User(report.demand, share, now), allowance


def probed(row: Governed, problem: str, now: float, patience: float) -> Governed:
    """The row after a probe."""
    return replace(
        row,
        mood=breaker.probed(row.mood, problem, now, patience),
        window=Window(began=now),
        not_before=0.0,
    )


def paused_by(row: Governed, who: str, why: str, now: float) -> Governed:
    """The row after somebody paused it."""
    return replace(row, mood=breaker.paused_by(row.mood, who, why, now), window=Window(began=now))


def resumed(row: Governed, now: float) -> Governed:
    """The row after somebody resumed it."""
    mood = breaker.resumed(row.mood, now)
    return replace(row, mood=mood, window=Window(began=now), not_before=0.0)


def _gathered(row: Governed, report: Report, now: float) -> Governed:
    seen, window = row.seen, row.window
    if now - window.began > breaker.WINDOW:
        window = Window(began=now)
    seen.add(report.seen)
    window.add(report.window)
    not_before = max(row.not_before, now + window.after) if window.after else row.not_before
    window.after = 0.0 if not window.fatal else window.after
    return replace(row, seen=seen, window=window, not_before=not_before, most=report.most)


def _moody(row: Governed, latest: Window, now: float) -> Governed:
    """Failures count together; whether a directory works again, the latest calls tell."""
    working = row.mood.status is DirectoryStatus.WORKING
    mood = breaker.judge(row.mood, row.window if working else latest, now)
    if mood.status is row.mood.status:
        return replace(row, mood=mood)
    level = Level() if mood.status is DirectoryStatus.WORKING else row.level
    return replace(row, mood=mood, window=Window(began=now), level=level)


def _decided(row: Governed, now: float) -> Governed:
    elapsed = now - row.decided_at
    if throttle.is_stale(elapsed):
        before = row.level.tried_from or row.level.limit
        level = replace(row.level, tried_from=0, limit=before)
        return replace(row, seen=Observed(), decided_at=now, level=level)
    if row.mood.status in (DirectoryStatus.PAUSED, DirectoryStatus.TRYING):
        return replace(row, seen=Observed(), decided_at=now)
    if not throttle.is_enough(row.level, row.seen, elapsed):
        return row
    level = throttle.decide(row.level, row.seen, elapsed, row.most)
    return replace(row, level=level, seen=Observed(), decided_at=now)


def _limit(row: Governed) -> int:
    match row.mood.status:
        case DirectoryStatus.PAUSED:
            return 0
        case DirectoryStatus.TRYING:
            return 1
        case _:
            return max(1, min(row.level.limit, row.most))


class Governing(Protocol):
    """govern answers each report. due_probe gives a paused directory whose time has come, to nobody
    else for a minute; probed says what came of it ("": it can be used). release lets the jobs go on
    that were held for a directory that is used again, whether there are more: one job of a
    directory that is only being tried. standing: None where nothing was ever asked of it."""

    async def govern(self, session: str, reports: Sequence[Report]) -> list[Allowance]: ...

    async def due_probe(self) -> tuple[str, str] | None: ...

    async def probed(self, tenant_id: str, name: str, problem: str, patience: float) -> None: ...

    async def release(self, limit: int) -> bool: ...

    async def standing(self, tenant_id: str, name: str) -> Standing | None: ...
