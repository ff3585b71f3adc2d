"""The interface of a creator: the code for one kind of directory.

Every verb takes many accounts at once and answers for each, in order; none of them raises for what
a directory says. To add a kind: write a module that is a `Kind`, beside this one and named in
`botrix.creators.OWN`, or in another package and named by an entry point (docs/creators.md); and add
it to the suite in tests/creators/.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

import msgspec

from botrix.creators.gate import Gate
from botrix.model import Outcome, Person


class Wanted(msgspec.Struct, frozen=True, gc=False):
    """An account as a directory should hold it. The password is plain, and never shown.
    unguessable: the user name holds random characters, so that an entry of this name is ours.
    must_change: whoever signs in first must choose another password, where the directory can say
    so. entry_id: under which it was created, where it is looked for to be removed."""

    tag: str
    person: Person
    password: str
    unguessable: bool = False
    must_change: bool = False
    entry_id: str | None = None

    def __repr__(self) -> str:
        return f"Wanted({self.tag!r}, {self.person.username!r})"


@dataclass(frozen=True, slots=True)
class Secret:
    """A setting of a directory that came sealed; shows itself only to who asks for `plain`."""

    plain: str = field(repr=False)


class Whose(StrEnum):
    """Who owns the entry that bears the name looked for. unproven: the directory keeps no tags."""

    NOBODY = "nobody"
    OURS = "ours"
    OTHER_JOB = "other job"
    FOREIGN = "foreign"
    UNPROVEN = "unproven"
    UNSURE = "unsure"


@dataclass(frozen=True, slots=True)
class Sighting:
    """What `find` saw under a name; `unsure` means that the directory did not tell: `counted` is
    then whether that uses up a call, and retry_after how many seconds it asks to wait. tag: that
    the entry bears, always given where it is of another job. fields: what the directory shows of
    the entry, by the names of FIELDS, as far as it keeps them; active: whether it may sign in; both
    None where it does not say."""

    whose: Whose
    entry_id: str | None = None
    detail: str | None = None
    counted: bool = True
    retry_after: float | None = None
    tag: str | None = None
    fields: Mapping[str, str] | None = None
    active: bool | None = None


FIELDS = ("email", "given_name", "family_name", "display_name")
"""What a sighting may tell of an entry, beside its name."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a directory shows of one; fields and active as in a Sighting. tag: None where it bears
    none, be it of Botrix or not."""

    entry_id: str
    username: str
    tag: str | None = None
    fields: Mapping[str, str] | None = None
    active: bool | None = None

    @property
    def is_of_botrix(self) -> bool:
        return self.tag is not None and self.tag.startswith("botrix:")

    def seen(self, whose: Whose, detail: str | None = None) -> Sighting:
        """Under a name that was looked for."""
        return Sighting(
            whose, self.entry_id, detail, tag=self.tag, fields=self.fields, active=self.active
        )


@dataclass(frozen=True, slots=True)
class Entries:
    """A page of what `ours` tells. next: where the one after it begins; None at the end. problem:
    why there is no more to be told, though there may be; keeps_tags: False where there never will
    be, since the directory keeps none."""

    entries: Sequence[Entry] = ()
    next: str | None = None
    problem: str = ""
    keeps_tags: bool = True


@dataclass(frozen=True, slots=True)
class Member:
    """An entry that is ours, and the groups that it is to be in."""

    entry_id: str
    username: str
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Deviation:
    """What a directory does otherwise than is to be expected, and what is done about it here."""

    what: str
    so: str


@dataclass(frozen=True, slots=True)
class Check:
    """Whether a directory can be used; if not, `problem` says why and what to do. can: what it can
    do, a line each."""

    usable: bool
    can: tuple[str, ...] = ()
    deviations: tuple[Deviation, ...] = ()
    problem: str = ""


class Creator(Protocol):
    """unique_key: the attribute whose uniqueness the directory enforces.
    batch: accounts per call; concurrency: calls at once, if the gate lets them through.

    `create` need not see to groups: `join` follows it, for those that were created or adopted. It
    may be asked again for what is done already. An account that wants a group which there is not
    should be rejected by `create` with the reason "no such group", before it exists.

    `ours` lists the entries that bear a tag of Botrix, of whatever job or tenant, page by page;
    after: `next` of the page before it, None for the first one. What comes or goes meanwhile may be
    missed."""

    kind: str
    unique_key: str
    batch: int
    concurrency: int

    async def check(self) -> Check: ...

    async def find(self, wanted: Sequence[Wanted]) -> Sequence[Sighting]: ...

    async def ours(self, after: str | None) -> Entries: ...

    async def create(self, wanted: Sequence[Wanted]) -> Sequence[Outcome]: ...

    async def join(self, members: Sequence[Member]) -> Sequence[Outcome]: ...

    async def set_password(self, entry_id: str, password: str) -> Outcome: ...

    async def disable(self, entry_id: str) -> Outcome: ...

    async def delete(self, entry_id: str) -> Outcome: ...

    async def close(self) -> None: ...


class Kind(Protocol):
    """The module of a kind. SEALED: the settings that may come sealed, as a `Secret`; what all of
    its settings are says `SETTINGS`, where it has one (declared.py).
    DEMANDS_A_CHANGE: whether it can honour `Wanted.must_change`. GATED: whether its requests go
    through the gate, so that `concurrency` and `rate` are settings of it."""

    SEALED: tuple[str, ...]
    DEMANDS_A_CHANGE: bool
    GATED: bool

    async def open_creator(
        self, config: Mapping[str, Any], timeout: float, gate: Gate
    ) -> Creator: ...
