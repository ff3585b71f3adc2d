"""Lists the entries that bear a tag of Botrix, by pages (RFC 2696), whose cookies hold for one
connection. They are searched for by the presence of the attribute: servers differ in whether they
can compare the beginning of a value, and one that cannot finds nobody. So each is looked at here.
"""

from __future__ import annotations

from base64 import b64decode, b64encode

from botrix.creators.creator import Entries
from botrix.creators.ldap import answers, messages
from botrix.creators.ldap.client import Client, Reserved
from botrix.creators.ldap.entries import entry_of, shown
from botrix.creators.ldap.messages import Entry, Reply
from botrix.creators.ldap.settings import LdapSettings

_PAGE = 500


class Owned:
    """One list at a time."""

    def __init__(self, settings: LdapSettings, client: Client) -> None:
        self._settings = settings
        self._client = client
        self._over = Reserved()

    async def page(self, after: str | None) -> Entries:
        root = await self._client.root()
        if isinstance(root, Reply):
            return Entries(problem=f"the entries could not be listed: {answers.shown(root)}")
        if after is None:
            self.end()
            self._over = Reserved()
        number, _, cookie = (after or "0:").partition(":")
        reply = await self._asked(root, b64decode(cookie))
        if reply.code not in (answers.DONE, answers.TOO_MANY):
            return Entries(problem=f"the entries could not be listed: {answers.shown(reply)}")
        found = (entry_of(self._settings, row) for row in reply.entries)
        ours = [entry for entry in found if entry.is_of_botrix and entry.entry_id]
        if reply.code == answers.TOO_MANY:
            return Entries(ours, problem=self._cut())
        if not reply.cookie:
            return Entries(ours)
        # There are servers that give the same cookie again and again.
        return Entries(ours, f"{int(number) + 1}:{b64encode(reply.cookie).decode()}")

    def end(self) -> None:
        """Of the list."""
        self._client.release(self._over)

    async def _asked(self, root: Entry, cookie: bytes) -> Reply:
        controls = b""
        if messages.PAGED in root.texts("supportedControl"):
            controls = messages.paged(_PAGE, cookie)
        request = messages.search(
            self._settings.base, messages.ALL_BELOW, messages.present(self._settings.tag),
            *shown(self._settings), controls=controls,
        )  # fmt: skip
        (reply,) = await self._client.ask([request], over=self._over)
        return reply

    def _cut(self) -> str:
        return (
            f"the directory shows {self._settings.bind_dn} only so many entries of a list; raise "
            "that limit for it (in OpenLDAP: limits … size.prtotal=unlimited)"
        )
