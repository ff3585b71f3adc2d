"""The chain of the audit record: each line's hash covers the line before it (as in RFC 9162, a line
that is changed, left out or moved breaks every hash after it). One chain a tenant.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import msgspec

from botrix.model import DEFAULT_TENANT

_encode = msgspec.json.Encoder().encode


class Actor(NamedTuple):
    """Who acts, and from where: a key (`key:<id>`), a user at a terminal (`console:<name>`),
    or this machine's API without keys (`local`)."""

    who: str
    address: str


NOBODY = Actor("unknown", "unknown")


class Act(NamedTuple):
    """What was done to which thing. Never a secret, nor anything of the person of an account."""

    what: str
    object: str
    detail: str = ""
    tenant_id: str = DEFAULT_TENANT


class Line(NamedTuple):
    """A line of the record; n counts from 1, at is seconds since 1970."""

    tenant_id: str
    n: int
    at: float
    who: str
    address: str
    what: str
    object: str
    detail: str

    def hash(self, before: str) -> str:
        """before: that of the line before, "" at the first one."""
        return hashlib.sha256(self.text(before)).hexdigest()

    def text(self, before: str) -> bytes:
        """JSON without blanks, its number as Python writes it: so hashed every release."""
        at = msgspec.Raw(repr(self.at).encode())
        return _encode((before, self.tenant_id, self.n, at, *self[3:]))


def around(act: Act, actor: Actor) -> tuple[str, str]:
    """Of the text of its line, for a database that knows the rest: it is `["BEFORE`, the first of
    these, `N,AT`, the second."""
    head = _encode(act.tenant_id).decode()
    tail = _encode((*actor, act.what, act.object, act.detail)).decode()
    return f'",{head},', f",{tail[1:]}"


class Chain:
    """The end of one tenant's record, as it is read under a lock, and what is added to it."""

    def __init__(self, n: int, hash_: str) -> None:
        self.n = n
        self.hash = hash_

    def add(self, act: Act, actor: Actor, at: float) -> tuple[object, ...]:
        """The row of the new line, its hash last. at is rounded, so that every database gives back
        what was hashed."""
        self.n += 1
        line = Line(act.tenant_id, self.n, round(at, 6), *actor, act.what, act.object, act.detail)
        self.hash = line.hash(self.hash)
        return (*line, self.hash)
