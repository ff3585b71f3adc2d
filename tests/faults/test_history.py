"""The checker is checked: it is silent on good histories, and sees each thing that was broken in
one, by the right invariant.

`Paper` is Botrix on paper: every verb changes a row and notes what the triggers would have noted.
What is broken is broken in the finished evidence, so that no mutant depends on how it came about.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.faults import history
from tests.faults.evidence import Evidence, Row
from tests.faults.history import INVARIANTS, check

COUNTED = ("created", "existing", "failed", "cancelled", "deleted")
KEPT = ("job_id", "idx", "attempt", "tries", "crashes", "username")
FOREIGN = {"id": "f1", "userName": "Boss", "externalId": "by hand", "active": True}


class Paper:
    """`session` is the one that leases; what is noted has a time of its own."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.e = Evidence(directories=["idp"], limits={"tries": 4, "renames": 8, "rate": 1000})
        self.e.foreign.append(FOREIGN)
        self.e.entries.append({**FOREIGN})
        self.now = 1000.0
        self.begin()

    def note(self, kind: str, old: str | None, new: str, **more: Any) -> None:
        self.now += 0.01
        told = {"at": self.now, "kind": kind, "old_status": old, "new_status": new, "since": None}
        self.e.changes.append({**told, **more})

    def begin(self) -> None:
        self.session: Row = {"id": f"s{len(self.e.sessions)}", "status": "live"}
        self.e.sessions.append(self.session)
        self.note("session", None, "live", session=self.session["id"], session_status="live")

    def end(self, status: str) -> None:
        session, self.session["status"] = self.session["id"], status
        self.note("session", "live", status, session=session, session_status=status)

    def submit(
        self, count: int, source: str = "generate", key: str | None = None, asked: bool = True
    ) -> Row:
        fixed = {"directory": "idp", "tries": 4, "importing": False, **dict.fromkeys(COUNTED, 0)}
        job = {"id": f"j{self.rng.getrandbits(64):x}", "source": source, "count": count, **fixed}
        self.e.jobs.append(job)
        self.turn(job, "pending")
        if source == "raw":
            self.e.raw.append({"id": job["id"], "count": count})
        elif asked:
            self.ask(source, count, job["id"], key)
        return job

    def ask(
        self, source: str, count: int, job: str | None, key: str | None, status: int | None = 202
    ) -> None:
        body = {"count": count} if source == "generate" else None
        asked = {"key": key, "path": f"/api/accounts/{source}", "body": body, "at": self.now}
        self.e.requests.append({**asked, "status": status, "job_id": job})

    def turn(self, job: Row, status: str) -> None:
        self.note("job", job.get("status"), status, job_id=job["id"])
        job["status"] = status

    def change(self, row: Row, new: str, session: Row | None, **more: Any) -> None:
        old = row.get("status")
        row |= {"status": new, **more}
        whose = session or {"id": None, "status": None}
        told = {"session": whose["id"], "session_status": whose["status"]}
        self.note("account", old, new, **told, **{name: row[name] for name in KEPT})

    def plan(self, job: Row) -> Row:
        index = sum(row["job_id"] == job["id"] for row in self.e.accounts)
        row: Row = {"job_id": job["id"], "idx": index, "username": f"u{self.rng.getrandbits(48):x}"}
        row |= {"attempt": 0, "tries": 0, "crashes": 0, "entry_id": None}
        self.e.accounts.append(row)
        return row

    def lease(self, row: Row) -> None:
        self.change(row, "leased", self.session, attempt=row["attempt"] + 1)

    def lose(self, row: Row) -> None:
        gone = self.session
        self.end("lost")
        self.begin()
        crashes = row["crashes"] + 1
        self.change(row, "failed" if crashes == 3 else "unsure", gone, crashes=crashes)

    def outlive(self, row: Row) -> None:
        """A statement that waits for a lock while its session is declared lost."""
        since = self.now
        self.end("lost")
        self.change(row, "created", self.session, tries=1)
        self.e.changes[-1]["since"] = since
        self.begin()

    def rename(self, row: Row) -> None:
        self.change(row, "leased", self.session, username=row["username"] + "x")

    def call(self, row: Row, status: int, verb: str = "create") -> None:
        entry = {"userName": row["username"], "externalId": f"botrix:{row['job_id']}:{row['idx']}"}
        self.e.calls.append({"at": self.now, "verb": verb, "status": status, **entry})
        if status == 201:
            row["entry_id"] = f"e{len(self.e.calls)}"
            self.e.entries.append({"id": row["entry_id"], **entry})
        if status == 204:
            self.e.entries[:] = [e for e in self.e.entries if e["id"] != row["entry_id"]]

    def finish(self, job: Row, status: str) -> Row:
        states = [row["status"] for row in self.e.accounts if row["job_id"] == job["id"]]
        job |= {name: states.count(name) for name in COUNTED}
        if status == "cancelled":
            job["cancelled"] += job["count"] - len(states)
        self.turn(job, status)
        return job


WAYS = {
    "straight": "lease 201 created",
    "retried": "lease 503 planned lease 201 created",
    "lost": "lease 201 lose lease created",
    "waited": "lease 201 outlive",
    "renamed": "lease 409 rename 201 created",
    "existing": "lease 409 existing",
    "poison": "lease lose lease lose lease lose",
    "spent": "lease 500 planned lease 500 planned lease 500 unsure lease failed",
}
GOOD = ("straight", "retried", "lost", "waited", "renamed")


def walk(w: Paper, row: Row, way: str) -> Row:
    """A verb of the world, an answer of the directory, or the state that is recorded."""
    for step in WAYS.get(way, way).split():
        if step.isdigit():
            w.call(row, int(step))
        elif step in ("lease", "lose", "rename", "outlive"):
            getattr(w, step)(row)
        else:
            w.change(row, step, w.session, tries=row["tries"] + 1)
    return row


def completed(w: Paper, *ways: str, **job: Any) -> Row:
    w.turn(made := w.submit(len(ways), **job), "running")
    for way in ways:
        walk(w, w.plan(made), way)
    return w.finish(made, "completed")


def failed(w: Paper, again: bool) -> None:
    """And then asked for once more, or found to have landed."""
    job = w.submit(3)
    w.turn(job, "running")
    _, spent, poison = (walk(w, w.plan(job), way) for way in ("straight", "spent", "poison"))
    w.finish(job, "failed")
    if again:
        for row in (spent, poison):
            w.change(row, "planned", None, tries=0)
        w.turn(job, "running")
        for row in (spent, poison):
            walk(w, row, "straight")
    else:
        w.call(spent, 201)
        w.change(spent, "created", None)
    w.finish(job, "completed" if again else "failed")


def cancelled(w: Paper) -> None:
    """With accounts that were created, swept, looked for, removed, and never planned."""
    job = w.submit(9)
    w.turn(job, "running")
    ways = ("straight", "lease 503 planned", "lease unsure")
    _, swept, late = (walk(w, w.plan(job), way) for way in ways)
    w.turn(job, "cancelling")
    w.change(swept, "cancelled", None)
    walk(w, late, "lease cancelled")
    w.finish(job, "cancelled")
    w.call(late, 201)
    w.call(late, 204, "change")
    w.change(late, "deleted", None)
    w.finish(job, "cancelled")


def rosters(w: Paper) -> None:
    """One is empty, one on its way in, one was taken back."""
    w.finish(w.submit(0, "import"), "completed")
    for taken_back in (False, True):
        job = w.submit(0, "import", asked=False)
        job["importing"] = True
        w.change(w.plan(job), "planned", None)
        if taken_back:
            w.e.jobs.remove(job)
            w.e.accounts.pop()


def evidence(seed: int) -> Evidence:
    """A good one."""
    w = Paper(seed)
    w.ask("generate", 3, None, None, None)
    completed(w, *(w.rng.choice([*GOOD, "existing"]) for _ in range(w.rng.randrange(30))))
    keyed = completed(w, *GOOD, key="k1")
    for status in (None, 202):
        w.ask("generate", len(GOOD), keyed["id"], "k1", status)
    completed(w, "straight", "straight", asked=False)
    w.ask("generate", 2, None, "k2", None)
    completed(w, "straight", "retried", source="raw")
    w.e.raw.append({"id": "lost", "count": 1, "certain": False})
    for again in (False, True):
        failed(w, again)
    cancelled(w)
    rosters(w)
    w.end("ended")
    for n, row in enumerate(row for row in w.e.accounts if row["status"] == "created"):
        w.e.secrets.append(f'p"{w.rng.getrandbits(80):020x}/')
        shown = {"account": f"{row['job_id']}:{row['idx']}", "userName": row["username"]}
        w.e.reveals.append({**shown, "status": 200 if n % 9 else 410, "logs_in": n % 9 > 0})
    w.e.surfaces["worker.log"] = "".join(f"created {row['username']}\n" for row in w.e.accounts)
    for n in range(6):
        w.e.health.append({"worker_id": f"w{n}", "dead_for": n, "ttl": 3, "present": n < 4})
    return w.e


def _all(rows: list[Row], **like: Any) -> list[Row]:
    return [row for row in rows if like.items() <= row.items()]


def _first(rows: list[Row], **like: Any) -> Row:
    return _all(rows, **like)[0]


class Broken:
    """What mutants need most: a created account of a completed job, and all that is known of it."""

    def __init__(self, seed: int) -> None:
        self.e = e = Evidence.from_json(evidence(seed).to_json())
        self.rng = random.Random(seed)
        self.jobs = {job["id"]: job for job in e.jobs}
        done = {job["id"] for job in e.jobs if job["status"] == "completed"}
        created = [row for row in e.accounts if row["status"] == "created"]
        self.row = row = self.rng.choice([row for row in created if row["job_id"] in done])
        self.job, self.tag = self.jobs[row["job_id"]], f"botrix:{row['job_id']}:{row['idx']}"
        self.entry = _first(e.entries, externalId=self.tag)
        self.landing = _first(e.calls, externalId=self.tag, status=201)
        self.life = _all(e.changes, kind="account", job_id=row["job_id"], idx=row["idx"])
        self.asked = _first(e.requests, key="k1", status=202)
        self.reveal = _first(e.reveals, status=200)

    def change(self, **like: Any) -> Row:
        return self.rng.choice(_all(self.e.changes, **like))

    def note(self, change: Row, **more: Any) -> None:
        """Just after that change."""
        self.e.changes.insert(self.e.changes.index(change) + 1, {**change, **more})

    def show(self, log: str, written: Callable[[str], str]) -> None:
        secret = written(self.rng.choice(self.e.secrets))
        self.e.surfaces["log"] = "." * self.rng.randrange(40) + log.format(secret)


Break = Callable[[Broken], object]
MUTANTS: list[tuple[str, str, Break]] = [
    ("I1", "an answered job is lost", lambda b: b.e.jobs.remove(b.jobs[b.asked["job_id"]])),
    ("I1", "a raw job is lost", lambda b: b.e.jobs.remove(b.jobs[b.e.raw[0]["id"]])),
    ("I1", "a job is not final", lambda b: b.job.update(status="running")),
    ("I1", "a roster stays half", lambda b: b.jobs[b.asked["job_id"]].update(importing=True)),
    ("I2", "a row is dropped", lambda b: b.e.accounts.remove(b.row)),
    ("I2", "a row is doubled", lambda b: b.e.accounts.append({**b.row})),
    ("I2", "a row is beyond the count", lambda b: b.e.accounts.append({**b.row, "idx": 99})),
    ("I2", "a row has no job", lambda b: b.e.accounts.append({**b.row, "job_id": "nobody"})),
    ("I2", "nobody asked for a job", lambda b: b.e.jobs.append({**b.job, "id": "x", "count": 77})),
    ("I2", "a raw job was never pushed", lambda b: b.e.raw.clear()),
    ("I2", "one lost answer, two jobs", lambda b: b.e.jobs.extend(
        {**b.job, "id": f"x{n}", "source": "generate", "count": 3} for n in range(2))),
    ("I2", "another count was asked for", lambda b: b.asked.update(body={"count": 9})),
    ("I3", "an entry is doubled", lambda b: b.e.entries.append({**b.entry, "id": "x"})),
    ("I3", "an entry is dropped", lambda b: b.e.entries.remove(b.entry)),
    ("I3", "an entry has another owner", lambda b: b.entry.update(externalId=b.tag + "7")),
    ("I3", "an entry has another name", lambda b: b.entry.update(userName="other")),
    ("I3", "an entry has no row", lambda b: b.e.entries.append(
        {**b.entry, "id": "x", "externalId": "botrix:nobody:0"})),
    ("I3", "a cancelled row has an entry", lambda b: b.row.update(status="cancelled")),
    ("I3", "a deleted row has an entry", lambda b: b.row.update(status="deleted")),
    ("I3", "untagged double", lambda b: b.e.entries.append({**b.entry, "externalId": ""})),
    ("I3", "two lived at a time", lambda b: b.e.calls.append({**b.landing, "userName": "x"})),
    ("I4", "a total is one too high", lambda b: b.job.update(created=b.job["created"] + 1)),
    ("I4", "a count is off by one", lambda b: b.job.update(count=b.job["count"] + 1)),
    ("I4", "a failed job is completed", lambda b: _first(b.e.jobs, status="failed").update(
        status="completed")),
    ("I4", "too few are cancelled", lambda b: _first(b.e.jobs, status="cancelled").update(
        created=2, cancelled=6)),
    ("I5", "a created account fails", lambda b: b.note(
        b.life[-1], old_status="created", new_status="failed")),
    ("I5", "a final job runs again", lambda b: b.note(
        b.change(new_status="completed"), old_status="completed", new_status="running")),
    ("I5", "a job skips running", lambda b: b.e.changes.remove(b.change(new_status="running"))),
    ("I5", "a lost session lives again", lambda b: b.note(
        b.change(new_status="lost"), old_status="lost", new_status="live")),
    ("I5", "a row changes unseen", lambda b: b.row.update(status="existing")),
    ("I5", "a row is deleted", lambda b: b.note(b.life[-1], old_status="created", new_status=None)),
    ("I5", "a row was never entered", lambda b: [b.e.changes.remove(c) for c in b.life]),
    ("I5", "no changes was kept", lambda b: b.e.changes.clear()),
    ("I6", "a lost session leases", lambda b: b.life[0].update(session_status="lost")),
    ("I6", "a lost session records", lambda b: b.life[-1].update(
        session_status="lost", since=None)),
    ("I6", "one records after its loss", lambda b: b.life[-1].update(
        session_status="lost", since=1e9)),
    ("I6", "an ended one records", lambda b: b.life[-1].update(session_status="ended", since=None)),
    ("I6", "a live one crashed", lambda b: b.life[-1].update(session_status="live", crashes=9)),
    ("I6", "a lost session renames", lambda b: b.change(
        old_status="leased", new_status="leased").update(session_status="lost")),
    ("I6", "a lost session was unsure", lambda b: b.change(
        new_status="unsure", session_status="lost", crashes=1).update(tries=1)),
    ("I7", "an attempt has two results", lambda b: b.note(b.life[-1])),
    ("I7", "an attempt is skipped", lambda b: b.life[0].update(attempt=2)),
    ("I7", "an attempt is used again", lambda b: b.note(
        b.life[-1], old_status="unsure", new_status="leased")),
    ("I7", "leases overlap", lambda b: b.note(
        b.life[0], old_status="unsure", session="sX", attempt=b.life[0]["attempt"] + 1)),
    ("I7", "a lease is taken over", lambda b: b.note(
        b.life[0], old_status="leased", session="sX")),
    ("I8", "a password does not log in", lambda b: b.reveal.update(logs_in=False)),
    ("I8", "a password is shown twice", lambda b: b.e.reveals.append({**b.reveal})),
    ("I8", "another's password is shown", lambda b: b.reveal.update(userName="other")),
    ("I9", "a foreign entry is changed", lambda b: b.e.entries[0].update(active=False)),
    ("I9", "a foreign entry is gone", lambda b: b.e.entries.pop(0)),
    ("I9", "a foreign entry is adopted", lambda b: b.row.update(entry_id="f1")),
    ("I9", "a foreign entry is tagged", lambda b: b.e.entries[0].update(externalId=b.tag)),
    ("I9", "one was to be deleted", lambda b: b.e.calls.append(
        {**b.landing, "verb": "change", "status": 404, "userName": "boss"})),
    ("I10", "tries are above the promise", lambda b: b.life[-1].update(tries=5)),
    ("I10", "calls are above the leases", lambda b: b.e.calls.extend(
        [{**b.landing, "status": 409}] * 4)),
    ("I10", "a call has no lease", lambda b: b.landing.update(externalId="botrix:nobody:0")),
    ("I10", "too many names are tried", lambda b: [
        b.note(b.life[0], old_status="leased", username=f"n{n}") for n in range(9)]),
    ("I10", "calls come too fast", lambda b: b.e.limits.update(rate=5)),
    ("I11", "a secret is in a log", lambda b: b.show("password is {}", str)),
    ("I11", "a secret is in JSON", lambda b: b.show('{{"password": {}}}', json.dumps)),
    ("I11", "a secret is in a URL", lambda b: b.show("GET /{} HTTP/1.1", quote)),
    ("I11", "a secret is in the ledger", lambda b: b.row.update(detail=b.e.secrets[0])),
    ("I12", "a key gives another job", lambda b: b.e.requests.append(
        {**b.asked, "job_id": b.e.raw[0]["id"]})),
    ("I12", "a key has two bodies", lambda b: b.e.requests.append(
        {**b.asked, "body": {"count": 5, "priority": "high"}})),
    ("I13", "a dead worker looks alive", lambda b: b.e.health[-1].update(present=True)),
]  # fmt: skip


@pytest.mark.parametrize("tags", [True, False])
@pytest.mark.parametrize("seed", range(25))
def test_a_good_history_has_no_violations(seed: int, tags: bool) -> None:
    good = evidence(seed)
    for entry in good.entries[1:] if not tags else ():  # the first one is foreign
        entry["externalId"] = None
    assert check(good) == []


@pytest.mark.parametrize(
    ("invariant", "change"), [m[::2] for m in MUTANTS], ids=[m[1] for m in MUTANTS]
)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_is_broken_is_seen(seed: int, invariant: str, change: Break) -> None:
    broken = Broken(seed)
    change(broken)
    assert invariant in {violation.invariant for violation in check(broken.e)}


def test_each_invariant_has_mutants() -> None:
    assert {invariant for invariant, _, _ in MUTANTS} == INVARIANTS.keys()


@pytest.mark.parametrize("name", ["kept.json", "kept"])
def test_evidence_is_kept_and_checked_again(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = evidence(1)
    kept.save(tmp_path / name)
    assert Evidence.load(tmp_path / name) == kept
    monkeypatch.setattr(sys, "argv", ["history", str(tmp_path / name)])
    with pytest.raises(SystemExit, match="0"):
        history.main()
    assert f"13 invariants hold for {len(kept.requests)} requests" in capsys.readouterr().out
    kept.health[-1]["present"] = True
    kept.save(tmp_path / name)
    with pytest.raises(SystemExit, match="1"):
        history.main()
    assert capsys.readouterr().out == "I13 w5: has a health key 5 s after its end\n"
