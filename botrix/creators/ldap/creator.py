"""The `ldap` directory: a server of LDAP v3, through the operator's own entry (RFC 4511).

The lock is the DN: a server never holds two entries of one, whatever its other rules do under load.
In a domain (Active Directory, Samba) the login name is a second lock. A batch is one pipeline: all
its requests go out before the first answer is awaited, and what has no answer at the end is
unknown. The tag is written by the same request as the password.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from botrix.creators.creator import Check, Entries, Member, Sighting, Wanted, Whose
from botrix.creators.declared import sealed
from botrix.creators.gate import Answered, Gate
from botrix.creators.ldap import answers, checking, entries, hashing, messages
from botrix.creators.ldap.client import Client
from botrix.creators.ldap.declared import SETTINGS
from botrix.creators.ldap.groups import Groups
from botrix.creators.ldap.messages import Entry, Reply, Request
from botrix.creators.ldap.owned import Owned
from botrix.creators.ldap.places import places
from botrix.creators.ldap.settings import LdapSettings, read
from botrix.errors import BotrixError, InvalidInput
from botrix.model import Outcome, OutcomeKind

SEALED = sealed(SETTINGS)
DEMANDS_A_CHANGE = True
GATED = True
_NO_CHANGE = Outcome(
    OutcomeKind.REJECTED, None, "cannot demand a change",
    "this server asks for a new password by its policy only; leave must_change out",
)  # fmt: skip


async def open_creator(config: Mapping[str, Any], timeout: float, gate: Gate) -> LdapCreator:
    """config: see settings.py. Raises DirectoryError for settings that cannot be used."""
    settings = await asyncio.to_thread(read, config)
    return LdapCreator(settings, Client(settings, timeout, gate))


class LdapCreator:
    """See above."""

    kind = "ldap"
    concurrency = 8

    def __init__(self, settings: LdapSettings, client: Client) -> None:
        self.unique_key = settings.login
        self.batch = 16 if settings.profile.is_domain else 64  # one writes tens a second
        self._settings = settings
        self._client = client
        self._groups = Groups(settings, client)
        self._owned = Owned(settings, client)
        self._hash = hashing.hasher(settings.scheme)
        self._shown = entries.shown(settings)
        self._password_in = "unicodePwd" if settings.profile.is_domain else "userPassword"

    async def check(self) -> Check:
        return await checking.check(self._settings, self._client)

    async def find(self, wanted: Sequence[Wanted]) -> Sequence[Sighting]:
        """By the DN, since that is the lock, and the server itself knows best which names are one
        to it. In a domain by the login name first, wherever in it."""
        root = await self._client.root()
        if isinstance(root, Reply):
            return [_unsure(root)] * len(wanted)
        seen = [Sighting(Whose.NOBODY)] * len(wanted)
        if self._settings.profile.is_domain:
            domain = root.first("defaultNamingContext") or self._settings.base
            seen = await self._look(wanted, seen, lambda one: self._by_login(one, domain))
        return await self._look(wanted, seen, self._by_dn)

    async def ours(self, after: str | None) -> Entries:
        return await self._owned.page(after)

    async def create(self, wanted: Sequence[Wanted]) -> Sequence[Outcome]:
        root = await self._client.root()
        if isinstance(root, Reply):
            return [answers.not_done(root)] * len(wanted)
        plans = await self._plans(wanted, root)
        asked = await self._client.ask_some(plans, writes=True)
        created = [
            self._created(one, came) if isinstance(came, Reply) else came
            for one, came in zip(wanted, asked, strict=True)
        ]
        # Of those that were created without telling their id.
        read = await self._client.ask_some(created)
        return [
            self._id_read(one, came) if isinstance(came, Reply) else came
            for one, came in zip(wanted, read, strict=True)
        ]

    async def join(self, members: Sequence[Member]) -> Sequence[Outcome]:
        root = await self._client.root()
        if isinstance(root, Reply):
            return [answers.not_done(root)] * len(members)
        dns = await places(self._settings, self._client, [one.entry_id for one in members])
        permissive = messages.PERMISSIVE in root.texts("supportedControl")
        return await self._groups.join(members, dns, permissive)

    async def set_password(self, entry_id: str, password: str) -> Outcome:
        root = await self._client.root()
        if isinstance(root, Reply):
            return answers.not_done(root)
        known = messages.NEW_PASSWORD in root.texts("supportedExtension")
        if self._settings.scheme == "server" and known and not self._settings.profile.hashes:
            return await self._change(
                entry_id, lambda dn: messages.new_password(dn, password), password
            )
        (held,) = await self._hashed([password])
        if isinstance(held, Outcome):
            return held
        values = {self._password_in: [held]}
        return await self._change(
            entry_id, lambda dn: messages.modify(dn, messages.REPLACE, values), password
        )

    async def disable(self, entry_id: str) -> Outcome:
        values = {name: [value] for name, value in self._settings.profile.disabled.items()}
        return await self._change(
            entry_id, lambda dn: messages.modify(dn, messages.REPLACE, values)
        )

    async def delete(self, entry_id: str) -> Outcome:
        return await self._change(entry_id, messages.delete)

    async def close(self) -> None:
        self._owned.end()
        await self._client.close()

    async def _change(
        self, entry_id: str, request: Callable[[str], Request], secret: str = ""
    ) -> Outcome:
        (dn,) = await places(self._settings, self._client, [entry_id])
        if isinstance(dn, Outcome):
            return dn
        (reply,) = await self._client.ask([request(dn)], writes=True)
        return answers.changed(reply, entry_id, secret)

    async def _look(
        self,
        wanted: Sequence[Wanted],
        seen: Sequence[Sighting],
        search: Callable[[Wanted], Request],
    ) -> list[Sighting]:
        """Once more for those that nobody was seen for yet."""
        plans = [
            _tried(search, one) if sighting.whose is Whose.NOBODY else sighting
            for one, sighting in zip(wanted, seen, strict=True)
        ]
        found = await self._client.ask_some(plans)
        return [
            self._sighting(one, came) if isinstance(came, Reply) else came
            for one, came in zip(wanted, found, strict=True)
        ]

    def _by_login(self, one: Wanted, domain: str) -> Request:
        entries.dn_of(self._settings, one.person.username)  # refuses what nobody can have
        is_it = messages.equal(self._settings.login, one.person.username)
        return messages.search(domain, messages.ALL_BELOW, is_it, *self._shown)

    def _by_dn(self, one: Wanted) -> Request:
        dn = entries.dn_of(self._settings, one.person.username)
        return messages.search(dn, messages.BASE, messages.present(), *self._shown)

    def _sighting(self, one: Wanted, reply: Reply) -> Sighting:
        if reply.code in (answers.DONE, answers.NO_SUCH_ENTRY, answers.NO_DN):
            return entries.judge(self._settings, one, reply.entries)
        return _unsure(reply)

    async def _plans(self, wanted: Sequence[Wanted], root: Entry) -> list[Request | Outcome]:
        """What to ask for each account, or why not to."""
        no_group = await self._groups.refused(name for one in wanted for name in one.person.groups)
        held = await self._hashed([one.password for one in wanted])
        controls = b""
        if messages.POST_READ in root.texts("supportedControl"):
            controls = messages.post_read(self._settings.profile.entry_id)
        plans: list[Request | Outcome] = []
        for one, password in zip(wanted, held, strict=True):
            why = next((no_group[name] for name in one.person.groups if name in no_group), None)
            if why is None and one.must_change and not entries.can_demand(self._settings, root):
                why = _NO_CHANGE
            plans.append(why or self._adding(one, password, controls))
        return plans

    def _adding(self, one: Wanted, held: bytes | Outcome, controls: bytes) -> Request | Outcome:
        if isinstance(held, Outcome):
            return held
        try:
            dn = entries.dn_of(self._settings, one.person.username)
            return messages.add(dn, entries.values_of(self._settings, one, held), controls)
        except InvalidInput as error:
            return _rejected(str(error))
        except UnicodeEncodeError:
            return _rejected("it contains half a character; correct it")

    def _created(self, one: Wanted, reply: Reply) -> Outcome | Request:
        """A request for the entry where it was created and its id is not known yet."""
        if reply.code != answers.DONE:
            return answers.not_done(reply, one.password)
        own = entries.entry_id(self._settings, reply.written) if reply.written else ""
        if own:
            return Outcome(OutcomeKind.CREATED, own)
        dn = entries.dn_of(self._settings, one.person.username)
        kept = self._settings.profile.entry_id
        return messages.search(dn, messages.BASE, messages.present(), kept)

    def _id_read(self, one: Wanted, reply: Reply) -> Outcome:
        own = entries.entry_id(self._settings, reply.entries[0]) if reply.entries else ""
        if own:
            return Outcome(OutcomeKind.CREATED, own)
        detail = f"created, and its id could not be read: {answers.shown(reply)}"
        return Outcome(OutcomeKind.UNKNOWN, None, "no usable id", detail)

    async def _hashed(self, passwords: Sequence[str]) -> list[bytes | Outcome]:
        if hashing.is_slow(self._settings.scheme):
            return await asyncio.to_thread(lambda: [self._held(one) for one in passwords])
        return [self._held(one) for one in passwords]

    def _held(self, password: str) -> bytes | Outcome:
        try:
            return self._hash(password)
        except BotrixError as error:
            return _rejected(str(error))


def _tried(search: Callable[[Wanted], Request], one: Wanted) -> Request | Sighting:
    try:
        return search(one)
    except (InvalidInput, UnicodeEncodeError):
        return Sighting(Whose.NOBODY)  # nobody can have such a name


def _rejected(detail: str) -> Outcome:
    return Outcome(OutcomeKind.REJECTED, None, "rejected", detail)


def _unsure(reply: Reply) -> Sighting:
    detail = f"the entry could not be read: {answers.shown(reply)}"
    patience = not reply.sent or answers.judged(reply) in (
        Answered.BUSY, Answered.UNAVAILABLE, Answered.MAINTENANCE, Answered.CREDENTIALS,
    )  # fmt: skip
    return Sighting(Whose.UNSURE, None, detail, counted=not patience, retry_after=reply.after)
