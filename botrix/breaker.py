"""When the jobs of a directory are paused, and when they go on. Pure.

It is paused where asking on would help nobody: the operator's credentials or the certificate are
refused, it says that it is down for maintenance, or most calls fail. Then a worker probes it, first
after a second and ever less often. After a probe that went well one call at a time is tried; the
first that does what it should resumes the directory. What fails meanwhile costs no account a try. A
directory that has been failing for `patience` is tried nevertheless, so that its jobs end. One that
somebody paused is not probed, and waits until somebody resumes it.
(Nygard, "Release It!", 2007: Circuit Breaker.)
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from botrix.states import DirectoryStatus

_LONGEST = 60.0
_MANY = 20
_MOST = 0.7
_UNAVAILABLE = 3
WINDOW = 10.0
"""Seconds over which failures are counted."""
NEVER = 4e9
"""The next probe of what was paused by hand. It is known by this, since a worker of an earlier
release keeps it, and drops who it was."""


class Mood(msgspec.Struct, frozen=True):
    """Times by the clock of the ledger. probes: how many went wrong; failing_since: of the first
    pause since it last worked. by: who paused it, if that was somebody."""

    status: DirectoryStatus = DirectoryStatus.WORKING
    reason: str = ""
    since: float = 0.0
    probe_at: float = 0.0
    probes: int = 0
    failing_since: float = 0.0
    by: str = ""

    @property
    def by_hand(self) -> bool:
        return self.status is DirectoryStatus.PAUSED and self.probe_at >= NEVER


class Window(msgspec.Struct):
    """What calls came to since `began`. unavailable: of the failed, those that were told to come
    later. fatal: why no call makes sense; problem: what was said last; after: seconds that the
    directory asks to wait."""

    began: float = 0.0
    done: int = 0
    failed: int = 0
    unavailable: int = 0
    fatal: str = ""
    problem: str = ""
    after: float = 0.0

    def add(self, other: Window) -> None:
        self.done += other.done
        self.failed += other.failed
        self.unavailable += other.unavailable
        self.fatal = self.fatal or other.fatal
        self.problem = other.problem or self.problem
        self.after = max(self.after, other.after)


def judge(mood: Mood, seen: Window, now: float) -> Mood:
    """The mood after what was seen. A paused one is changed by probes alone."""
    match mood.status:
        case DirectoryStatus.WORKING:
            why = seen.fatal or _failing(seen)
            return _paused(mood, why, now, seen.after) if why else mood
        case DirectoryStatus.TRYING:
            if seen.fatal or (seen.failed and not seen.done):
                return _paused(mood, seen.fatal or seen.problem, now, seen.after)
            return Mood(since=now) if seen.done else mood
        case DirectoryStatus.PAUSED:
            return mood
        case _:
            return Mood(since=now) if seen.done and not seen.fatal else mood


def probed(mood: Mood, problem: str, now: float, patience: float) -> Mood:
    """problem: "" where the directory could be used."""
    if mood.status is not DirectoryStatus.PAUSED or mood.by_hand:
        return mood
    if not problem:
        return replace(mood, status=DirectoryStatus.TRYING, since=now)
    if now - mood.failing_since >= patience:
        return replace(mood, status=DirectoryStatus.GIVEN_UP, reason=problem, since=now)
    return _paused(mood, problem, now)


def paused_by(mood: Mood, who: str, why: str, now: float) -> Mood:
    """Until `resumed`."""
    return replace(
        mood, status=DirectoryStatus.PAUSED, by=who, reason=why, since=now, probe_at=NEVER
    )


def resumed(mood: Mood, now: float) -> Mood:
    """Tried by one call at a time where it did not work before it was paused, or was paused since
    it did not."""
    if not mood.failing_since:
        return Mood(since=now)
    return replace(mood, status=DirectoryStatus.TRYING, by="", reason="", since=now, probe_at=0.0)


def _paused(mood: Mood, reason: str, now: float, after: float = 0.0) -> Mood:
    wait = max(min(_LONGEST, 2.0**mood.probes), after)
    since = mood.since if mood.status is DirectoryStatus.PAUSED else now
    return Mood(
        DirectoryStatus.PAUSED, reason, since, now + wait, mood.probes + 1,
        mood.failing_since or now,
    )  # fmt: skip


def _failing(seen: Window) -> str:
    calls = seen.done + seen.failed
    if seen.failed >= _MANY and seen.failed >= calls * _MOST:
        return f"{seen.failed} of {calls} calls failed, the last: {seen.problem}"
    if seen.unavailable >= _UNAVAILABLE and not seen.done:
        return f"it is not available: {seen.problem}"
    return ""
