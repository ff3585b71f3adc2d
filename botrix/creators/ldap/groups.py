"""Putting entries into groups of an LDAP directory."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from botrix.creators.creator import Member
from botrix.creators.ldap import answers, messages
from botrix.creators.ldap.client import Client
from botrix.creators.ldap.entries import folded
from botrix.creators.ldap.messages import Reply
from botrix.creators.ldap.settings import LdapSettings
from botrix.model import Outcome, OutcomeKind

_FRESH = 60.0


class Groups:
    """Looked up by `cn` under the setting `groups`; their DNs are remembered for a minute."""

    def __init__(self, settings: LdapSettings, client: Client) -> None:
        self._settings = settings
        self._client = client
        self._by_name = settings.group_member.lower() == "memberuid"
        self._known: dict[str, tuple[float, str]] = {}

    async def refused(self, names: Iterable[str]) -> dict[str, Outcome]:
        """For each of these groups that nobody can be put into, why."""
        looked_for = sorted(set(names))
        if not self._settings.groups:
            return {name: self._missing(name) for name in looked_for}
        failed = await self._look_up([name for name in looked_for if not self._dn(name)])
        return {
            name: answers.not_done(failed[name]) if name in failed else self._missing(name)
            for name in looked_for
            if not self._dn(name)
        }

    async def join(
        self, members: Sequence[Member], dns: Sequence[str | Outcome], permissive: bool
    ) -> list[Outcome]:
        """dns: of the members, or why theirs is not known."""
        refused = await self.refused(name for one in members for name in one.groups)
        outcomes = [Outcome(OutcomeKind.CREATED, one.entry_id) for one in members]
        asked: list[tuple[int, messages.Request]] = []
        for i, (one, dn) in enumerate(zip(members, dns, strict=True)):
            why = next((refused[name] for name in one.groups if name in refused), None)
            if why is None and isinstance(dn, Outcome):
                why = dn
            if why is not None:
                outcomes[i] = why
                continue
            value = one.username if self._by_name else str(dn)
            asked += [(i, self._add(group, value, permissive)) for group in one.groups]
        replies = await self._client.ask(
            [request for _, request in asked], writes=True, optional=True
        )
        for (i, _), reply in zip(asked, replies, strict=True):
            if reply.code != answers.DONE and not answers.there_already(reply):
                outcomes[i] = self._not_joined(members[i], reply)
        return outcomes

    def _add(self, group: str, value: str, permissive: bool) -> messages.Request:
        controls = messages.permissive() if permissive else b""
        member = {self._settings.group_member: [value]}
        return messages.modify(self._dn(group), messages.ADD, member, controls)

    def _not_joined(self, one: Member, reply: Reply) -> Outcome:
        if reply.code == answers.NO_SUCH_ENTRY:
            self._known.clear()  # one of them has gone
            return self._missing(", ".join(one.groups))
        return answers.not_done(reply)

    async def _look_up(self, names: Sequence[str]) -> dict[str, Reply]:
        """Those whose answer told nothing."""
        requests = [
            messages.search(
                self._settings.groups, messages.ALL_BELOW, messages.equal("cn", name), "cn"
            )
            for name in names
        ]
        failed: dict[str, Reply] = {}
        for name, reply in zip(names, await self._client.ask(requests, optional=True), strict=True):
            if reply.code not in (answers.DONE, answers.NO_SUCH_ENTRY):
                failed[name] = reply
            for row in reply.entries:
                if folded(name) in map(folded, row.texts("cn")):
                    self._known[name] = time.monotonic(), row.dn
        return failed

    def _dn(self, name: str) -> str:
        """ "" where it is not known, or no longer."""
        at, dn = self._known.get(name, (0.0, ""))
        return dn if dn and time.monotonic() - at < _FRESH else ""

    def _missing(self, name: str) -> Outcome:
        under = self._settings.groups
        what = f"make it under {under}" if under else "say where groups are: groups=DN"
        detail = f"there is no group {name[:80]!a}; {what}"
        return Outcome(OutcomeKind.REJECTED, None, "no such group", detail)
