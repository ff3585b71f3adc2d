"""What is known of a run from outside, and nothing else: what clients sent and got, what the ledger
and the directory hold at the end, what both wrote down on the way.

It is data, so that a run that failed can be kept, looked at, and checked again by a newer checker:
as one file, or as a folder with a file for each part (better for logs of many megabytes). The parts
are plain JSON, because a checker that shares types with the program shares its mistakes. `History`
is the same, by job and by account: which entry and which call is whose.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

Row = dict[str, Any]
KINDS = ("job", "account", "session")
_TAG = re.compile(r"botrix:([A-Za-z0-9_-]{1,64}:\d+)")


@dataclass(frozen=True)
class Evidence:
    """Of one run, gathered once everything is quiet and the reconciler has looked.

    requests: key (Idempotency-Key), path, body, at, status (None: no answer came), job_id; tenant
    where it is not the default one. raw: id and count of the good entries pushed by hand; certain:
    False where one may be lost (no answer came, or the line was emptied before it was taken).
    jobs, accounts, sessions, changes: rows of the ledger, as `changes.read` gives them.
    entries: of the directory; calls: its own log, in order; foreign: what others had put there.
    directories: the names under which the ledger knows that directory (none: all jobs are there).
    reveals: account ("job:idx"), userName, status, logs_in.
    secrets: what nobody may see; surfaces: what people can see, by name.
    health: worker_id, dead_for, ttl, present. limits: tries, renames (of one lease), rate.
    """

    requests: list[Row] = field(default_factory=list)
    raw: list[Row] = field(default_factory=list)
    jobs: list[Row] = field(default_factory=list)
    accounts: list[Row] = field(default_factory=list)
    sessions: list[Row] = field(default_factory=list)
    changes: list[Row] = field(default_factory=list)
    entries: list[Row] = field(default_factory=list)
    calls: list[Row] = field(default_factory=list)
    foreign: list[Row] = field(default_factory=list)
    directories: list[str] = field(default_factory=list)
    reveals: list[Row] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list, repr=False)
    surfaces: dict[str, str] = field(default_factory=dict, repr=False)
    health: list[Row] = field(default_factory=list)
    limits: Row = field(default_factory=dict)

    def parts(self) -> dict[str, Any]:
        return {part.name: getattr(self, part.name) for part in dataclasses.fields(self)}

    def to_json(self) -> str:
        return json.dumps(self.parts())

    @classmethod
    def from_json(cls, text: str) -> Evidence:
        return cls.of(json.loads(text))

    @classmethod
    def of(cls, parts: Mapping[str, Any]) -> Evidence:
        """Raises TypeError for a part that there is not."""
        return cls(**parts)

    def save(self, to: Path) -> None:
        """One file where the name ends in .json, else a folder."""
        if to.suffix == ".json":
            to.write_text(self.to_json(), encoding="utf-8")
            return
        to.mkdir(parents=True, exist_ok=True)
        for name, part in self.parts().items():
            (to / f"{name}.json").write_text(json.dumps(part), encoding="utf-8")

    @classmethod
    def load(cls, source: Path) -> Evidence:
        """What `save` wrote; a part that is missing from a folder is empty."""
        if not source.is_dir():
            return cls.from_json(source.read_text(encoding="utf-8"))
        files = sorted(source.glob("*.json"))
        return cls.of({file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files})


class History:
    """The evidence by job and by account ("job:idx")."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.jobs = {job["id"]: job for job in evidence.jobs}
        self.accounts = {subject_of(row): row for row in evidence.accounts}
        self.rows: defaultdict[str, list[Row]] = defaultdict(list)
        for row in evidence.accounts:
            self.rows[row["job_id"]].append(row)
        self.changes: dict[str, dict[str, list[Row]]] = {kind: {} for kind in KINDS}
        for change in evidence.changes:
            lives = self.changes[change["kind"]]
            lives.setdefault(subject_of(change), []).append(change)
        self.foreign = {entry["id"]: entry for entry in evidence.foreign}

    def surfaces(self) -> Iterator[tuple[str, str]]:
        """What people can see, by name; the ledger's own texts are among it."""
        yield from self.evidence.surfaces.items()
        for table in ("jobs", "accounts", "sessions"):
            rows: list[Row] = getattr(self.evidence, table)
            yield table, "\n".join(v for row in rows for v in row.values() if isinstance(v, str))

    @property
    def whole_jobs(self) -> Iterator[Row]:
        """All but rosters on their way in, which nobody sees and a sweep takes back."""
        return (job for job in self.jobs.values() if not job.get("importing"))

    def watched(self, row: Row) -> bool:
        """Whether the account belongs into the directory whose entries are known."""
        job = self.jobs.get(row["job_id"], {})
        return not self.evidence.directories or job.get("directory") in self.evidence.directories

    @cached_property
    def lost_at(self) -> dict[str, float]:
        """When each session was no longer live."""
        return {
            session: change["at"]
            for session, changes in self.changes["session"].items()
            for change in changes
            if change["new_status"] != "live"
        }

    @cached_property
    def landed(self) -> tuple[dict[str, str], list[str]]:
        """By the directory's log: whose each name is that we created and nobody deleted; and the
        accounts that had two entries at a time."""
        owner: dict[str, str] = {}
        alive: Counter[str] = Counter()
        doubled = []
        for call in self.evidence.calls:
            name = (call.get("userName") or "").casefold()
            if _removes(call) and name in owner:
                alive[owner.pop(name)] -= 1
            subject = tagged(call)
            if subject and call["verb"] == "create" and 200 <= call["status"] < 300:
                owner[name] = subject
                alive[subject] += 1
                if alive[subject] > 1:
                    doubled.append(subject)
        return owner, doubled

    @cached_property
    def entries(self) -> dict[str, list[Row]]:
        """By account. An entry without a tag is its whose name the log, or the ledger, gives it."""
        by_name = {
            row["username"].casefold(): subject
            for subject, row in self.accounts.items()
            if row["status"] == "created" and self.watched(row)
        }
        by_name |= self.landed[0]
        found: defaultdict[str, list[Row]] = defaultdict(list)
        for entry in self.evidence.entries:
            subject = tagged(entry)
            if not entry.get("externalId") and entry["id"] not in self.foreign:
                subject = by_name.get(entry["userName"].casefold())
            if subject:
                found[subject].append(entry)
        return dict(found)


def subject_of(row: Row) -> str:
    """Of a row of accounts or of changes."""
    kind = row.get("kind", "account")
    if kind == "account":
        return f"{row['job_id']}:{row['idx']}"
    return str(row["job_id"] if kind == "job" else row["session"])


def tagged(row: Row) -> str | None:
    """The account that an entry, or a call, bears the tag of."""
    match = _TAG.fullmatch(str(row.get("externalId")))
    return match[1] if match else None


def _removes(call: Row) -> bool:
    """A change is answered 200; where both are one verb, only a delete has no content."""
    done = 200 <= call["status"] < 300
    return done and (call["verb"] == "delete" or (call["verb"], call["status"]) == ("change", 204))


_WINDOW = 8
"""Shorter secrets are not looked for: they are found anywhere."""


def leaks(secrets: Iterable[str], surfaces: Iterable[tuple[str, str]]) -> Iterator[tuple[str, int]]:
    """The surfaces that hold one of many secrets, and where. Each secret is known by the windows at
    its start, as many as the shortest one has; so a text need only be looked at in such steps."""
    long = [secret for secret in secrets if len(secret) >= _WINDOW]
    shapes = {shape for secret in long for shape in _shapes(secret)}
    if not shapes:
        return
    room = max(1, 400_000 // len(shapes))
    step = min(16, room, min(map(len, shapes)) - _WINDOW + 1)
    table: defaultdict[str, set[tuple[int, int]]] = defaultdict(set)
    for shape in shapes:
        for start in range(step):
            table[shape[start : start + _WINDOW]].add((start, len(shape)))
    for name, text in surfaces:
        for at in range(0, len(text) - _WINDOW + 1, step):
            starts = table.get(text[at : at + _WINDOW], ())
            if any(k <= at and text[at - k : at - k + size] in shapes for k, size in starts):
                yield name, at
                break


def _shapes(secret: str) -> set[str]:
    """As it is, in JSON, in a URL."""
    return {secret, json.dumps(secret)[1:-1], quote(secret), quote(secret, safe="")}
