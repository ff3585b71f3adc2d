"""The chain of the audit record: each line's hash covers the line before it (as in RFC 9162, a line
that is changed, left out or moved breaks every hash after it). One chain a tenant.
"""

from __future__ import annotations

import hashlib
import json
from typing import NamedTuple

from botrix.model import DEFAULT_TENANT


class Actor(NamedTuple):
    """Who acts, and from where: a key (`key:<id>`), a user at a terminal (`console:<name>`),
    or this machine's API without keys (`local`)."""

    who: str
    address: str


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
        text = json.dumps([before, *self], ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def line_of(act: Act, actor: Actor, n: int, at: float) -> Line:
    """at is rounded, so that every database gives back what was hashed."""
    return Line(act.tenant_id, n, round(at, 6), *actor, act.what, act.object, act.detail)
