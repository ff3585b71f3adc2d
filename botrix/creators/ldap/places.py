"""Where the entry of an id is now: it may have been renamed, and another have taken its DN."""

from __future__ import annotations

from collections.abc import Sequence

from botrix.creators.ldap import answers, messages
from botrix.creators.ldap.client import Client
from botrix.creators.ldap.entries import by_id
from botrix.creators.ldap.messages import Reply, Request
from botrix.creators.ldap.settings import LdapSettings
from botrix.model import Outcome, OutcomeKind

NO_ENTRY = Outcome(OutcomeKind.REJECTED, None, "no such entry", "no entry has this id")


async def places(
    settings: LdapSettings, client: Client, entry_ids: Sequence[str]
) -> list[str | Outcome]:
    """The DN of each, or what became of asking. A domain takes the id itself for a DN; elsewhere
    the entry at the DN it had is asked for its id first, and only else all under the base."""
    split = [by_id(settings, one) for one in entry_ids]
    if settings.profile.is_domain:
        return [dn or NO_ENTRY for _, dn in split]
    plans: list[Request | Outcome] = [
        _at(settings, own, dn) if dn else NO_ENTRY for own, dn in split
    ]
    found = [_place(came) for came in await client.ask_some(plans)]
    moved = [i for i, (own, _) in enumerate(split) if own and found[i] is NO_ENTRY]
    anywhere = [_anywhere(settings, split[i][0]) for i in moved]
    for i, reply in zip(moved, await client.ask(anywhere), strict=True):
        found[i] = _place(reply)
    return found


def _at(settings: LdapSettings, own: str, dn: str) -> Request:
    is_it = messages.equal(settings.profile.entry_id, own)
    return messages.search(dn, messages.BASE, is_it)


def _anywhere(settings: LdapSettings, own: str) -> Request:
    is_it = messages.equal(settings.profile.entry_id, own)
    return messages.search(settings.base, messages.ALL_BELOW, is_it)


def _place(came: Reply | Outcome) -> str | Outcome:
    if isinstance(came, Outcome):
        return came
    if came.code not in (answers.DONE, answers.NO_SUCH_ENTRY):
        return answers.not_done(came)
    return came.entries[0].dn if came.entries else NO_ENTRY
