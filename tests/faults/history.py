"""Whether a history keeps the promise: thirteen invariants, checked on evidence from outside.

It shares nothing with the program. The legal transitions are written down a second time here, and
what happened is taken from the ledger's own triggers and the directory's own log, so that one
mistake cannot be made on both sides. Each invariant is one small generator of (subject, text); all
are linear, for runs of 100,000 accounts and more.

    python -m tests.faults.history FILE
"""

from __future__ import annotations

import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tests.faults.evidence import Evidence, History, Row, leaks, tagged

Found = Iterator[tuple[str, str]]
_FINAL = frozenset({"completed", "failed", "cancelled"})
_COUNTED = ("created", "existing", "failed", "cancelled", "deleted")
_HALF_IMPORTED = ("pending", "planned")
_LEGAL: dict[str, dict[str | None, frozenset[str]]] = {
    "job": {
        None: frozenset({"pending"}),
        "pending": frozenset({"running", "cancelling"}),
        "running": frozenset({"completed", "failed", "cancelling"}),
        "cancelling": frozenset({"cancelled"}),
        "failed": frozenset({"running", "completed"}),
    },
    "account": {
        None: frozenset({"planned", "leased"}),
        "planned": frozenset({"leased", "cancelled"}),
        "leased": frozenset({"created", "existing", "failed", "cancelled", "planned", "unsure"}),
        "unsure": frozenset({"leased"}),
        "failed": frozenset({"planned", "created"}),
        "created": frozenset({"deleted"}),
        "cancelled": frozenset({"deleted"}),
    },
    "session": {None: frozenset({"live"}), "live": frozenset({"lost", "ended"})},
}


@dataclass(frozen=True)
class Violation:
    """subject: the job, account ("job:idx"), session, entry, surface or worker that it is of."""

    invariant: str
    subject: str
    text: str

    def __str__(self) -> str:
        return f"{self.invariant} {self.subject}: {self.text}"


def check(evidence: Evidence) -> list[Violation]:
    history = History(evidence)
    return [
        Violation(invariant, subject, text)
        for invariant, rule in INVARIANTS.items()
        for subject, text in rule(history)
    ]


def _answered_jobs_are_final(h: History) -> Found:
    """I1"""
    accepted = [r["job_id"] for r in h.evidence.requests if r["status"] == 202]
    pushed = [raw["id"] for raw in h.evidence.raw if raw.get("certain", True)]
    for job_id in accepted + pushed:
        if h.jobs.get(job_id, {"importing": True}).get("importing"):
            yield str(job_id), "was accepted and is not in the ledger"
    for job in h.whole_jobs:
        if job["status"] not in _FINAL:
            yield job["id"], f"is {job['status']} at the end"


def _wholly_there_or_not_at_all(h: History) -> Found:
    """I2"""
    yield from _unaccounted_jobs(h)
    for subject, row in h.accounts.items():
        if row["job_id"] not in h.jobs:
            yield subject, "belongs to no job"
    for subject, changes in h.changes["account"].items():
        job = h.jobs.get(changes[0]["job_id"])
        if subject not in h.accounts and job is not None and not job.get("importing"):
            yield subject, "was in the ledger and is not any more"
    for job in h.whole_jobs:
        yield from _too_many_or_too_few_rows(job, h.rows[job["id"]])
    for asked in [r for r in h.evidence.requests if r["job_id"]] + h.evidence.raw:
        count = asked["count"] if "count" in asked else (_shape(asked) or ("", None))[1]
        job = h.jobs.get(asked.get("job_id", asked.get("id")))
        if job is not None and count is not None and job["count"] != count:
            yield job["id"], f"has a count of {job['count']}, but {count} were asked for"


def _too_many_or_too_few_rows(job: Row, rows: list[Row]) -> Found:
    indexes = {row["idx"] for row in rows}
    if len(indexes) < len(rows):
        yield job["id"], "has two accounts of one index"
    if indexes and not (min(indexes) >= 0 and max(indexes) < job["count"]):
        yield job["id"], f"has accounts beyond its count of {job['count']}"
    told = sum(job[name] for name in _COUNTED if name != "cancelled")
    if job["status"] in _FINAL and sum(row["status"] != "cancelled" for row in rows) < told:
        yield job["id"], f"tells of {told} accounts, of which some have no row"


def _unaccounted_jobs(h: History) -> Found:
    """A job is explained by an answer that names it, or else uses up one lost answer like it."""
    requests = h.evidence.requests
    named = {r["job_id"] for r in requests if r["job_id"]} | {raw["id"] for raw in h.evidence.raw}
    known_keys = {_key(r) for r in requests if r["job_id"] and r["key"]}
    lost = [r for r in requests if not r["job_id"] and (r["status"] is None or r["status"] >= 500)]
    by_key = {_key(r): r for r in lost if r["key"] and _key(r) not in known_keys}
    explained = Counter(_shape(r) for r in [*by_key.values(), *(r for r in lost if not r["key"])])
    for job in h.whole_jobs:
        if job["id"] in named:
            continue
        shape = (job["source"], job["count"] if job["source"] == "generate" else None)
        if explained[shape] == 0:
            yield job["id"], "is in the ledger, and nobody asked for it"
        explained[shape] -= 1


def _key(request: Row) -> tuple[str, str]:
    return request.get("tenant") or "default", request["key"]


def _shape(request: Row) -> tuple[str, int | None] | None:
    """Source and count of the job that was asked for; a roster's count is not known."""
    path = request["path"].partition("?")[0]
    if path.endswith("/generate"):
        return "generate", (request["body"] or {}).get("count", 1)
    return ("import", None) if path.endswith("/import") else None


def _one_entry_for_each_created_account(h: History) -> Found:
    """I3"""
    for subject, entries in h.entries.items():
        row = h.accounts.get(subject)
        names = [entry["userName"] for entry in entries]
        if row is None:
            yield subject, f"has an entry {names}, and no row"
        elif row["status"] != "created":
            yield subject, f"is {row['status']}, and has an entry {names}"
        elif len(entries) > 1:
            yield subject, f"has {len(entries)} entries: {names}"
        elif names[0].casefold() != row["username"].casefold():  # directories fold names
            yield subject, f"is called {row['username']}, its entry {names[0]}"
    for subject, row in h.accounts.items():
        if row["status"] == "created" and h.watched(row) and subject not in h.entries:
            yield subject, "is created, and has no entry"
    for subject in h.landed[1]:
        yield subject, "had two entries at a time"


def _totals_add_up(h: History) -> Found:
    """I4"""
    for job in h.whole_jobs:
        if job["status"] not in _FINAL:
            continue
        rows = h.rows[job["id"]]
        states = Counter(row["status"] for row in rows)
        if job["status"] == "cancelled":  # what was never planned is counted only
            states["cancelled"] += job["count"] - len(rows)
        for name in _COUNTED:
            if job[name] != states[name]:
                yield job["id"], f"counts {job[name]} {name}, and {states[name]} are"
        if sum(job[name] for name in _COUNTED) != job["count"]:
            yield job["id"], f"has totals that do not make {job['count']}"
        if job["status"] != "cancelled" and (job["status"] == "failed") != (job["failed"] > 0):
            yield job["id"], f"is {job['status']} with {job['failed']} failed accounts"


def _only_legal_transitions(h: History) -> Found:
    """I5"""
    if h.accounts and not h.evidence.changes:
        yield "changes", "is empty, so nothing can be said; was it installed?"
        return
    sessions = {session["id"]: session for session in h.evidence.sessions}
    for kind, rows in {"job": h.jobs, "account": h.accounts, "session": sessions}.items():
        lives = h.changes[kind]
        for subject, changes in lives.items():
            yield from _life(h, kind, subject, changes)
            last = changes[-1]["new_status"]
            if subject in rows and rows[subject]["status"] != last:
                yield subject, f"was {last} and is {rows[subject]['status']}: without a change"
            elif subject not in rows and kind != "session" and last not in _HALF_IMPORTED:
                yield subject, f"was {last} and is gone"
        for subject in rows.keys() - lives.keys():
            yield subject, "is there and was never entered"


def _life(h: History, kind: str, subject: str, changes: list[Row]) -> Found:
    legal, before = _LEGAL[kind], None
    for change in changes:
        old, new = change["old_status"], change["new_status"]
        if old != before:
            yield subject, f"was {before}, then {old}: without a change"
        if (old != new or old is None) and new not in legal.get(old, ()):
            empty = kind == "job" and h.jobs.get(subject, {}).get("count") == 0
            if not (empty and old in (None, "pending") and new == "completed"):
                yield subject, f"went from {old} to {new}"
        before = new


def _nothing_from_a_lost_session(h: History) -> Found:
    """I6"""
    for subject, changes in h.changes["account"].items():
        crashes = tries = 0
        for change in changes:
            old, new = change["old_status"], change["new_status"]
            crashed, tried = change["crashes"] > crashes, change["tries"] > tries
            crashes, tries = change["crashes"], change["tries"]
            session = f"session {change['session']}, which is {change['session_status']}"
            if crashed and change["session_status"] != "lost":
                yield subject, f"counts a crash of {session}"
            if "leased" not in (old, new) or change["session_status"] == "live":
                continue
            if old != "leased":
                yield subject, f"was leased to {session}"
            elif not (_freed(new, crashed, tried) or _began_before_the_loss(h, change)):
                yield subject, f"became {new} by {session}"


def _freed(new: str, crashed: bool, tried: bool) -> bool:
    """What others do to the accounts of a session that is gone."""
    return (new == "unsure" and not tried) or (new == "failed" and crashed)


def _began_before_the_loss(h: History, change: Row) -> bool:
    """A statement that waited for a lock meanwhile counts as the earlier of the two."""
    since, lost = change.get("since"), h.lost_at.get(change["session"])
    return since is not None and lost is not None and since <= lost


def _one_result_for_each_attempt(h: History) -> Found:
    """I7"""
    for subject, changes in h.changes["account"].items():
        holder: str | None = None
        attempt = 0
        for change in changes:
            old, new, now = change["old_status"], change["new_status"], change["attempt"]
            begins = new == "leased" and old != "leased"
            if now != attempt + begins:
                yield subject, f"went from attempt {attempt} to {now} when it became {new}"
            if begins and holder is not None:
                yield subject, f"was leased to {change['session']} while {holder} held it"
            elif old == "leased" and holder is None:
                yield subject, f"became {new} in attempt {now}, which had ended"
            elif old == new == "leased" and change["session"] != holder:
                yield subject, f"went over from {holder} to {change['session']}"
            holder, attempt = (change["session"] if new == "leased" else None), now


def _revealed_passwords_log_in(h: History) -> Found:
    """I8"""
    shown: dict[str, Row] = {}
    for reveal in h.evidence.reveals:
        if reveal["status"] != 200:
            continue
        subject = reveal["account"]
        row = h.accounts.get(subject, {})
        if not reveal["logs_in"]:
            yield subject, "has a password that does not log in"
        if row.get("status") not in ("created", "deleted") or row["username"] != reveal["userName"]:
            yield subject, f"was revealed as {reveal['userName']}, and is no such account"
        if shown.setdefault(subject, reveal) is not reveal:
            yield subject, "was revealed twice"


def _foreign_accounts_are_untouched(h: History) -> Found:
    """I9"""
    entries = {entry["id"]: entry for entry in h.evidence.entries}
    for ident, before in h.foreign.items():
        now = entries.get(ident)
        if now != before:
            yield ident, "is gone" if now is None else "was changed"
        if now is not None and tagged(now):
            yield ident, f"bears the tag of {tagged(now)}"
    names = {entry["userName"].casefold() for entry in h.evidence.foreign}
    for call in h.evidence.calls:
        name = (call.get("userName") or "").casefold()
        if call["verb"] in ("change", "delete") and (name in names or call.get("id") in h.foreign):
            yield call.get("userName") or call["id"], f"had a call to {call['verb']} it"
    for subject, row in h.accounts.items():
        if row["status"] in ("created", "deleted") and row.get("entry_id") in h.foreign:
            yield subject, f"was made of the foreign entry {row['entry_id']}"


def _within_limits(h: History) -> Found:
    """I10. In a cancelled job tries are look-ups, which go on until there is an answer."""
    limits = h.evidence.limits
    calls: Counter[str | None] = Counter()
    for call in h.evidence.calls:
        calls[tagged(call) if call["verb"] == "create" else None] += 1
    for subject, changes in h.changes["account"].items():
        job = h.jobs.get(changes[0]["job_id"], {})
        promised, most = job.get("tries") or limits.get("tries"), max(c["tries"] for c in changes)
        if promised and most > promised and job.get("status") not in ("cancelling", "cancelled"):
            yield subject, f"had {most} tries of {promised} promised"
        renames = Counter(b["attempt"] for a, b in pairwise(changes) if _renamed(a, b))
        if renames and max(renames.values()) > limits.get("renames", 8):
            yield subject, f"had {max(renames.values())} new names in one lease"
        leases = sum(c["new_status"] == "leased" != c["old_status"] for c in changes)
        if calls[subject] > leases + renames.total():
            yield subject, f"was to be created {calls[subject]} times in {leases} leases"
    for stranger in (calls.keys() - {None}) - h.changes["account"].keys():
        yield str(stranger), "was to be created, and was never leased"
    yield from _rate(h, limits.get("rate"))


def _renamed(before: Row, after: Row) -> bool:
    return bool(before["username"] != after["username"])


def _rate(h: History, limit: float | None) -> Found:
    """The first second that had too many calls."""
    window: deque[float] = deque()
    for at in sorted(call["at"] for call in h.evidence.calls) if limit else ():
        window.append(at)
        while window[0] <= at - 1.0:
            window.popleft()
        if len(window) > (limit or 0):
            yield "directory", f"had {len(window)} calls in the second before {at}"
            return


def _no_secret_is_seen(h: History) -> Found:
    """I11"""
    for name, at in leaks(h.evidence.secrets, h.surfaces()):
        yield name, f"has a secret near character {at}"


def _one_job_for_each_key(h: History) -> Found:
    """I12"""
    first: dict[tuple[str, str], Row] = {}
    for request in h.evidence.requests:
        if not request["key"] or not request["job_id"] or request["status"] not in (None, 200, 202):
            continue
        earlier = first.setdefault(_key(request), request)
        if any(earlier[part] != request[part] for part in ("path", "body")):
            yield request["key"], "was accepted with two different requests"
        elif earlier["job_id"] != request["job_id"]:
            yield request["key"], f"gave {earlier['job_id']} and then {request['job_id']}"


def _health_of_the_dead_expires(h: History) -> Found:
    """I13"""
    for worker in h.evidence.health:
        if worker["present"] and worker["dead_for"] > worker["ttl"] + 1:
            yield worker["worker_id"], f"has a health key {worker['dead_for']} s after its end"


INVARIANTS: dict[str, Callable[[History], Found]] = {
    "I1": _answered_jobs_are_final,
    "I2": _wholly_there_or_not_at_all,
    "I3": _one_entry_for_each_created_account,
    "I4": _totals_add_up,
    "I5": _only_legal_transitions,
    "I6": _nothing_from_a_lost_session,
    "I7": _one_result_for_each_attempt,
    "I8": _revealed_passwords_log_in,
    "I9": _foreign_accounts_are_untouched,
    "I10": _within_limits,
    "I11": _no_secret_is_seen,
    "I12": _one_job_for_each_key,
    "I13": _health_of_the_dead_expires,
}


def main() -> None:
    """Ends with 1 where an invariant does not hold."""
    evidence = Evidence.load(Path(sys.argv[1]))
    violations = check(evidence)
    for violation in violations:
        print(violation)
    sizes = (f"{len(part)} {name}" for name, part in evidence.parts().items() if name != "limits")
    if not violations:
        print(f"{len(INVARIANTS)} invariants hold for {', '.join(sizes)}")
    sys.exit(1 if violations else 0)


if __name__ == "__main__":
    main()
